// Package ode solves initial value problems of ordinary differential
// equations, with the derivatives of the solution by parameters and initial
// values.
//
// The methods are explicit: the pair of orders 5(4) of Dormand and Prince with
// a PI step control and dense output, and the classical Runge-Kutta method
// with fixed steps. Stiff problems end in an error, at the bound on the number
// of steps.
//
//	s, err := ode.NewSolver(ode.System{Dim: 1, Params: 1, Func: decay}, nil, ode.Settings{})
//	err = s.Solve(y, sens, 0, y0, p, times)
package ode

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// System is dy/dt = f(t, y; p) with y of length Dim and p of length Params.
type System struct {
	Dim, Params int

	// Func stores f(t, y; p) in dydt. It may not keep or change y and p.
	Func func(dydt []float64, t float64, y, p []float64)

	// Jacobian adds ∂f_i/∂y_j to dfdy (Dim×Dim) and ∂f_i/∂p_j to dfdp
	// (Dim×Params), which are zero when it is called; dfdp is nil without
	// parameters. If it is nil, central differences of Func stand in, at the
	// cost of 2(Dim + Params) evaluations a stage and with about ten correct
	// digits.
	Jacobian func(dfdy, dfdp *mat.Dense, t float64, y, p []float64)
}

// Settings are the tolerances of a Solver.
type Settings struct {
	// RelTol and AbsTol bound the estimated error of a step, component by
	// component, by AbsTol + RelTol |y_i|, in the mean square. If they are 0,
	// they are defaulted to 1e-9 and 1e-11. Derivatives take the steps of the
	// solution, so that asking for them does not change it; their errors are
	// larger than its own, by a factor of 100 or so where it is sensitive.
	RelTol, AbsTol float64

	// Step, if positive, selects the classical method of order 4 with fixed
	// steps: the largest ones not above Step that divide the time from one
	// output to the next.
	Step float64

	// MaxSteps bounds the number of steps, accepted or not, of one solution.
	// If it is 0, it is defaulted to 10000.
	MaxSteps int
}

// The causes of an Error.
var (
	ErrSteps     = errors.New("too many steps; the problem may be stiff")
	ErrStepSize  = errors.New("step size fell to nothing; the solution may be singular")
	ErrNotFinite = errors.New("the solution or its rate is not finite")
)

// Error is why a solution stopped. The Error that Solve returns belongs to the
// Solver and is overwritten by its next use.
type Error struct {
	Time  float64 // how far it came
	Cause error   // ErrSteps, ErrStepSize or ErrNotFinite
}

func (e *Error) Error() string { return fmt.Sprintf("ode: at time %.6g: %v", e.Time, e.Cause) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Solver is a workspace for solving one System. It serves one goroutine at a
// time and does not allocate after NewSolver.
type Solver struct {
	sys  System
	set  Settings
	free []int // initial values that are unknowns too
	q    int   // number of unknowns: parameters and free initial values

	jac  *jacobian
	p    []float64 // of the solution under way
	z    []float64 // the state: y and then the rows of ∂y/∂(p, y0)
	znew []float64
	tmp  []float64
	k    [7][]float64
	n    int // the length of the state in use
	fail Error
}

// NewSolver returns a Solver. The unknowns that solutions are differentiated
// by are the parameters, followed by the initial values of the components
// listed in free.
func NewSolver(sys System, free []int, set Settings) (*Solver, error) {
	switch {
	case sys.Dim <= 0:
		return nil, fmt.Errorf("ode: Dim is %d, want a positive number", sys.Dim)
	case sys.Params < 0:
		return nil, fmt.Errorf("ode: Params is %d", sys.Params)
	case sys.Func == nil:
		return nil, errors.New("ode: Func is nil")
	case set.MaxSteps < 0:
		return nil, fmt.Errorf("ode: MaxSteps is %d", set.MaxSteps)
	}
	seen := make([]bool, sys.Dim)
	for i, c := range free {
		if c < 0 || c >= sys.Dim || seen[c] {
			return nil, fmt.Errorf("ode: free initial value %d is component %d: out of range of %d components, or twice", i, c, sys.Dim)
		}
		seen[c] = true
	}
	for _, s := range []struct {
		name  string
		value *float64
		def   float64
	}{{"RelTol", &set.RelTol, 1e-9}, {"AbsTol", &set.AbsTol, 1e-11}, {"Step", &set.Step, 0}} {
		if !(*s.value >= 0) || math.IsInf(*s.value, 1) {
			return nil, fmt.Errorf("ode: %s is %g, want a number that is not negative", s.name, *s.value)
		}
		if *s.value == 0 {
			*s.value = s.def
		}
	}
	if set.MaxSteps == 0 {
		set.MaxSteps = 10000
	}
	s := &Solver{sys: sys, set: set, free: free, q: sys.Params + len(free)}
	s.jac = newJacobian(sys)
	n := sys.Dim * (1 + s.q)
	buf := make([]float64, (3+len(s.k))*n)
	for _, v := range []*[]float64{&s.z, &s.znew, &s.tmp, &s.k[0], &s.k[1], &s.k[2], &s.k[3], &s.k[4], &s.k[5], &s.k[6]} {
		*v, buf = buf[:n:n], buf[n:]
	}
	return s, nil
}

// Unknowns returns the number of unknowns, by which solutions can be
// differentiated.
func (s *Solver) Unknowns() int { return s.q }

// Solve integrates from y0 at time t0 with parameters p and stores the
// solution at times[i], which increase and do not lie before t0, in the i-th
// Dim elements of y. If sens is not nil, it stores the derivatives by the
// unknowns in its i-th Dim×Unknowns elements, row-major.
//
// The error, if not nil, is an *Error.
func (s *Solver) Solve(y, sens []float64, t0 float64, y0, p, times []float64) error {
	d := s.sys.Dim
	if len(y0) != d || len(p) != s.sys.Params || len(y) != d*len(times) || (sens != nil && len(sens) != d*s.q*len(times)) {
		panic(fmt.Sprintf("ode: lengths of y, sens, y0 and p are %d, %d, %d and %d for %d times", len(y), len(sens), len(y0), len(p), len(times)))
	}
	s.p = p
	s.n = d
	copy(s.z, y0)
	if sens != nil {
		s.n = len(s.z)
		clear(s.z[d:])
		for j, c := range s.free {
			s.z[d+c*s.q+s.sys.Params+j] = 1
		}
	}
	out := output{y: y, sens: sens, d: d, q: s.q, times: times}
	for len(out.times) > 0 && out.times[0] <= t0 {
		out.store(s.z)
	}
	if len(out.times) == 0 {
		return nil
	}
	s.rate(s.k[0], t0, s.z)
	if !finite(s.k[0][:d]) || !finite(y0) {
		return s.failed(t0, ErrNotFinite)
	}
	if s.set.Step > 0 {
		return s.rungeKutta(&out, t0)
	}
	return s.dormandPrince(&out, t0)
}

func (s *Solver) failed(t float64, cause error) error {
	s.fail = Error{Time: t, Cause: cause}
	return &s.fail
}

// output is what remains to be stored.
type output struct {
	y, sens []float64
	d, q    int
	times   []float64
}

// store stores the state z as the next output.
func (o *output) store(z []float64) {
	copy(o.y, z[:o.d])
	o.y = o.y[o.d:]
	if o.sens != nil {
		copy(o.sens, z[o.d:])
		o.sens = o.sens[o.d*o.q:]
	}
	o.times = o.times[1:]
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
