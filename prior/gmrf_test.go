package prior

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// fields returns fields of all kinds on small grids, with their dense
// precision built cell by cell.
func fields(t testing.TB) map[string]*fieldCase {
	cases := make(map[string]*fieldCase)
	add := func(rows, cols int, opt GMRFOptions) {
		n := max(rows, 1) * cols
		opt.Mean = randomDense(1, n, 21).RawRowView(0)
		var f *GMRF
		var err error
		if rows == 0 {
			f, err = NewGMRF1D(cols, &opt)
		} else {
			f, err = NewGMRF2D(rows, cols, &opt)
		}
		if err != nil {
			t.Fatal(err)
		}
		nu := math.Max(float64(opt.Order)-1, 0.5)
		if rows == 0 {
			nu = float64(opt.Order) - 0.5
		}
		kappa := math.Sqrt(8*nu) / opt.Range
		name := fmt.Sprintf("%d×%d %v order %d range %g", rows, cols, opt.Boundary, opt.Order, opt.Range)
		cases[name] = &fieldCase{f, densePrecision(rows, cols, opt, kappa)}
	}
	for _, b := range []Boundary{Neumann, Periodic, Dirichlet} {
		for order := 1; order <= 2; order++ {
			opt := GMRFOptions{Order: order, Precision: 3, Range: 4, Boundary: b}
			for _, n := range []int{1, 2, 5, 6} {
				add(0, n, opt)
			}
			for _, dims := range [][2]int{{1, 1}, {1, 4}, {4, 1}, {2, 2}, {3, 4}, {4, 3}, {5, 6}} {
				add(dims[0], dims[1], opt)
			}
		}
	}
	add(4, 5, GMRFOptions{Order: 2, Precision: 3, Range: math.Inf(1), Boundary: Dirichlet})
	return cases
}

type fieldCase struct {
	f *GMRF
	q *mat.SymDense
}

// densePrecision returns τ(κ²I + L)^order, L from the list of neighbours;
// rows = 0 is a line.
func densePrecision(rows, cols int, opt GMRFOptions, kappa float64) *mat.SymDense {
	n := max(rows, 1) * cols
	s := mat.NewDense(n, n, nil)
	neighbour := func(cell, i, j int) {
		inside := i >= 0 && i < max(rows, 1) && j >= 0 && j < cols
		switch {
		case inside:
		case opt.Boundary == Neumann:
			return
		case opt.Boundary == Dirichlet:
			s.Set(cell, cell, s.At(cell, cell)+1)
			return
		default:
			i, j = (i+max(rows, 1))%max(rows, 1), (j+cols)%cols
		}
		s.Set(cell, cell, s.At(cell, cell)+1)
		s.Set(cell, i*cols+j, s.At(cell, i*cols+j)-1)
	}
	for i := range max(rows, 1) {
		for j := range cols {
			cell := i*cols + j
			s.Set(cell, cell, s.At(cell, cell)+kappa*kappa)
			neighbour(cell, i, j-1)
			neighbour(cell, i, j+1)
			if rows > 0 {
				neighbour(cell, i-1, j)
				neighbour(cell, i+1, j)
			}
		}
	}
	if opt.Order == 2 {
		var s2 mat.Dense
		s2.Mul(s, s)
		s.CloneFrom(&s2)
	}
	q := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			q.SetSym(i, j, opt.Precision*s.At(i, j))
		}
	}
	return q
}

func TestGMRFAgainstDense(t *testing.T) {
	for name, c := range fields(t) {
		f, n := c.f, c.f.Dim()
		dense, err := NewGaussianPrecision(f.Mean(nil), c.q, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := randomDense(2, n, 22)
		for i := range 2 {
			at := x.RawRowView(i)
			if got, want := f.LogProb(at), dense.LogProb(at); !closeTo(got, want, 1e-10) {
				t.Errorf("%s: LogProb %v, dense %v", name, got, want)
			}
			if k := differ(dense.ScoreInput(nil, at), f.ScoreInput(nil, at), 1e-10); k >= 0 {
				t.Errorf("%s: score", name)
			}
		}
		if !closeTo(f.LogDet(), dense.LogDet(), 1e-10) {
			t.Errorf("%s: LogDet %v, dense %v", name, f.LogDet(), dense.LogDet())
		}
		if k := differ(dense.Variance(nil), f.Variance(nil), 1e-10); k >= 0 {
			t.Errorf("%s: variance %v, dense %v", name, f.Variance(nil), dense.Variance(nil))
		}
		got, want := mat.NewDense(2, n, nil), mat.NewDense(2, n, nil)
		f.MulPrecision(got, x)
		dense.MulPrecision(want, x)
		if !mat.EqualApprox(got, want, 1e-10) {
			t.Errorf("%s: MulPrecision", name)
		}
		f.MulCovariance(got, x)
		dense.MulCovariance(want, x)
		if !mat.EqualApprox(got, want, 1e-9) {
			t.Errorf("%s: MulCovariance", name)
		}
		checkSpectrum(t, name, f, c.q)
	}
}

// checkSpectrum checks that V is orthogonal, that Q = V diag(q) Vᵀ, and the
// diagonal of V diag(v) Vᵀ for a v without any symmetry.
func checkSpectrum(t *testing.T, name string, f *GMRF, q *mat.SymDense) {
	t.Helper()
	n := f.Dim()
	eye, v, back := mat.NewDense(n, n, nil), mat.NewDense(n, n, nil), mat.NewDense(n, n, nil)
	for i := range n {
		eye.Set(i, i, 1)
	}
	f.MulV(v, eye) // row k is column k of V
	f.MulVT(back, v)
	if !mat.EqualApprox(back, eye, 1e-13) {
		t.Errorf("%s: VᵀV is not I", name)
	}
	var vq, sum mat.Dense
	vq.Mul(mat.NewDiagDense(n, f.Eigenvalues()), v)
	sum.Mul(v.T(), &vq)
	if !mat.EqualApprox(&sum, q, 1e-11) {
		t.Errorf("%s: V diag(q) Vᵀ is not Q", name)
	}
	weights := randomDense(1, n, 23).RawRowView(0)
	vq.Mul(mat.NewDiagDense(n, weights), v)
	sum.Mul(v.T(), &vq)
	got := make([]float64, n)
	f.SpectralVariance(got, weights)
	for i, g := range got {
		if !closeTo(g, sum.At(i, i), 1e-12) {
			t.Errorf("%s: spectral variance[%d] %v, want %v", name, i, g, sum.At(i, i))
		}
	}
}

func TestGMRFDraws(t *testing.T) {
	for _, b := range []Boundary{Neumann, Periodic, Dirichlet} {
		f, err := NewGMRF2D(3, 2, &GMRFOptions{Order: 2, Range: 3, Boundary: b, Mean: []float64{1, 2, 3, 4, 5, 6}})
		if err != nil {
			t.Fatal(err)
		}
		testPrior(t, f, []float64{0, 3, 1, 2, 1, -1})
		var q, cov mat.Dense
		eye := mat.NewDense(6, 6, nil)
		for i := range 6 {
			eye.Set(i, i, 1)
		}
		q.CloneFrom(eye)
		f.MulPrecision(&q, eye)
		if err := cov.Inverse(&q); err != nil {
			t.Fatal(err)
		}
		s := mat.NewSymDense(6, nil)
		for i := range 6 {
			for j := i; j < 6; j++ {
				s.SetSym(i, j, cov.At(i, j))
			}
		}
		testCovariance(t, f, f.Mean(nil), s)
	}
}

func TestGMRFDiffused(t *testing.T) {
	for _, b := range []Boundary{Neumann, Periodic, Dirichlet} {
		f, err := NewGMRF2D(2, 3, &GMRFOptions{Range: 3, Boundary: b, Mean: []float64{1, 0, 3, 0, 5, 6}})
		if err != nil {
			t.Fatal(err)
		}
		q := densePrecision(2, 3, GMRFOptions{Order: 1, Precision: 1, Boundary: b}, 2./3)
		g, err := NewGaussianPrecision(f.Mean(nil), q, nil)
		if err != nil {
			t.Fatal(err)
		}
		var s mat.SymDense
		g.CovarianceMatrix(&s)
		one := mustMixture(t, nil, mat.NewDense(1, 6, f.Mean(nil)), &s)
		for _, at := range diffusionTimes {
			checkDiffused(t, fmt.Sprint(b, at), f, diffuse(t, one, at[0], at[1]), at[0], at[1])
		}
	}
}

// In the middle of a large grid the correlation at the distance Range is
// that of the Matérn field which the prior approximates: d K₁(d) with
// d = sqrt(8) for Order 2 in the plane, and exp(-2) for Order 1 on a line.
func TestGMRFRange(t *testing.T) {
	const n, r = 256, 16
	line, err := NewGMRF1D(8*n, &GMRFOptions{Order: 1, Range: r, Boundary: Periodic})
	if err != nil {
		t.Fatal(err)
	}
	plane, err := NewGMRF2D(n, n, &GMRFOptions{Order: 2, Range: r, Boundary: Periodic})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    *GMRF
		want float64
	}{
		{line, math.Exp(-2)},
		{plane, 0.1397}, // sqrt(8) K₁(sqrt(8))
	} {
		e := mat.NewDense(1, c.f.Dim(), nil)
		e.Set(0, 0, 1)
		c.f.MulCovariance(e, e)
		if got := e.At(0, r) / e.At(0, 0); math.Abs(got-c.want) > 0.005 {
			t.Errorf("%d×%d: correlation at the range is %.4f, want %.4f", c.f.rows, c.f.cols, got, c.want)
		}
	}
}

func TestGMRFErrors(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		rows, cols int
		opt        GMRFOptions
		want       string
	}{
		{0, 3, GMRFOptions{}, "0×3"},
		{3, -1, GMRFOptions{}, "3×-1"},
		{2, 2, GMRFOptions{Order: 3}, "Order is 3"},
		{2, 2, GMRFOptions{Precision: -1}, "Precision is -1"},
		{2, 2, GMRFOptions{Precision: nan}, "Precision is NaN"},
		{2, 2, GMRFOptions{Range: -1}, "Range is -1"},
		{2, 2, GMRFOptions{Range: inf}, "improper with Boundary Neumann"},
		{2, 2, GMRFOptions{Range: 1e-200}, "overflow"},
		{2, 2, GMRFOptions{Boundary: 7}, "Boundary(7)"},
		{2, 2, GMRFOptions{Mean: []float64{1}}, "mean has length 1, want 4"},
		{1, 2, GMRFOptions{Mean: []float64{1, nan}}, "mean[1] is NaN"},
	} {
		if _, err := NewGMRF2D(c.rows, c.cols, &c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d×%d, %+v: error %v, want %q", c.rows, c.cols, c.opt, err, c.want)
		}
	}
	if _, err := NewGMRF1D(0, nil); err == nil || !strings.Contains(err.Error(), "n = 0") {
		t.Errorf("NewGMRF1D(0): %v", err)
	}
}

func BenchmarkGMRFDraw(b *testing.B) {
	for _, boundary := range []Boundary{Neumann, Periodic, Dirichlet} {
		for _, n := range []int{64, 128, 256, 512, 1024} {
			b.Run(fmt.Sprintf("%v/%d", boundary, n), func(b *testing.B) {
				f, err := NewGMRF2D(n, n, &GMRFOptions{Order: 2, Boundary: boundary})
				if err != nil {
					b.Fatal(err)
				}
				x, src := mat.NewDense(1, n*n, nil), rng.New(1, 0)
				f.Draw(x, src)
				b.ReportAllocs()
				for b.Loop() {
					f.Draw(x, src)
				}
				cells := float64(n * n)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(cells*math.Log2(cells)), "ns/(n·log2n)")
			})
		}
	}
}

func BenchmarkGMRFLogProbScore(b *testing.B) {
	const n = 512
	f, err := NewGMRF2D(n, n, &GMRFOptions{Order: 2})
	if err != nil {
		b.Fatal(err)
	}
	x, score := f.Rand(nil), make([]float64, n*n)
	b.ReportAllocs()
	for b.Loop() {
		f.LogProbScore(score, x)
	}
}
