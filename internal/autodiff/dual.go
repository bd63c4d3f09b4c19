package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Dual is a matrix with directional derivatives, forward mode. If Val has r
// rows, Tan has kr: row ik+j of Tan is the derivative of row i of Val in the
// j-th of its k directions. The zero Var as Tan means that all are zero.
//
// The rules are built from the operations of the tape, so values and tangents
// can both be differentiated in reverse: this is how a trace of a Jacobian or
// a derivative in time gets into a loss.
type Dual struct{ Val, Tan Var }

// Seed returns x (r×n) with the directions of its columns lo to hi-1: the
// tangents of a function of it are those columns of its Jacobian.
func (t *Tape[T]) Seed(x Var, lo, hi int) Dual {
	r, n := t.Dims(x)
	if lo < 0 || hi > n || lo >= hi {
		t.shapePanic("Seed", x)
	}
	return Dual{x, t.units(r, n, lo, hi)}
}

// units returns, for each of r rows, the unit vectors lo to hi-1 of length n.
func (t *Tape[T]) units(r, n, lo, hi int) Var {
	v := t.Fill(r*(hi-lo), n, 0)
	val := t.Value(v)
	for i := range r * (hi - lo) {
		val[i*n+lo+i%(hi-lo)] = 1
	}
	return v
}

// Trace returns the r×1 column of Σ_j ∂y_j/∂x_j for y (r×n) with n
// directions: the trace of the Jacobian of each row.
func (t *Tape[T]) Trace(y Dual) Var {
	r, n := t.Dims(y.Val)
	if rt, _ := t.Dims(y.Tan); rt != r*n {
		t.shapePanic("Trace", y.Val, y.Tan)
	}
	diagonal := t.Mul(y.Tan, t.units(r, n, 0, n))
	return t.RowSums(t.Reshape(diagonal, r, n*n))
}

// LinearDual is Linear: ẏ = σ'(z) ∘ (ẋWᵀ).
func (t *Tape[T]) LinearDual(x Dual, w, b Var, act kernel.Activation) Dual {
	z := t.Linear(x.Val, w, b, kernel.Identity)
	if x.Tan == 0 {
		return Dual{Val: t.Activate(act, z)}
	}
	return t.ActivateDual(act, Dual{z, t.Linear(x.Tan, w, 0, kernel.Identity)})
}

// ActivateDual is Activate: ẏ = σ'(x) ∘ ẋ.
func (t *Tape[T]) ActivateDual(act kernel.Activation, x Dual) Dual {
	y := t.Activate(act, x.Val)
	if x.Tan == 0 || act == kernel.Identity {
		return Dual{y, x.Tan}
	}
	return Dual{y, t.Mul(x.Tan, t.Derivative(act, x.Val, y))}
}

// Derivative returns σ'(z), where y is σ(z).
func (t *Tape[T]) Derivative(act kernel.Activation, z, y Var) Var {
	switch act {
	case kernel.Identity:
		r, c := t.Dims(z)
		return t.Fill(r, c, 1)
	case kernel.ReLU:
		return t.Step(z)
	case kernel.Tanh:
		return t.AddConst(t.Neg(t.Square(y)), 1)
	case kernel.Sigmoid:
		return t.Sub(y, t.Square(y))
	case kernel.Softplus:
		return t.Sigmoid(z)
	case kernel.SiLU: // s + z s (1 - s)
		s := t.Sigmoid(z)
		return t.Sub(t.Add(s, y), t.Mul(s, y))
	case kernel.GELU:
		return t.geluPrime(z)
	case kernel.LogCosh:
		return t.Tanh(z)
	}
	panic("autodiff: no derivative of " + act.String())
}

// AddDual returns x + y; the operands have equal shapes.
func (t *Tape[T]) AddDual(x, y Dual) Dual {
	return Dual{t.Add(x.Val, y.Val), t.addTangents(x.Tan, y.Tan)}
}

// MulDual returns x ∘ y; the operands have equal shapes. ẋ ∘ y + x ∘ ẏ.
func (t *Tape[T]) MulDual(x, y Dual) Dual {
	var a, b Var
	if x.Tan != 0 {
		a = t.Mul(x.Tan, y.Val)
	}
	if y.Tan != 0 {
		b = t.Mul(y.Tan, x.Val)
	}
	return Dual{t.Mul(x.Val, y.Val), t.addTangents(a, b)}
}

func (t *Tape[T]) addTangents(a, b Var) Var {
	if a == 0 {
		return b
	}
	if b == 0 {
		return a
	}
	return t.Add(a, b)
}
