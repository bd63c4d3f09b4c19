package forward

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// A Reconstruction is a way to recover x from y = A(x) + noise: a map R from
// data to an estimate.
type Reconstruction struct {
	Name string
	// Map is R: y ↦ x, with a derivative ([Linearize]). [Regularized] is one,
	// and [NewFunc] makes one of any Go function.
	Map inverse.Operator
	// For returns the same method for another operator, for the test with
	// more data. If nil, that test leaves it out.
	For func(a inverse.Operator) (inverse.Operator, error)
}

// StabilityOptions are the options of [Stability].
type StabilityOptions struct {
	// Noise are the levels of the noise ladder: standard deviations relative
	// to the root mean square of A(x). If nil, they are 1e-4, 1e-3, 1e-2, 1e-1.
	Noise []float64
	// Draws is the number of noise draws for each level. If 0, it is 20.
	Draws int
	// Worst are the options of the search for worst-case perturbations.
	Worst WorstCaseOptions
	// Detail is a small structure that is added to x, which reconstructions
	// should show. If nil, the test is left out.
	Detail []float64
	// More are operators with ever more data of the same x, by which
	// reconstructions should get better. Of nil the test is left out.
	More []inverse.Operator
	Src  rand.Source // nil means a freshly seeded one
}

// StabilityReport is the outcome of [Stability]. Matrices have a column for
// each reconstruction. Errors are relative, ‖R(y) - x‖/‖x‖.
type StabilityReport struct {
	Names []string
	Clean []float64 // errors from the exact data A(x)

	Lipschitz []float64       // norms of the Jacobians at A(x), see LocalLipschitz
	Worst     []*Perturbation // of the data, the worst found for each reconstruction
	Size      float64         // the largest ‖δ‖/‖A(x)‖ of them
	// Cross[i, j] is the gain of reconstruction j at the worst perturbation
	// of reconstruction i: whether what misleads one misleads the others.
	Cross *mat.Dense

	Noise       []float64  // the levels
	Error       *mat.Dense // mean errors, one row a level
	ErrorSpread *mat.Dense // standard deviations over the draws
	// Growth is the ratio of the parts of the error that are due to noise,
	// ‖R(A(x) + e) - R(A(x))‖, at the last and at the first level.
	Growth []float64

	// Detail has for each reconstruction the share ⟨ΔR, d⟩/‖d‖² of the detail
	// d that appears in R(A(x + d)) - R(A(x)), and what else changes,
	// ‖ΔR - d‖/‖d‖; nil if the test is left out.
	Detail []DetailTest

	// Data are the numbers of data of the test with more of them, and
	// MoreError its errors, from exact data; NaN for a Reconstruction that has
	// no For.
	Data      []int
	MoreError *mat.Dense
}

// DetailTest is how a reconstruction shows a detail.
type DetailTest struct{ Share, Rest float64 }

// Stability puts reconstructions of one x from data y = a(x) to the same tests
// (Antun, Renna, Poon, Adcock and Hansen, PNAS 2020): perturbations of the
// data that are the worst for each of them ([WorstCase], [LocalLipschitz]),
// noise of growing size, a detail that should appear, and more data. A map
// that is close to an unbounded inverse fails the first two whatever it was
// learned from.
func Stability(ctx context.Context, a inverse.Operator, x []float64, recs []Reconstruction, o *StabilityOptions) (*StabilityReport, error) {
	if o == nil {
		o = &StabilityOptions{}
	}
	s, err := newStabilityTest(a, x, recs, o)
	if err != nil {
		return nil, fmt.Errorf("forward: Stability: %w", err)
	}
	for _, test := range []func(context.Context) error{s.clean, s.worst, s.ladder, s.detail, s.more} {
		if err := test(ctx); err != nil {
			return nil, fmt.Errorf("forward: Stability: %w", err)
		}
	}
	return s.report, nil
}

type stabilityTest struct {
	a      inverse.Operator
	m, n   int
	x, y   []float64
	recs   []Reconstruction
	o      *StabilityOptions
	seed   uint64
	draws  int
	base   []*mat.Dense // R(y) of each
	report *StabilityReport
}

func newStabilityTest(a inverse.Operator, x []float64, recs []Reconstruction, o *StabilityOptions) (*stabilityTest, error) {
	m, n, err := checkedDims(a)
	switch {
	case err != nil:
		return nil, err
	case len(x) != n || !finite(x):
		return nil, fmt.Errorf("x has length %d, want %d finite numbers", len(x), n)
	case floats.Norm(x, 2) == 0:
		return nil, errors.New("x is zero, and errors are relative to it")
	case len(recs) == 0:
		return nil, errors.New("there are no reconstructions")
	case o.Draws < 0:
		return nil, fmt.Errorf("StabilityOptions.Draws is %d, want at least 1, or 0 for the default", o.Draws)
	case o.Detail != nil && (len(o.Detail) != n || !finite(o.Detail) || floats.Norm(o.Detail, 2) == 0):
		return nil, fmt.Errorf("StabilityOptions.Detail has length %d, want %d finite numbers, not all zero", len(o.Detail), n)
	}
	s := &stabilityTest{a: a, m: m, n: n, x: x, recs: recs, o: o, seed: rng.Seed(o.Src), draws: o.Draws}
	if s.draws == 0 {
		s.draws = 20
	}
	s.report = &StabilityReport{Noise: o.Noise}
	if s.report.Noise == nil {
		s.report.Noise = []float64{1e-4, 1e-3, 1e-2, 1e-1}
	}
	for i, v := range s.report.Noise {
		if !(v > 0) || math.IsInf(v, 1) {
			return nil, fmt.Errorf("StabilityOptions.Noise[%d] is %g, want a positive number", i, v)
		}
	}
	for i, r := range recs {
		if r.Map == nil {
			return nil, fmt.Errorf("the Map of reconstruction %d (%s) is nil", i, r.Name)
		}
		if rm, rn := r.Map.Dims(); rm != n || rn != m {
			return nil, fmt.Errorf("%s maps %d values to %d, want %d data to %d unknowns", r.Name, rn, rm, m, n)
		}
		s.report.Names = append(s.report.Names, r.Name)
	}
	if s.y, err = applied(a, x); err == nil && floats.Norm(s.y, 2) == 0 {
		err = errors.New("A(x) is zero, and perturbations are relative to it")
	}
	return s, err
}

// applied returns a(x).
func applied(a inverse.Operator, x []float64) ([]float64, error) {
	m, n := a.Dims()
	y := mat.NewDense(1, m, nil)
	a.Apply(y, mat.NewDense(1, n, x))
	if row := y.RawRowView(0); finite(row) {
		return row, nil
	}
	return nil, errors.New("the operator or a reconstruction gives a value that is not finite")
}

// each sets f[j] for each reconstruction.
func (s *stabilityTest) each(f func(j int, r Reconstruction) error) error {
	for j, r := range s.recs {
		if err := f(j, r); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
	}
	return nil
}

func (s *stabilityTest) relative(x []float64) float64 {
	return floats.Distance(x, s.x, 2) / floats.Norm(s.x, 2)
}

// clean measures the errors without noise.
func (s *stabilityTest) clean(context.Context) error {
	return s.each(func(_ int, r Reconstruction) error {
		x, err := applied(r.Map, s.y)
		if err != nil {
			return err
		}
		s.base = append(s.base, mat.NewDense(1, s.n, x))
		s.report.Clean = append(s.report.Clean, s.relative(x))
		return nil
	})
}

// worst finds the worst perturbation for each, and shows it to all.
func (s *stabilityTest) worst(ctx context.Context) error {
	k := len(s.recs)
	s.report.Cross = mat.NewDense(k, k, nil)
	options := s.o.Worst
	if options.Size == 0 {
		options.Size = floats.Norm(s.y, 2) / 100
	}
	s.report.Size = options.Size / floats.Norm(s.y, 2)
	return s.each(func(i int, r Reconstruction) error {
		l, _, err := LocalLipschitz(ctx, r.Map, s.y, &LipschitzOptions{Src: rng.New(s.seed, 1)})
		if err != nil {
			return err
		}
		s.report.Lipschitz = append(s.report.Lipschitz, l)
		options.Src = rng.New(s.seed, 2) // the same starts for all
		p, err := WorstCase(ctx, r.Map, s.y, &options)
		if err != nil {
			return err
		}
		s.report.Worst = append(s.report.Worst, p)
		size := floats.Norm(p.Delta, 2)
		if size == 0 {
			return nil // a constant map
		}
		at := make([]float64, s.m)
		floats.AddTo(at, s.y, p.Delta)
		return s.each(func(j int, other Reconstruction) error {
			x, err := applied(other.Map, at)
			if err == nil {
				s.report.Cross.Set(i, j, floats.Distance(x, s.base[j].RawRowView(0), 2)/size)
			}
			return err
		})
	})
}

// ladder measures errors at each level of noise, the draws being the same for
// all levels and reconstructions but for their size.
func (s *stabilityTest) ladder(ctx context.Context) error {
	k, levels := len(s.recs), len(s.report.Noise)
	s.report.Error, s.report.ErrorSpread = mat.NewDense(levels, k, nil), mat.NewDense(levels, k, nil)
	s.report.Growth = make([]float64, k)
	rms := floats.Norm(s.y, 2) / math.Sqrt(float64(s.m))
	y, x, e := mat.NewDense(s.draws, s.m, nil), mat.NewDense(s.draws, s.n, nil), make([]float64, s.m)
	errs := make([]float64, s.draws)
	grown := mat.NewDense(levels, k, nil)
	for i, level := range s.report.Noise {
		if err := ctx.Err(); err != nil {
			return err
		}
		for d := range s.draws {
			rng.FillNormal(e, rng.New(s.seed, uint64(3+d)))
			floats.AddScaledTo(y.RawRowView(d), s.y, level*rms, e)
		}
		for j, r := range s.recs {
			r.Map.Apply(x, y)
			var due float64
			for d := range s.draws {
				errs[d] = s.relative(x.RawRowView(d))
				due += floats.Distance(x.RawRowView(d), s.base[j].RawRowView(0), 2)
			}
			if !finite(errs) {
				return fmt.Errorf("%s: %w", r.Name, errNotFiniteMap)
			}
			mean, sd := stat.MeanStdDev(errs, nil)
			if s.draws == 1 {
				sd = 0
			}
			s.report.Error.Set(i, j, mean)
			s.report.ErrorSpread.Set(i, j, sd)
			grown.Set(i, j, due)
		}
	}
	for j := range s.report.Growth {
		s.report.Growth[j] = 1 // of a constant map
		if first := grown.At(0, j); first > 0 {
			s.report.Growth[j] = grown.At(levels-1, j) / first
		}
	}
	return nil
}

func (s *stabilityTest) detail(context.Context) error {
	d := s.o.Detail
	if d == nil {
		return nil
	}
	with := make([]float64, s.n)
	floats.AddTo(with, s.x, d)
	y, err := applied(s.a, with)
	if err != nil {
		return err
	}
	norm := floats.Norm(d, 2)
	return s.each(func(j int, r Reconstruction) error {
		x, err := applied(r.Map, y)
		if err != nil {
			return err
		}
		floats.Sub(x, s.base[j].RawRowView(0))
		t := DetailTest{Share: floats.Dot(x, d) / (norm * norm), Rest: floats.Distance(x, d, 2) / norm}
		s.report.Detail = append(s.report.Detail, t)
		return nil
	})
}

func (s *stabilityTest) more(ctx context.Context) error {
	if len(s.o.More) == 0 {
		return nil
	}
	s.report.MoreError = mat.NewDense(len(s.o.More), len(s.recs), nil)
	for i, a := range s.o.More {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, n, err := checkedDims(a)
		if err != nil {
			return fmt.Errorf("StabilityOptions.More[%d]: %w", i, err)
		}
		if n != s.n {
			return fmt.Errorf("StabilityOptions.More[%d] has %d unknowns, want %d", i, n, s.n)
		}
		s.report.Data = append(s.report.Data, m)
		y, err := applied(a, s.x)
		if err != nil {
			return fmt.Errorf("StabilityOptions.More[%d]: %w", i, err)
		}
		err = s.each(func(j int, r Reconstruction) error {
			s.report.MoreError.Set(i, j, math.NaN())
			if r.For == nil {
				return nil
			}
			inv, err := r.For(a)
			if err != nil {
				return err
			}
			if rm, rn := inv.Dims(); rm != n || rn != m {
				return fmt.Errorf("For(More[%d]) maps %d values to %d, want %d to %d", i, rn, rm, m, n)
			}
			x, err := applied(inv, y)
			if err == nil {
				s.report.MoreError.Set(i, j, s.relative(x))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// String returns the tables.
func (r *StabilityReport) String() string {
	var b strings.Builder
	width := 14
	for _, n := range r.Names {
		width = max(width, len([]rune(n)))
	}
	head := func(title string) { fmt.Fprintf(&b, "%s\n%*s", title, width, "") }
	names := func() {
		for _, n := range r.Names {
			fmt.Fprintf(&b, "  %*s", max(15, len([]rune(n))), n)
		}
		b.WriteByte('\n')
	}
	row := func(label string, f func(j int) string) {
		fmt.Fprintf(&b, "%-*s", width, label)
		for j, n := range r.Names {
			fmt.Fprintf(&b, "  %*s", max(15, len([]rune(n))), f(j))
		}
		b.WriteByte('\n')
	}
	g := func(v float64) string { return fmt.Sprintf("%.3g", v) }

	head("relative error, by noise relative to the data (mean ± sd of the draws)")
	names()
	row("none", func(j int) string { return g(r.Clean[j]) })
	for i, level := range r.Noise {
		row(g(level), func(j int) string {
			return fmt.Sprintf("%.3g ± %.1g", r.Error.At(i, j), r.ErrorSpread.At(i, j))
		})
	}
	row("growth", func(j int) string { return "×" + g(r.Growth[j]) })

	head(fmt.Sprintf("\namplification of perturbations of the data, ‖δ‖ ≤ %.3g ‖y‖", r.Size))
	names()
	row("Lipschitz", func(j int) string { return g(r.Lipschitz[j]) })
	row("worst found", func(j int) string { return g(r.Worst[j].Gain) })
	for i, n := range r.Names {
		row(fmt.Sprintf("%s's", n), func(j int) string { return g(r.Cross.At(i, j)) })
	}
	if r.Detail != nil {
		head("\na detail of x")
		names()
		row("share shown", func(j int) string { return g(r.Detail[j].Share) })
		row("rest", func(j int) string { return g(r.Detail[j].Rest) })
	}
	if r.MoreError != nil {
		head("\nrelative error, by the number of exact data")
		names()
		for i, m := range r.Data {
			row(fmt.Sprint(m), func(j int) string {
				if v := r.MoreError.At(i, j); !math.IsNaN(v) {
					return g(v)
				}
				return "-"
			})
		}
	}
	return b.String()
}
