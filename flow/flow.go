package flow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// Flow is a conditional density q(x|y) that [Fit] has trained or [Load] has
// read: a map x = g(z; y) of z ~ N(0, I), standardisation and target space
// included.
//
// All its methods are safe for concurrent use and work on several cores, by
// blocks of rows. The matrix y has a row for each row of x or z, or a single
// row that goes with all of them; it is nil for a density without conditions.
// Matrices that do not fit panic.
type Flow struct {
	arch      Architecture
	embedding Embedding
	dx, dy    int // of x and y as the caller has them
	du        int // of the unconstrained x
	transform prior.Transform
	xs, ys    scaling
	trend     *trend  // nil for none
	logScale  float64 // of xs and trend
	net       engine
	float64s  bool
	report    Report
	pool      sync.Pool // of *rowScratch
}

var (
	_ inverse.ConditionalFlow = (*Flow)(nil)
	_ Conditional             = (*Flow)(nil)
)

// Architecture returns what the flow was built from, with the defaults filled
// in.
func (f *Flow) Architecture() Architecture { return f.arch }

// Report returns how the training went. It is empty for a flow from a file.
func (f *Flow) Report() Report { return f.report }

// Dims returns the dimensions of x and of y, which is 0 without conditions.
func (f *Flow) Dims() (x, y int) { return f.dx, f.dy }

// blockRows is the number of rows that a worker takes at a time.
const blockRows = 256

// rowScratch is the memory for a block of rows.
type rowScratch struct{ x, y, l []float64 }

func (f *Flow) get() *rowScratch {
	if s, ok := f.pool.Get().(*rowScratch); ok {
		return s
	}
	return new(rowScratch)
}

// Generate sets the rows of dst to g(z_i; y_i), NaN where it cannot be
// computed. If the target space has fewer free coordinates than x, z has as
// many columns as there are of those.
func (f *Flow) Generate(dst, z, y *mat.Dense) {
	rows := f.mustFit("dst", dst, f.dx, y)
	f.mustFit("z", z, f.du, y)
	if r, _ := z.Dims(); r != rows {
		panic(fmt.Sprintf("flow: dst has %d rows, z has %d", rows, r))
	}
	f.each(context.Background(), rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		s.x = resize(s.x, (hi-lo)*f.du)
		for i := lo; i < hi; i++ {
			copy(s.x[(i-lo)*f.du:], z.RawRowView(i))
		}
		c := f.conditions(s, y, lo, hi)
		f.net.generate(s.x, s.x, c, hi-lo)
		f.toUnits(dst, s, c, lo, hi)
		return nil
	})
}

// toUnits sets the rows lo to hi-1 of dst to the s.x of the network, given the
// conditions c.
func (f *Flow) toUnits(dst *mat.Dense, s *rowScratch, c []float64, lo, hi int) {
	f.trend.add(s.x, c)
	for i := lo; i < hi; i++ {
		u, row := s.x[(i-lo)*f.du:(i-lo+1)*f.du], dst.RawRowView(i)
		f.xs.undo(u, u)
		if f.transform != nil {
			f.transform.Constrain(row, u)
		} else {
			copy(row, u)
		}
	}
}

// Invert sets the rows of dst to z_i = g⁻¹(x_i; y_i) and logDet[i], unless
// logDet is nil, to log |det ∂z_i/∂x_i|. Where x_i is outside of the target
// space or not finite, or z_i cannot be computed, z_i is NaN and logDet[i] is
// -Inf.
func (f *Flow) Invert(dst *mat.Dense, logDet []float64, x, y *mat.Dense) {
	rows := f.mustFit("x", x, f.dx, y)
	f.mustFit("dst", dst, f.du, y)
	if r, _ := dst.Dims(); r != rows || logDet != nil && len(logDet) != rows {
		panic(fmt.Sprintf("flow: x has %d rows, dst has %d, logDet %d", rows, r, len(logDet)))
	}
	f.each(context.Background(), rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		c := f.conditions(s, y, lo, hi)
		outer := f.standardize(s, x, c, lo, hi)
		s.l = resize(s.l, 2*(hi-lo))
		l := s.l[hi-lo:]
		f.net.invert(s.x, l, s.x, c)
		for i := lo; i < hi; i++ {
			row := dst.RawRowView(i)
			copy(row, s.x[(i-lo)*f.du:])
			if math.IsInf(outer[i-lo], -1) {
				fill(row, math.NaN())
			}
			if logDet != nil {
				logDet[i] = l[i-lo] + outer[i-lo]
			}
		}
		return nil
	})
}

// LogProb sets dst[i] to log q(x_i|y_i), -Inf where x_i is outside of the
// target space or not finite, or for [MADE] has an element that is no bit, or for
// [Counts] one that is no count.
func (f *Flow) LogProb(dst []float64, x, y *mat.Dense) {
	rows := f.mustFit("x", x, f.dx, y)
	if len(dst) != rows {
		panic(fmt.Sprintf("flow: x has %d rows, dst has %d elements", rows, len(dst)))
	}
	f.each(context.Background(), rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		c := f.conditions(s, y, lo, hi)
		outer := f.standardize(s, x, c, lo, hi)
		f.net.logProb(dst[lo:hi], s.x, c)
		for i, l := range outer {
			dst[lo+i] += l
			if math.IsInf(l, -1) {
				dst[lo+i] = l
			}
		}
		return nil
	})
}

// Draw fills row i of dst with a draw from q(·|y_i). A nil src is freshly
// seeded. It returns early with ctx's error, or with one that names a draw
// that cannot be computed.
func (f *Flow) Draw(ctx context.Context, dst, y *mat.Dense, src rand.Source) error {
	rows := f.mustFit("dst", dst, f.dx, y)
	seed := rng.Seed(src)
	return f.each(ctx, rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		s.x = resize(s.x, (hi-lo)*f.du)
		c := f.conditions(s, y, lo, hi)
		f.net.draw(s.x, c, hi-lo, rng.New(seed, uint64(lo/blockRows)))
		f.toUnits(dst, s, c, lo, hi)
		for i := lo; i < hi; i++ {
			if notFinite(dst.RawRowView(i)) >= 0 {
				return fmt.Errorf("flow: draw %d cannot be computed: %v", i, dst.RawRowView(i))
			}
		}
		return nil
	})
}

// standardize sets s.x to the rows lo to hi-1 of x in the coordinates of the
// network, given the conditions c, and returns for each the log of the
// determinant of that map, which is -Inf outside of the target space or where
// an architecture of a mass function has none.
func (f *Flow) standardize(s *rowScratch, x *mat.Dense, c []float64, lo, hi int) (logDet []float64) {
	s.x = resize(s.x, (hi-lo)*f.du+f.dx)
	s.l = resize(s.l, 2*(hi-lo))
	spare := s.x[(hi-lo)*f.du:]
	s.x = s.x[:(hi-lo)*f.du]
	logDet = s.l[:hi-lo]
	mass, _ := f.arch.(discrete)
	for i := lo; i < hi; i++ {
		u := s.x[(i-lo)*f.du : (i-lo+1)*f.du]
		logDet[i-lo] = f.logScale
		switch row := x.RawRowView(i); {
		case mass != nil && mass.stray(row) >= 0 || notFinite(row) >= 0 || f.transform != nil && f.transform.Unconstrain(u, row) != nil:
			logDet[i-lo] = math.Inf(-1)
			copy(u, f.xs.Mean)
		case f.transform == nil:
			copy(u, row)
		default:
			logDet[i-lo] -= f.transform.Constrain(spare, u)
		}
		f.xs.apply(u, u)
	}
	f.trend.remove(s.x, c)
	return logDet
}

// conditions returns the standardised rows of y that go with the rows lo to
// hi-1 of x: as many, or one, or nil.
func (f *Flow) conditions(s *rowScratch, y *mat.Dense, lo, hi int) []float64 {
	if f.dy == 0 {
		return nil
	}
	if r, _ := y.Dims(); r == 1 {
		lo, hi = 0, 1
	}
	s.y = resize(s.y, (hi-lo)*f.dy)
	for i := lo; i < hi; i++ {
		f.ys.apply(s.y[(i-lo)*f.dy:(i-lo+1)*f.dy], y.RawRowView(i))
	}
	return s.y
}

// each calls g for the blocks of the rows. A panic in it is passed on.
func (f *Flow) each(ctx context.Context, rows int, g func(lo, hi int) error) error {
	err := par.For(ctx, 0, rows, blockRows, g)
	if p, ok := err.(*par.PanicError); ok {
		panic(p)
	}
	return err
}

// mustFit panics unless x has d columns and y fits it; it returns the number
// of rows of x.
func (f *Flow) mustFit(name string, x *mat.Dense, d int, y *mat.Dense) (rows int) {
	rows, c := x.Dims()
	if c != d {
		panic(fmt.Sprintf("flow: %s is %d×%d, want %d columns", name, rows, c, d))
	}
	yr, yc := 0, 0
	if y != nil {
		yr, yc = y.Dims()
	}
	if yc != f.dy || f.dy > 0 && yr != rows && yr != 1 {
		panic(fmt.Sprintf("flow: %s is %d×%d and y is %d×%d, want %d columns of y and as many rows or one", name, rows, c, yr, yc, f.dy))
	}
	return rows
}

// notFinite returns the number of the first element of x that is NaN or
// infinite, or -1.
func notFinite(x []float64) int {
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return i
		}
	}
	return -1
}

func fill(x []float64, v float64) {
	for i := range x {
		x[i] = v
	}
}
