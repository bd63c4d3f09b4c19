package ode

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"
)

// logistic is y' = p0 y (1 - y/p1), whose solution is closed.
var logistic = System{
	Dim: 1, Params: 2,
	Func: func(d []float64, t float64, y, p []float64) { d[0] = p[0] * y[0] * (1 - y[0]/p[1]) },
	Jacobian: func(dfdy, dfdp *mat.Dense, t float64, y, p []float64) {
		dfdy.Set(0, 0, p[0]*(1-2*y[0]/p[1]))
		dfdp.Set(0, 0, y[0]*(1-y[0]/p[1]))
		dfdp.Set(0, 1, p[0]*y[0]*y[0]/(p[1]*p[1]))
	},
}

func logisticExact(t, y0, r, k float64) (y, dr, dk, dy0 float64) {
	e := math.Exp(-r * t)
	c := k/y0 - 1
	y = k / (1 + c*e)
	dr = y * y / k * c * e * t
	dk = y/k - y*y/k*e/y0
	dy0 = y * y * e / (y0 * y0)
	return
}

// lotkaVolterra has parameters (a, b, c, d): u' = a u - b u v, v' = -c v + d u v.
var lotkaVolterra = System{
	Dim: 2, Params: 4,
	Func: func(d []float64, t float64, y, p []float64) {
		d[0] = p[0]*y[0] - p[1]*y[0]*y[1]
		d[1] = -p[2]*y[1] + p[3]*y[0]*y[1]
	},
	Jacobian: func(dfdy, dfdp *mat.Dense, t float64, y, p []float64) {
		dfdy.Set(0, 0, p[0]-p[1]*y[1])
		dfdy.Set(0, 1, -p[1]*y[0])
		dfdy.Set(1, 0, p[3]*y[1])
		dfdy.Set(1, 1, -p[2]+p[3]*y[0])
		dfdp.Set(0, 0, y[0])
		dfdp.Set(0, 1, -y[0]*y[1])
		dfdp.Set(1, 2, -y[1])
		dfdp.Set(1, 3, y[0]*y[1])
	},
}

func newSolver(t testing.TB, sys System, free []int, set Settings) *Solver {
	t.Helper()
	s, err := NewSolver(sys, free, set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func withoutJacobian(sys System) System { sys.Jacobian = nil; return sys }

func TestClosedForm(t *testing.T) {
	p := []float64{0.7, 12}
	y0 := []float64{1.5}
	times := []float64{0, 0.01, 0.5, 1.3, 1.3, 4, 17}
	for _, tc := range []struct {
		name string
		sys  System
		set  Settings
		tol  float64
	}{
		{"default", logistic, Settings{}, 3e-8},
		{"tight", logistic, Settings{RelTol: 1e-12, AbsTol: 1e-12}, 2e-11},
		{"differences", withoutJacobian(logistic), Settings{RelTol: 1e-11, AbsTol: 1e-11}, 1e-9},
		{"RK4", logistic, Settings{Step: 0.01}, 1e-9},
	} {
		s := newSolver(t, tc.sys, []int{0}, tc.set)
		y, sens := make([]float64, len(times)), make([]float64, 3*len(times))
		if err := s.Solve(y, sens, 0, y0, p, times); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		for i, at := range times {
			want, dr, dk, dy0 := logisticExact(at, y0[0], p[0], p[1])
			if !scalar.EqualWithinRel(y[i], want, tc.tol) {
				t.Errorf("%s: y(%g) = %.12g, want %.12g", tc.name, at, y[i], want)
			}
			for j, w := range []float64{dr, dk, dy0} {
				if got := sens[3*i+j]; !scalar.EqualWithinAbsOrRel(got, w, 20*tc.tol, 20*tc.tol) {
					t.Errorf("%s: derivative %d of y(%g) is %.12g, want %.12g", tc.name, j, at, got, w)
				}
			}
		}
		alone := make([]float64, len(times))
		if err := s.Solve(alone, nil, 0, y0, p, times); err != nil {
			t.Fatal(err)
		}
		for i := range alone {
			if alone[i] != y[i] {
				t.Errorf("%s: y(%g) is %g with sensitivities, %g without", tc.name, times[i], y[i], alone[i])
			}
		}
	}
}

// Halving the step of the classical method divides the error by 16.
func TestOrderOfRK4(t *testing.T) {
	errAt := func(step float64) float64 {
		s := newSolver(t, logistic, nil, Settings{Step: step})
		y := make([]float64, 1)
		if err := s.Solve(y, nil, 0, []float64{1.5}, []float64{0.7, 12}, []float64{4}); err != nil {
			t.Fatal(err)
		}
		want, _, _, _ := logisticExact(4, 1.5, 0.7, 12)
		return math.Abs(y[0] - want)
	}
	for _, step := range []float64{0.4, 0.2, 0.1} {
		if order := math.Log2(errAt(step) / errAt(step/2)); math.Abs(order-4) > 0.15 {
			t.Errorf("step %g: order %.3f, want 4", step, order)
		}
	}
}

// One step of the Dormand-Prince pair: the solution is of order 5 (local error
// h⁶), its estimate of order 4 (h⁵), and dense output of order 4 (h⁵).
func TestOrderOfDormandPrince(t *testing.T) {
	s := newSolver(t, logistic, nil, Settings{})
	p := []float64{0.7, 12}
	oneStep := func(h float64) (local, estimate, dense float64) {
		s.p, s.n = p, 1
		s.z[0] = 1.5
		s.rate(s.k[0], 0, s.z)
		s.stages(0, h)
		s.set.RelTol, s.set.AbsTol = 0, 1
		end, _, _, _ := logisticExact(h, 1.5, p[0], p[1])
		for _, theta := range []float64{0.1, 0.3, 0.5, 0.7, 0.9} {
			s.interpolate(s.tmp, h, theta)
			inside, _, _, _ := logisticExact(theta*h, 1.5, p[0], p[1])
			dense = math.Max(dense, math.Abs(s.tmp[0]-inside))
		}
		return math.Abs(s.znew[0] - end), s.errorNorm(h), dense
	}
	l1, e1, d1 := oneStep(0.2)
	l2, e2, d2 := oneStep(0.1)
	for _, tc := range []struct {
		name        string
		ratio, want float64
	}{{"local error", l1 / l2, 6}, {"estimate", e1 / e2, 5}, {"dense output", d1 / d2, 5}} {
		if order := math.Log2(tc.ratio); math.Abs(order-tc.want) > 0.3 {
			t.Errorf("%s: order %.3f, want %g", tc.name, order, tc.want)
		}
	}
}

// Golden values of SciPy 1.17.1, solve_ivp with DOP853 at tolerances of 3e-14,
// on which Radau at 1e-11 agrees to 12 digits.
func TestGolden(t *testing.T) {
	times := []float64{5, 20}
	want := [][]float64{
		{16.02981330789, 46.2518145178, -89.90385379474, 308.2813389231, 27.63650106468, -1619.790210092, -0.8694910718168, 2.157969372462, 4.602063853808, -2117.65853287, 6.389249749401, -1787.625123854, -1.54927510734, -3.26065610064},
		{23.36029429424, 4.361875303898, 119.7022577377, 814.8585176296, 129.3629198699, 99.42605627899, 0.8648457252499, 5.704009623407, -13.03520745513, -79.03610447582, -10.58280814275, -77.78200144361, -0.0674110679178, 0.5372160946438},
	}
	for _, tc := range []struct {
		name string
		sys  System
		set  Settings
		tol  float64
	}{
		{"tight", lotkaVolterra, Settings{RelTol: 1e-12, AbsTol: 1e-12}, 3e-10},
		{"differences", withoutJacobian(lotkaVolterra), Settings{RelTol: 1e-12, AbsTol: 1e-12}, 1e-8},
		{"default", lotkaVolterra, Settings{}, 5e-7},
		{"RK4, 20 steps a year", lotkaVolterra, Settings{Step: 0.05}, 2e-5},
	} {
		s := newSolver(t, tc.sys, []int{0, 1}, tc.set)
		y, sens := make([]float64, 4), make([]float64, 24)
		if err := s.Solve(y, sens, 0, []float64{30, 4}, []float64{0.55, 0.028, 0.84, 0.026}, times); err != nil {
			t.Fatal(err)
		}
		for i, w := range want {
			got := append(append([]float64(nil), y[2*i:2*i+2]...), sens[12*i:12*i+12]...)
			for j := range w {
				if !scalar.EqualWithinAbsOrRel(got[j], w[j], tc.tol, tc.tol) {
					t.Errorf("%s: value %d at time %g is %.13g, want %.13g", tc.name, j, times[i], got[j], w[j])
				}
			}
		}
	}

	vanDerPol := System{Dim: 2, Func: func(d []float64, t float64, y, p []float64) {
		d[0] = y[1]
		d[1] = 5*(1-y[0]*y[0])*y[1] - y[0]
	}}
	s := newSolver(t, vanDerPol, nil, Settings{RelTol: 1e-11, AbsTol: 1e-11})
	y := make([]float64, 4)
	if err := s.Solve(y, nil, 0, []float64{2, 0}, nil, []float64{7.5, 20}); err != nil {
		t.Fatal(err)
	}
	for i, w := range []float64{-1.761121692180, 0.164897205589, -1.601296879543, 0.198326676338} {
		if math.Abs(y[i]-w) > 5e-10 {
			t.Errorf("van der Pol: value %d is %.12f, want %.12f", i, y[i], w)
		}
	}
}

// The error follows the tolerance.
func TestTolerance(t *testing.T) {
	want := []float64{23.36029429424, 4.361875303898}
	for _, tol := range []float64{1e-4, 1e-6, 1e-8, 1e-10} {
		s := newSolver(t, lotkaVolterra, nil, Settings{RelTol: tol, AbsTol: tol})
		y := make([]float64, 2)
		if err := s.Solve(y, nil, 0, []float64{30, 4}, []float64{0.55, 0.028, 0.84, 0.026}, []float64{20}); err != nil {
			t.Fatal(err)
		}
		for i := range y {
			if e := math.Abs(y[i]/want[i] - 1); e > 200*tol || e < tol/1e4 {
				t.Errorf("tolerance %g: relative error %g", tol, e)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	blowUp := System{Dim: 1, Func: func(d []float64, _ float64, y, _ []float64) { d[0] = y[0] * y[0] }} // pole at t = 1
	stiff := System{Dim: 1, Func: func(d []float64, t float64, y, _ []float64) { d[0] = -1e7 * (y[0] - math.Cos(t)) }}
	root := System{Dim: 1, Func: func(d []float64, _ float64, y, _ []float64) { d[0] = -1 / math.Sqrt(y[0]-0.5) }}
	broken := System{Dim: 1, Func: func(d []float64, _ float64, y, _ []float64) { d[0] = math.NaN() }}
	for _, tc := range []struct {
		name string
		sys  System
		set  Settings
		want error
	}{
		{"pole", blowUp, Settings{}, ErrStepSize},
		{"pole, fixed steps", blowUp, Settings{Step: 0.01}, ErrNotFinite},
		{"stiff", stiff, Settings{}, ErrSteps},
		{"too many fixed steps", logistic, Settings{Step: 1e-9}, ErrSteps},
		{"end of the domain", root, Settings{}, ErrStepSize},
		{"NaN from the start", broken, Settings{}, ErrNotFinite},
	} {
		s := newSolver(t, tc.sys, nil, tc.set)
		p := []float64{1, 1}[:tc.sys.Params]
		err := s.Solve(make([]float64, 1), nil, 0, []float64{1}, p, []float64{10})
		var e *Error
		if !errors.Is(err, tc.want) || !errors.As(err, &e) || !strings.HasPrefix(err.Error(), "ode: at time ") {
			t.Errorf("%s: error %v, want %v", tc.name, err, tc.want)
			continue
		}
		if tc.name == "pole" && math.Abs(e.Time-1) > 1e-6 {
			t.Errorf("pole at time %g, want 1", e.Time)
		}
	}
	s := newSolver(t, logistic, nil, Settings{})
	if err := s.Solve(make([]float64, 1), nil, 0, []float64{math.NaN()}, []float64{1, 1}, []float64{1}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("initial value NaN: error %v", err)
	}
}

func TestBadSystem(t *testing.T) {
	f := logistic.Func
	for want, tc := range map[string]struct {
		sys  System
		free []int
		set  Settings
	}{
		"Dim is 0":                       {System{Func: f}, nil, Settings{}},
		"Params is -1":                   {System{Dim: 1, Params: -1, Func: f}, nil, Settings{}},
		"Func is nil":                    {System{Dim: 1}, nil, Settings{}},
		"free initial value 0":           {logistic, []int{1}, Settings{}},
		"free initial value 1":           {logistic, []int{0, 0}, Settings{}},
		"RelTol is -1":                   {logistic, nil, Settings{RelTol: -1}},
		"AbsTol is NaN":                  {logistic, nil, Settings{AbsTol: math.NaN()}},
		"Step is +Inf, want a number":    {logistic, nil, Settings{Step: math.Inf(1)}},
		"MaxSteps is -1":                 {logistic, nil, Settings{MaxSteps: -1}},
		"component -1: out of range of ": {logistic, []int{-1}, Settings{}},
	} {
		if _, err := NewSolver(tc.sys, tc.free, tc.set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, set := range []Settings{{}, {Step: 0.05}} {
		s := newSolver(t, withoutJacobian(lotkaVolterra), []int{0, 1}, set)
		y, sens := make([]float64, 4), make([]float64, 24)
		y0, p, times := []float64{30, 4}, []float64{0.55, 0.028, 0.84, 0.026}, []float64{5, 20}
		if n := testing.AllocsPerRun(20, func() { _ = s.Solve(y, sens, 0, y0, p, times) }); n != 0 {
			t.Errorf("step %g: Solve allocates %g times", set.Step, n)
		}
	}
}

func BenchmarkLotkaVolterra(b *testing.B) {
	y0, p := []float64{30, 4}, []float64{0.55, 0.028, 0.84, 0.026}
	times := make([]float64, 20)
	for i := range times {
		times[i] = float64(i + 1)
	}
	y, sens := make([]float64, 40), make([]float64, 40*6)
	for _, bc := range []struct {
		name string
		sys  System
		set  Settings
		sens []float64
	}{
		{"value", lotkaVolterra, Settings{}, nil},
		{"value1e-6", lotkaVolterra, Settings{RelTol: 1e-6, AbsTol: 1e-6}, nil},
		{"sensitivities", lotkaVolterra, Settings{}, sens},
		{"sensitivities-differences", withoutJacobian(lotkaVolterra), Settings{}, sens},
		{"sensitivities-RK4", lotkaVolterra, Settings{Step: 0.05}, sens},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := newSolver(b, bc.sys, []int{0, 1}, bc.set)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Solve(y, bc.sens, 0, y0, p, times); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
