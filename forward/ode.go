package forward

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/ode"
)

// ODE observes the solution of an ordinary differential equation
//
//	dy/dt = f(t, y; p),  y(t0) = y0
//
// at given times, as a function of its parameters p and, if wanted, of
// unknown initial values:
//
//	x = (p, y0 of the components in UnknownInitial),
//	A(x) = (observed components at the first time, at the second, ...).
//
// The value and its derivatives come from one integration of the equation
// with its variational equations. Where the integration fails (the solution
// is not finite, a step size falls to nothing, there are too many steps) the
// row is NaN, and [ODE.Err] says why. The methods are explicit: stiff
// equations need many steps.
//
// An ODE is safe for concurrent use if f is.
type ODE struct {
	nonlinear
	params  int
	y0      []float64
	times   []float64
	opts    ODEOptions
	solvers sync.Pool // *odeWork
}

var (
	_ inverse.Differentiable = (*ODE)(nil)
	_ inverse.Linearizer     = (*ODE)(nil)
)

// ODEOptions are the options of [NewODE].
type ODEOptions struct {
	// T0 is the time of the initial values.
	T0 float64

	// UnknownInitial lists the components whose initial values are unknown.
	// They follow the parameters in x, and y0 is not used for them.
	UnknownInitial []int

	// Observe lists the components that are observed. If it is nil, all are.
	Observe []int

	// Log is set to observe the logarithms of the components. A component
	// that is not positive then makes the row NaN.
	Log bool

	// Jacobian adds ∂f_i/∂y_j to dfdy and ∂f_i/∂p_j to dfdp, which are zero
	// when it is called; dfdp is nil if there are no parameters. If it is
	// nil, derivatives of f are central differences, which have about ten
	// correct digits and cost two evaluations of f for each component and
	// each parameter.
	Jacobian func(dfdy, dfdp *mat.Dense, t float64, y, p []float64)

	// RelTol and AbsTol bound the estimated error of each step, relative to
	// the solution and absolute. If they are 0, they are defaulted to 1e-9
	// and 1e-11, where derivatives agree with differences of the solution to
	// 1e-6. Tolerances of 1e-6 take a quarter as many steps.
	RelTol, AbsTol float64

	// Step, if positive, selects the classical Runge-Kutta method of order 4
	// with fixed steps of at most this size, in place of the adaptive method
	// of Dormand and Prince.
	Step float64

	// MaxSteps bounds the number of steps of one solution. If it is 0, it is
	// defaulted to 10000.
	MaxSteps int

	// Workers is the number of goroutines that share the rows of a batch. If
	// it is 0, it is defaulted to GOMAXPROCS. Set it to 1 if f is not safe
	// for concurrent use.
	Workers int
}

// NewODE returns the ODE with right-hand side f, which stores f(t, y; p) in
// dydt and may not keep or change y and p; params is the length of p, y0 holds
// the initial values, and times, which increase and do not lie before T0, are
// when the solution is observed. A nil opts means defaults.
func NewODE(f func(dydt []float64, t float64, y, p []float64), params int, y0, times []float64, opts *ODEOptions) (*ODE, error) {
	o := &ODE{params: params, y0: slices.Clone(y0), times: slices.Clone(times)}
	if opts != nil {
		o.opts = *opts
	}
	o.opts.UnknownInitial = slices.Clone(o.opts.UnknownInitial)
	o.opts.Observe = slices.Clone(o.opts.Observe)
	d := len(y0)
	if o.opts.Observe == nil {
		for i := range d {
			o.opts.Observe = append(o.opts.Observe, i)
		}
	}
	if err := o.check(f); err != nil {
		return nil, err
	}
	newWork := func() (*odeWork, error) {
		solver, err := ode.NewSolver(
			ode.System{Dim: d, Params: params, Func: f, Jacobian: o.opts.Jacobian}, o.opts.UnknownInitial,
			ode.Settings{RelTol: o.opts.RelTol, AbsTol: o.opts.AbsTol, Step: o.opts.Step, MaxSteps: o.opts.MaxSteps})
		if err != nil {
			return nil, err
		}
		return &odeWork{
			Solver: solver,
			y0:     slices.Clone(y0),
			y:      make([]float64, d*len(times)),
			sens:   make([]float64, d*len(times)*solver.Unknowns()),
		}, nil
	}
	w, err := newWork()
	if err != nil {
		return nil, fmt.Errorf("forward: %w", err)
	}
	o.solvers.New = func() any { w, _ := newWork(); return w } // it has worked once
	o.solvers.Put(w)
	m, n := len(o.opts.Observe)*len(times), w.Unknowns()
	if n == 0 {
		return nil, fmt.Errorf("forward: the ODE has neither parameters nor unknown initial values")
	}
	o.nonlinear = nonlinear{a: (*odeModel)(o), m: m, n: n, stateLen: m * n, workers: o.opts.Workers}
	return o, nil
}

func (o *ODE) check(f func(dydt []float64, t float64, y, p []float64)) error {
	d := len(o.y0)
	switch {
	case f == nil:
		return fmt.Errorf("forward: f is nil")
	case d == 0:
		return fmt.Errorf("forward: y0 is empty")
	case len(o.times) == 0:
		return fmt.Errorf("forward: times is empty")
	case len(o.opts.Observe) == 0:
		return fmt.Errorf("forward: Observe is empty")
	case o.opts.Workers < 0:
		return fmt.Errorf("forward: Workers is %d", o.opts.Workers)
	case math.IsNaN(o.opts.T0) || math.IsInf(o.opts.T0, 0):
		return fmt.Errorf("forward: T0 is %g", o.opts.T0)
	}
	last := o.opts.T0
	for i, t := range o.times {
		if math.IsNaN(t) || math.IsInf(t, 0) || t < last {
			return fmt.Errorf("forward: times[%d] is %g, want a finite time not before %g", i, t, last)
		}
		last = t
	}
	for i, c := range o.opts.Observe {
		if c < 0 || c >= d {
			return fmt.Errorf("forward: Observe[%d] is %d, the ODE has %d components", i, c, d)
		}
	}
	for i, c := range o.opts.UnknownInitial {
		if c < 0 || c >= d {
			return fmt.Errorf("forward: UnknownInitial[%d] is %d, the ODE has %d components", i, c, d)
		}
		if slices.Contains(o.opts.UnknownInitial[:i], c) {
			return fmt.Errorf("forward: UnknownInitial lists component %d twice", c)
		}
	}
	for i, v := range o.y0 {
		if (math.IsNaN(v) || math.IsInf(v, 0)) && !slices.Contains(o.opts.UnknownInitial, i) {
			return fmt.Errorf("forward: y0[%d] is %g", i, v)
		}
	}
	return nil
}

// Err returns why A(x) is NaN, or nil if it is not.
func (o *ODE) Err(x []float64) error {
	if len(x) != o.n {
		panic(fmt.Sprintf("forward: x has length %d, want %d", len(x), o.n))
	}
	w := o.solvers.Get().(*odeWork)
	defer o.solvers.Put(w)
	if err := w.solve(o, nil, x); err != nil {
		stopped := *err.(*ode.Error) // w's own is overwritten by its next user
		return fmt.Errorf("forward: %w", &stopped)
	}
	if o.opts.Log {
		d := len(o.y0)
		for i, t := range o.times {
			for _, c := range o.opts.Observe {
				if v := w.y[i*d+c]; !(v > 0) {
					return fmt.Errorf("forward: component %d at time %g is %g, which has no logarithm", c, t, v)
				}
			}
		}
	}
	return nil
}

// odeWork is the workspace of one solution.
type odeWork struct {
	*ode.Solver
	y0, y, sens []float64
}

func (w *odeWork) solve(o *ODE, sens, x []float64) error {
	for i, c := range o.opts.UnknownInitial {
		w.y0[c] = x[o.params+i]
	}
	return w.Solve(w.y, sens, o.opts.T0, w.y0, x[:o.params], o.times)
}

// odeModel is an ODE as a map of one vector, whose state is the Jacobian.
type odeModel ODE

func (o *odeModel) value(dst, x []float64) {
	w := o.solvers.Get().(*odeWork)
	defer o.solvers.Put(w)
	if w.solve((*ODE)(o), nil, x) != nil || !o.observe(dst, w.y) {
		fillNaN(dst)
	}
}

func (o *odeModel) linearize(dst, state, x []float64) {
	w := o.solvers.Get().(*odeWork)
	defer o.solvers.Put(w)
	if w.solve((*ODE)(o), w.sens, x) != nil || !o.observe(dst, w.y) {
		fillNaN(dst)
		fillNaN(state)
		return
	}
	d, n := len(o.y0), o.n
	for i := range o.times {
		for _, c := range o.opts.Observe {
			row := state[:n]
			copy(row, w.sens[(i*d+c)*n:])
			if o.opts.Log {
				for j := range row {
					row[j] /= w.y[i*d+c]
				}
			}
			state = state[n:]
		}
	}
}

func (o *odeModel) vjp(dst, state, y []float64) { mulTransVec(dst, state, y) }

// observe stores what is observed of the solution y, if it can be.
func (o *odeModel) observe(dst, y []float64) bool {
	d := len(o.y0)
	for i := range o.times {
		for _, c := range o.opts.Observe {
			v := y[i*d+c]
			if o.opts.Log {
				if !(v > 0) {
					return false
				}
				v = math.Log(v)
			}
			dst[0] = v
			dst = dst[1:]
		}
	}
	return true
}
