package forward

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Linearize returns a new workspace that evaluates op and its vector-Jacobian
// product at the same points, by the first of these that op has: its own
// Linearize method ([inverse.Linearizer]), its Adjoint ([inverse.Linear]),
// its VJP ([inverse.Differentiable]). The error names what is missing if op
// has none.
//
// The workspace serves one goroutine; take one for each.
func Linearize(op inverse.Operator) (inverse.Linearization, error) {
	switch op := op.(type) {
	case nil:
		return nil, errors.New("forward: nil operator")
	case inverse.Linearizer:
		return op.Linearize(), nil
	case inverse.Linear:
		return linear{op}, nil
	case inverse.Differentiable:
		return &atPoint{op: op}, nil
	}
	return nil, fmt.Errorf("forward: operator %T has no derivative: it implements none of inverse.Linear (Adjoint), inverse.Differentiable (VJP) and inverse.Linearizer", op)
}

// linear is the linearization of a Linear operator, whose Jacobian is itself.
type linear struct{ inverse.Linear }

func (l linear) VJP(dst, y *mat.Dense) { l.Adjoint(dst, y) }

// atPoint remembers the last point for a VJP that asks for it.
type atPoint struct {
	op inverse.Differentiable
	x  mat.Dense
}

func (l *atPoint) Apply(dst, x *mat.Dense) {
	r, n := x.Dims()
	l.x.Reset()
	l.x.ReuseAs(r, n)
	l.x.Copy(x)
	l.op.Apply(dst, x)
}

func (l *atPoint) VJP(dst, y *mat.Dense) { l.op.VJP(dst, &l.x, y) }
