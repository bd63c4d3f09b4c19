package forward

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/ode"
	"github.com/go-inverse/inverse/internal/rng"
)

// predatorPrey has parameters (a, b, c, d): u' = a u - b u v, v' = -c v + d u v.
func predatorPrey(dydt []float64, t float64, y, p []float64) {
	dydt[0] = p[0]*y[0] - p[1]*y[0]*y[1]
	dydt[1] = -p[2]*y[1] + p[3]*y[0]*y[1]
}

func predatorPreyJacobian(dfdy, dfdp *mat.Dense, t float64, y, p []float64) {
	dfdy.Set(0, 0, p[0]-p[1]*y[1])
	dfdy.Set(0, 1, -p[1]*y[0])
	dfdy.Set(1, 0, p[3]*y[1])
	dfdy.Set(1, 1, -p[2]+p[3]*y[0])
	dfdp.Set(0, 0, y[0])
	dfdp.Set(0, 1, -y[0]*y[1])
	dfdp.Set(1, 2, -y[1])
	dfdp.Set(1, 3, y[0]*y[1])
}

var predatorPreyX = []float64{0.55, 0.028, 0.84, 0.026}

func predatorPreyODE(t testing.TB, opts *ODEOptions) *ODE {
	t.Helper()
	o, err := NewODE(predatorPrey, 4, []float64{30, 4}, []float64{1, 2.5, 5, 20}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// around returns rows that scatter by a few per cent around x.
func around(r int, x []float64) *mat.Dense {
	rows := normalRows(r, len(x), rng.New(3, 0))
	rows.Apply(func(i, j int, v float64) float64 { return x[j] * (1 + 0.03*v) }, rows)
	return rows
}

func init() {
	operatorCases = append(operatorCases, func(t *testing.T) []operatorCase {
		full := append(append([]float64(nil), predatorPreyX...), 4, 30) // and v(0), u(0)
		return []operatorCase{
			{"ODE", predatorPreyODE(t, &ODEOptions{Jacobian: predatorPreyJacobian}), around(3, predatorPreyX)},
			{"ODE by differences", predatorPreyODE(t, nil), around(3, predatorPreyX)},
			{"ODE log", predatorPreyODE(t, &ODEOptions{Log: true, Observe: []int{1}, UnknownInitial: []int{1, 0}}), around(3, full)},
			{"ODE RK4", predatorPreyODE(t, &ODEOptions{Step: 0.05, Jacobian: predatorPreyJacobian, Workers: 1}), around(3, predatorPreyX)},
		}
	})
}

// Derivatives at the default tolerances agree with differences of the
// solution in any direction, not only in those that the checks of all
// operators happen to draw.
func TestODEDefaultTolerance(t *testing.T) {
	o := predatorPreyODE(t, &ODEOptions{Jacobian: predatorPreyJacobian})
	for seed := range uint64(25) {
		if err := CheckVJP(o, around(3, predatorPreyX), rng.New(seed, 1)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// Golden values of SciPy 1.17.1, solve_ivp with DOP853 at tolerances of 3e-14.
func TestODEGolden(t *testing.T) {
	o := predatorPreyODE(t, &ODEOptions{RelTol: 1e-12, AbsTol: 1e-12, UnknownInitial: []int{0, 1}, Jacobian: predatorPreyJacobian})
	x := mat.NewDense(1, 6, append(append([]float64(nil), predatorPreyX...), 30, 4))
	f := mat.NewDense(1, 8, nil)
	o.Apply(f, x)
	for i, want := range map[int]float64{4: 16.02981330789, 5: 46.2518145178, 6: 23.36029429424, 7: 4.361875303898} {
		if got := f.At(0, i); !scalar.EqualWithinRel(got, want, 1e-10) {
			t.Errorf("A(x)[%d] = %.13g, want %.13g", i, got, want)
		}
	}
	// The gradient of v(20).
	v, g := mat.NewDense(1, 8, nil), mat.NewDense(1, 6, nil)
	v.Set(0, 7, 1)
	o.VJP(g, x, v)
	for i, want := range []float64{-13.03520745513, -79.03610447582, -10.58280814275, -77.78200144361, -0.0674110679178, 0.5372160946438} {
		if got := g.At(0, i); !scalar.EqualWithinRel(got, want, 1e-9) {
			t.Errorf("gradient[%d] = %.13g, want %.13g", i, got, want)
		}
	}
}

// y' = y² has a pole at 1/y0. Rows that run into it are NaN, the others not.
func TestODEFailure(t *testing.T) {
	o, err := NewODE(func(dydt []float64, _ float64, y, p []float64) { dydt[0] = p[0] * y[0] * y[0] }, 1,
		[]float64{1}, []float64{0.5, 2}, &ODEOptions{Log: true})
	if err != nil {
		t.Fatal(err)
	}
	x := mat.NewDense(4, 1, []float64{0.25, 1, math.NaN(), -3})
	f, g := mat.NewDense(4, 2, nil), mat.NewDense(4, 1, nil)
	o.Apply(f, x)
	o.VJP(g, x, mat.NewDense(4, 2, nil)) // NaN also when y is zero
	for i, fails := range []bool{false, true, true, false} {
		for _, v := range []float64{f.At(i, 0), f.At(i, 1), g.At(i, 0)} {
			if math.IsNaN(v) != fails {
				t.Errorf("x = %g: A(x) = %g, VJP %g", x.At(i, 0), f.RawRowView(i), g.RawRowView(i))
			}
		}
		if err := o.Err(x.RawRowView(i)); (err != nil) != fails {
			t.Errorf("x = %g: Err returns %v", x.At(i, 0), err)
		}
	}
	if err := o.Err([]float64{1}); !errors.Is(err, ode.ErrStepSize) || !strings.HasPrefix(err.Error(), "forward: ode: at time 1") {
		t.Errorf("Err returns %v", err)
	}
	want := -math.Log(1 + 3*2)
	if got := f.At(3, 1); !scalar.EqualWithinRel(got, want, 1e-7) {
		t.Errorf("log y(2) = %g, want %g", got, want)
	}

	sine, err := NewODE(func(dydt []float64, t float64, y, p []float64) { dydt[0] = p[0] * math.Cos(t) }, 1,
		[]float64{0.5}, []float64{1, 4}, &ODEOptions{Log: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := sine.Err([]float64{1}); err == nil || !strings.Contains(err.Error(), "component 0 at time 4 is -0.25") {
		t.Errorf("Err returns %v", err)
	}
	f = mat.NewDense(1, 2, nil)
	sine.Apply(f, mat.NewDense(1, 1, []float64{1}))
	if !math.IsNaN(f.At(0, 0)) || !math.IsNaN(f.At(0, 1)) {
		t.Errorf("a row without a logarithm is %g", f.RawRowView(0))
	}
}

func TestNewODEErrors(t *testing.T) {
	y0, times := []float64{1, 2}, []float64{1, 2}
	nan := math.NaN()
	for want, f := range map[string]func() (*ODE, error){
		"f is nil":              func() (*ODE, error) { return NewODE(nil, 4, y0, times, nil) },
		"y0 is empty":           func() (*ODE, error) { return NewODE(predatorPrey, 4, nil, times, nil) },
		"y0[1] is NaN":          func() (*ODE, error) { return NewODE(predatorPrey, 4, []float64{1, nan}, times, nil) },
		"times is empty":        func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, nil, nil) },
		"times[1] is 0.5, want": func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, []float64{1, 0.5}, nil) },
		"times[0] is -1, want":  func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, []float64{-1}, nil) },
		"times[0] is NaN":       func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, []float64{nan}, nil) },
		"T0 is NaN":             func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{T0: nan}) },
		"Params is -1":          func() (*ODE, error) { return NewODE(predatorPrey, -1, y0, times, nil) },
		"neither parameters":    func() (*ODE, error) { return NewODE(predatorPrey, 0, y0, times, nil) },
		"Observe is empty":      func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{Observe: []int{}}) },
		"Observe[0] is 2":       func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{Observe: []int{2}}) },
		"UnknownInitial[0] is -1": func() (*ODE, error) {
			return NewODE(predatorPrey, 4, y0, times, &ODEOptions{UnknownInitial: []int{-1}})
		},
		"lists component 1 twice": func() (*ODE, error) {
			return NewODE(predatorPrey, 4, y0, times, &ODEOptions{UnknownInitial: []int{1, 1}})
		},
		"RelTol is -1":              func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{RelTol: -1}) },
		"Workers is -1":             func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{Workers: -1}) },
		"forward: ode: MaxSteps is": func() (*ODE, error) { return NewODE(predatorPrey, 4, y0, times, &ODEOptions{MaxSteps: -1}) },
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "forward: ") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func BenchmarkODE(b *testing.B) {
	times := make([]float64, 20)
	for i := range times {
		times[i] = float64(i + 1)
	}
	o, err := NewODE(predatorPrey, 4, []float64{30, 4}, times, &ODEOptions{Jacobian: predatorPreyJacobian})
	if err != nil {
		b.Fatal(err)
	}
	for _, rows := range []struct {
		name string
		r    int
	}{{"rows1", 1}, {"rows64", 64}} {
		x := around(rows.r, predatorPreyX)
		f, g := mat.NewDense(rows.r, 40, nil), mat.NewDense(rows.r, 4, nil)
		b.Run("Apply/"+rows.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				o.Apply(f, x)
			}
		})
		b.Run("Linearize/"+rows.name, func(b *testing.B) {
			b.ReportAllocs()
			l := o.Linearize()
			for b.Loop() {
				l.Apply(f, x)
				l.VJP(g, f)
			}
		})
	}
}
