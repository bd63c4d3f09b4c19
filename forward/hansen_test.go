package forward

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// An equation is the continuous form of a Problem.
type equation struct {
	name     string
	new      func(n int) (*Problem, error)
	kernel   func(s, t float64) float64
	f, g     func(float64) float64 // nil g: the data are A X
	s, t     [2]float64
	kinks    func(s float64) []float64 // of K(s, ·)
	galerkin bool
	tol      float64 // of matrix entries, relative to the largest
}

func equations() []equation {
	phi := func(x float64) float64 {
		if math.Abs(x) < 3 {
			return 1 + math.Cos(math.Pi*x/3)
		}
		return 0
	}
	deriv2 := func(s, t float64) float64 { return min(s, t) * (max(s, t) - 1) }
	unit := [2]float64{0, 1}
	diagonal := func(s float64) []float64 { return []float64{s} }
	return []equation{
		{"Deriv2/1", func(n int) (*Problem, error) { return Deriv2(n, 1) }, deriv2,
			func(t float64) float64 { return t }, func(s float64) float64 { return (s*s*s - s) / 6 },
			unit, unit, diagonal, true, 1e-12},
		{"Deriv2/2", func(n int) (*Problem, error) { return Deriv2(n, 2) }, deriv2,
			math.Exp, func(s float64) float64 { return math.Exp(s) + (1-math.E)*s - 1 },
			unit, unit, diagonal, true, 1e-12},
		{"Deriv2/3", func(n int) (*Problem, error) { return Deriv2(n, 3) }, deriv2,
			func(t float64) float64 { return min(t, 1-t) },
			func(s float64) float64 {
				s = min(s, 1-s)
				return (4*s*s*s - 3*s) / 24
			}, unit, unit, func(s float64) []float64 { return []float64{s, 0.5} }, true, 1e-12},
		{"Shaw", Shaw, func(s, t float64) float64 {
			u := math.Pi * (math.Sin(s) + math.Sin(t))
			sinc := 1.
			if u != 0 {
				sinc = math.Sin(u) / u
			}
			return math.Pow((math.Cos(s)+math.Cos(t))*sinc, 2)
		}, func(t float64) float64 { return 2*math.Exp(-6*math.Pow(t-0.8, 2)) + math.Exp(-2*math.Pow(t+0.5, 2)) },
			nil, [2]float64{-math.Pi / 2, math.Pi / 2}, [2]float64{-math.Pi / 2, math.Pi / 2}, nil, false, 1e-14},
		{"Phillips", Phillips, func(s, t float64) float64 { return phi(s - t) }, phi,
			func(s float64) float64 {
				s = math.Abs(s)
				return (6-s)*(1+math.Cos(math.Pi*s/3)/2) + 9/(2*math.Pi)*math.Sin(math.Pi*s/3)
			}, [2]float64{-6, 6}, [2]float64{-6, 6},
			func(s float64) []float64 { return []float64{s - 3, s + 3, -3, 3} }, true, 1e-12},
		{"Gravity", func(n int) (*Problem, error) { return Gravity(n, 0.25) },
			func(s, t float64) float64 { return 0.25 / math.Pow(0.0625+(s-t)*(s-t), 1.5) },
			func(t float64) float64 { return math.Sin(math.Pi*t) + math.Sin(2*math.Pi*t)/2 },
			nil, unit, unit, nil, false, 1e-14},
		{"Baart", Baart, func(s, t float64) float64 { return math.Exp(s * math.Cos(t)) }, math.Sin,
			func(s float64) float64 { return 2 * math.Sinh(s) / s },
			[2]float64{0, math.Pi / 2}, [2]float64{0, math.Pi}, nil, true, 1e-4},
		{"Foxgood", Foxgood, func(s, t float64) float64 { return math.Sqrt(s*s + t*t) }, func(t float64) float64 { return t },
			func(s float64) float64 { return (math.Pow(1+s*s, 1.5) - s*s*s) / 3 },
			unit, unit, nil, false, 1e-14},
	}
}

// integrate is Gauss-Legendre quadrature between the breaks inside of [lo, hi].
func integrate(f func(float64) float64, lo, hi float64, breaks []float64) float64 {
	points := []float64{lo}
	for lo < hi {
		next := hi
		for _, b := range breaks {
			if b > lo && b < next {
				next = b
			}
		}
		points = append(points, next)
		lo = next
	}
	sum := 0.
	for i := range points[1:] {
		sum += quad.Fixed(f, points[i], points[i+1], 20, quad.Legendre{}, 0)
	}
	return sum
}

func TestHansenMatricesAreQuadratures(t *testing.T) {
	const n = 12
	for _, e := range equations() {
		p, err := e.new(n)
		if err != nil {
			t.Fatal(err)
		}
		hs, ht := (e.s[1]-e.s[0])/n, (e.t[1]-e.t[0])/n
		a := transpose(p.A)
		largest := mat.Max(a) - mat.Min(a)
		for i := range n {
			for j := range n {
				s0, t0 := e.s[0]+float64(i)*hs, e.t[0]+float64(j)*ht
				want := ht * e.kernel(s0+hs/2, t0+ht/2)
				if e.galerkin {
					kinks := func(s float64) []float64 {
						if e.kinks == nil {
							return nil
						}
						return e.kinks(s)
					}
					want = integrate(func(s float64) float64 {
						return integrate(func(t float64) float64 { return e.kernel(s, t) }, t0, t0+ht, kinks(s))
					}, s0, s0+hs, []float64{t0 - 3, t0 + 3, t0 + ht - 3, t0 + ht + 3}) / math.Sqrt(hs*ht)
				}
				if got := a.At(j, i); math.Abs(got-want) > e.tol*largest {
					t.Errorf("%s: element (%d, %d) is %.12g, by quadrature %.12g", e.name, i, j, got, want)
				}
			}
			if math.Abs(p.S[i]-(e.s[0]+(float64(i)+0.5)*hs)) > 1e-14 || math.Abs(p.T[i]-(e.t[0]+(float64(i)+0.5)*ht)) > 1e-14 {
				t.Errorf("%s: midpoints %g and %g", e.name, p.S[i], p.T[i])
			}
		}
	}
}

// X and Y are f and g, and g is the integral of K f.
func TestHansenSolutions(t *testing.T) {
	const n = 16
	for _, e := range equations() {
		p, err := e.new(n)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, got []float64, f func(float64) float64, span [2]float64, breaks []float64, tol float64) {
			t.Helper()
			h := (span[1] - span[0]) / n
			for i, v := range got {
				lo := span[0] + float64(i)*h
				want := f(lo + h/2)
				if e.galerkin {
					want = integrate(f, lo, lo+h, breaks) / math.Sqrt(h)
				}
				if math.Abs(v-want) > tol {
					t.Errorf("%s: %s[%d] is %.12g, want %.12g", e.name, what, i, v, want)
				}
			}
		}
		check("X", p.X, e.f, e.t, []float64{0.5, -3, 3}, 1e-12)
		if e.g == nil {
			if d := floats.Distance(p.Y, applyRow(p.A, p.X), 2); d != 0 {
				t.Errorf("%s: Y differs from A X by %g", e.name, d)
			}
			continue
		}
		check("Y", p.Y, e.g, e.s, []float64{0.5}, map[bool]float64{true: 1e-5, false: 1e-12}[e.name == "Baart"])
		for _, s := range midpoints(7, e.s[0], e.s[1]) {
			var breaks []float64
			if e.kinks != nil {
				breaks = e.kinks(s)
			}
			got := integrate(func(t float64) float64 { return e.kernel(s, t) * e.f(t) }, e.t[0], e.t[1], breaks)
			if want := e.g(s); math.Abs(got-want) > 1e-8*(1+math.Abs(want)) {
				t.Errorf("%s: ∫ K f is %.12g at s = %.3f, g is %.12g", e.name, got, s, want)
			}
		}
	}
}

// A X tends to Y.
func TestHansenDataConverge(t *testing.T) {
	for _, e := range equations() {
		var last float64
		for _, n := range []int{20, 80} {
			p, err := e.new(n)
			if err != nil {
				t.Fatal(err)
			}
			d := floats.Distance(applyRow(p.A, p.X), p.Y, 2) / floats.Norm(p.Y, 2)
			if n == 80 && e.g != nil && d > max(last/10, 1e-12) {
				t.Errorf("%s: A X is off by %g, at a fourth of the points by %g", e.name, d, last)
			}
			last = d
		}
	}
}

// The singular values of Deriv2 are known, and the severely ill-posed
// problems are singular to double precision.
func TestHansenSingularValues(t *testing.T) {
	p, err := Deriv2(200, 1)
	if err != nil {
		t.Fatal(err)
	}
	for k, s := range p.A.SingularValues()[:6] {
		if want := 1 / math.Pow(math.Pi*float64(k+1), 2); math.Abs(s-want) > 1e-3*want {
			t.Errorf("Deriv2: singular value %d is %g, want about %g", k+1, s, want)
		}
	}
	for _, e := range equations() {
		p, err := e.new(64)
		if err != nil {
			t.Fatal(err)
		}
		s := p.A.SingularValues()
		severe := e.name == "Shaw" || e.name == "Baart" || e.name == "Foxgood" || e.name == "Gravity"
		if cond := s[0] / s[len(s)-1]; severe != (cond > 1e15) {
			t.Errorf("%s: condition number %.2g", e.name, cond)
		}
	}
}

// The median error over draws of the noise is near that of the best parameter.
// The L-curve is known to fail for the smooth solutions (Hanke, BIT 36, 1996).
func TestRegularisationOfHansenProblems(t *testing.T) {
	const n, draws = 64, 11
	for _, e := range equations() {
		p, err := e.new(n)
		if err != nil {
			t.Fatal(err)
		}
		ratios := make(map[Rule][]float64)
		for seed := range uint64(draws) {
			y := randomVector(n, seed)
			delta := 1e-3 * floats.Norm(p.Y, 2)
			floats.Scale(delta/floats.Norm(y, 2), y)
			floats.Add(y, p.Y)
			wrong := func(o FilterOptions) float64 {
				inv, err := Tikhonov(p.A, y, &o)
				if err != nil {
					t.Fatal(err)
				}
				return floats.Distance(inv.X, p.X, 2)
			}
			least := math.Inf(1)
			for lambda := 1e-6; lambda < 10; lambda *= 1.6 {
				least = min(least, wrong(FilterOptions{Param: lambda}))
			}
			ratios[Discrepancy] = append(ratios[Discrepancy], wrong(FilterOptions{Noise: delta})/least)
			for _, rule := range []Rule{GCV, LCurve} {
				ratios[rule] = append(ratios[rule], wrong(FilterOptions{Rule: rule})/least)
			}
		}
		for rule, limit := range map[Rule]float64{Discrepancy: 2, GCV: 2.5, LCurve: 2} {
			slices.Sort(ratios[rule])
			median := ratios[rule][draws/2]
			smooth := slices.Contains([]string{"Deriv2/3", "Phillips", "Gravity", "Foxgood"}, e.name)
			if median > limit && !(rule == LCurve && smooth) {
				t.Errorf("%s by %v: %.2f times the least error", e.name, rule, median)
			}
		}
	}
}

// General-form Tikhonov, with matrices and without, is the least-squares
// solution of the stacked system by QR.
func TestGeneralTikhonovOfHansenProblems(t *testing.T) {
	const n = 40
	for _, e := range equations() {
		p, err := e.new(n)
		if err != nil {
			t.Fatal(err)
		}
		for order := range 3 {
			l := differences(n, order)
			lambda := 1e-2 * floats.Norm(p.Y, 2) / floats.Norm(p.X, 2)
			var weighted, both mat.Dense
			weighted.Scale(lambda, l)
			both.Stack(transpose(p.A).T(), &weighted)
			var want mat.VecDense
			if err := want.SolveVec(&both, mat.NewVecDense(2*n-order, append(slices.Clone(p.Y), make([]float64, n-order)...))); err != nil {
				t.Fatal(err)
			}
			wrong := func(x []float64) float64 {
				return floats.Distance(x, want.RawVector().Data, 2) / mat.Norm(&want, 2)
			}
			dense, err := GeneralTikhonov(background, p.A, denseOf(t, l), p.Y, &FilterOptions{Param: lambda})
			if err != nil {
				t.Errorf("%s, order %d: %v", e.name, order, err)
			} else if d := wrong(dense.X); d > 1e-11 {
				t.Errorf("%s, order %d: off by %g", e.name, order, d)
			}
			free, err := (&penalised{p.A, denseOf(t, l), p.Y}).solve(background, lambda, nil)
			if err != nil {
				t.Errorf("%s, order %d: %v", e.name, order, err)
			} else if d := wrong(free.X); d > 1e-6 || free.Stop != StopConverged {
				t.Errorf("%s, order %d, without matrices: off by %g, stopped by %v", e.name, order, d, free.Stop)
			}
		}
	}
}

func TestHansenBadInput(t *testing.T) {
	for _, tt := range []struct {
		err  func() error
		want string
	}{
		{func() error { _, err := Deriv2(0, 1); return err }, "Deriv2: n is 0"},
		{func() error { _, err := Deriv2(8, 4); return err }, "example is 4"},
		{func() error { _, err := Shaw(0); return err }, "Shaw: n is 0"},
		{func() error { _, err := Phillips(6); return err }, "n is 6, want a positive multiple of 4"},
		{func() error { _, err := Gravity(-1, 1); return err }, "Gravity: n is -1"},
		{func() error { _, err := Gravity(8, 0); return err }, "depth is 0"},
		{func() error { _, err := Gravity(8, math.NaN()); return err }, "depth is NaN"},
		{func() error { _, err := Baart(0); return err }, "Baart: n is 0"},
		{func() error { _, err := Foxgood(0); return err }, "Foxgood: n is 0"},
	} {
		if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
}
