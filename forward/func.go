package forward

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/diff"
)

// Func is any Go function as an operator. A row where the function's value
// is not finite is filled with NaN.
//
// A Func is safe for concurrent use if the function, and the VJP if there is
// one, are.
type Func struct {
	nonlinear
	f        func(dst, x []float64)
	pullback func(dst, x, y []float64)
	jac      sync.Pool // *diff.Jacobian, without a pullback
}

var (
	_ inverse.Differentiable = (*Func)(nil)
	_ inverse.Linearizer     = (*Func)(nil)
)

// FuncOptions are the options of [NewFunc].
type FuncOptions struct {
	// VJP stores J(x)ᵀy in dst, where J(x) is the Jacobian of f. If it is
	// nil, the Jacobian is taken by central differences, which cost 2n
	// evaluations of f and have about ten correct digits for a smooth f.
	VJP func(dst, x, y []float64)

	// Workers is the number of goroutines that share the rows of a batch. If
	// it is 0, it is defaulted to GOMAXPROCS. Set it to 1 if f is not safe
	// for concurrent use.
	Workers int
}

// NewFunc returns the operator A(x) = f(x) from Rⁿ to Rᵐ, where f stores its
// value in dst, of length m, and may not keep or change x. A nil opts means
// defaults.
func NewFunc(m, n int, f func(dst, x []float64), opts *FuncOptions) (*Func, error) {
	switch {
	case m <= 0 || n <= 0:
		return nil, fmt.Errorf("forward: dimensions are %d×%d, want positive numbers", m, n)
	case f == nil:
		return nil, errors.New("forward: f is nil")
	}
	if opts == nil {
		opts = &FuncOptions{}
	}
	if opts.Workers < 0 {
		return nil, fmt.Errorf("forward: Workers is %d", opts.Workers)
	}
	o := &Func{f: f, pullback: opts.VJP}
	o.nonlinear = nonlinear{a: (*funcModel)(o), m: m, n: n, stateLen: n, workers: opts.Workers}
	if o.pullback == nil {
		o.stateLen = m * n
		o.jac.New = func() any { return diff.NewJacobian(m, n, f) }
	}
	return o, nil
}

// funcModel is a Func as a map of one vector. Its state is x or, without VJP,
// the Jacobian.
type funcModel Func

func (o *funcModel) value(dst, x []float64) {
	o.f(dst, x)
	if !allFinite(dst) {
		fillNaN(dst)
	}
}

func (o *funcModel) linearize(dst, state, x []float64) {
	o.value(dst, x)
	switch {
	case !allFinite(dst[:1]):
		fillNaN(state)
	case o.pullback != nil:
		copy(state, x)
	default:
		j := o.jac.Get().(*diff.Jacobian)
		j.At(state, x)
		o.jac.Put(j)
	}
}

func (o *funcModel) vjp(dst, state, y []float64) {
	switch {
	case o.pullback == nil:
		mulTransVec(dst, state, y)
	case math.IsNaN(state[0]):
		fillNaN(dst)
	default:
		o.pullback(dst, state, y)
	}
}
