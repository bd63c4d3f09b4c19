package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// function is an operation on each element: y = f(x), and the reverse, which
// multiplies the gradient in place, g ← g f'(x). They get the constant alpha
// with which the operation was called.
type function[T kernel.Float] interface {
	forward(y, x []T, alpha T)
	pull(g, x, y []T, alpha T)
}

func (t *Tape[T]) unary(f function[T], a Var, alpha T) Var {
	r, c := t.Dims(a)
	v, y := t.record(unary[T]{}, node[T]{a: a, rows: r, cols: c, fn: f, alpha: alpha})
	f.forward(y.val, t.nodes[a].val, alpha)
	return v
}

type unary[T kernel.Float] struct{}

func (unary[T]) backward(t *Tape[T], y *node[T]) {
	y.fn.pull(y.grad, t.nodes[y.a].val, y.val, y.alpha)
	t.give(y.a, y.grad)
}

// Activate returns σ(a), see [kernel.Activation].
func (t *Tape[T]) Activate(act kernel.Activation, a Var) Var {
	if act == kernel.Identity {
		return a
	}
	r, c := t.Dims(a)
	v, y := t.record(activate[T]{}, node[T]{a: a, rows: r, cols: c, act: act})
	kernel.Activate(act, y.val, t.nodes[a].val)
	return v
}

type activate[T kernel.Float] struct{}

func (activate[T]) backward(t *Tape[T], y *node[T]) {
	ref := y.val
	if !y.act.FromOutput() {
		ref = t.nodes[y.a].val
	}
	kernel.MulDerivative(y.act, y.grad, y.grad, ref)
	t.give(y.a, y.grad)
}

// Tanh returns tanh a.
func (t *Tape[T]) Tanh(a Var) Var { return t.Activate(kernel.Tanh, a) }

// Sigmoid returns 1/(1 + e⁻ᵃ).
func (t *Tape[T]) Sigmoid(a Var) Var { return t.Activate(kernel.Sigmoid, a) }

// Softplus returns log(1 + eᵃ).
func (t *Tape[T]) Softplus(a Var) Var { return t.Activate(kernel.Softplus, a) }

// Scale returns s a.
func (t *Tape[T]) Scale(s T, a Var) Var { return t.unary(scale[T]{}, a, s) }

// Neg returns -a.
func (t *Tape[T]) Neg(a Var) Var { return t.Scale(-1, a) }

type scale[T kernel.Float] struct{}

func (scale[T]) forward(y, x []T, s T) { kernel.Scale(y, s, x) }
func (scale[T]) pull(g, x, y []T, s T) { kernel.Scale(g, s, g) }

// AddConst returns a + s.
func (t *Tape[T]) AddConst(a Var, s T) Var { return t.unary(shift[T]{}, a, s) }

type shift[T kernel.Float] struct{}

func (shift[T]) forward(y, x []T, s T) {
	for i, v := range x {
		y[i] = v + s
	}
}
func (shift[T]) pull(g, x, y []T, s T) {}

// Exp returns eᵃ; f' = y.
func (t *Tape[T]) Exp(a Var) Var { return t.unary(exp[T]{}, a, 0) }

type exp[T kernel.Float] struct{}

func (exp[T]) forward(y, x []T, _ T) { kernel.Exp(y, x) }
func (exp[T]) pull(g, x, y []T, _ T) { kernel.Mul(g, g, y) }

// Log returns log a; f' = 1/x.
func (t *Tape[T]) Log(a Var) Var { return t.unary(logarithm[T]{}, a, 0) }

type logarithm[T kernel.Float] struct{}

func (logarithm[T]) forward(y, x []T, _ T) { kernel.Log(y, x) }
func (logarithm[T]) pull(g, x, y []T, _ T) { kernel.Div(g, g, x) }

// Square returns a²; f' = 2x.
func (t *Tape[T]) Square(a Var) Var { return t.unary(square[T]{}, a, 0) }

type square[T kernel.Float] struct{}

func (square[T]) forward(y, x []T, _ T) { kernel.Mul(y, x, x) }
func (square[T]) pull(g, x, y []T, _ T) {
	for i, v := range x {
		g[i] *= 2 * v
	}
}

// Sqrt returns √a; f' = 1/(2y).
func (t *Tape[T]) Sqrt(a Var) Var { return t.unary(root[T]{}, a, 0) }

type root[T kernel.Float] struct{}

func (root[T]) forward(y, x []T, _ T) { kernel.Sqrt(y, x) }
func (root[T]) pull(g, x, y []T, _ T) {
	for i, v := range y {
		g[i] /= 2 * v
	}
}

// Recip returns 1/a; f' = -y².
func (t *Tape[T]) Recip(a Var) Var { return t.unary(recip[T]{}, a, 0) }

type recip[T kernel.Float] struct{}

func (recip[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = 1 / v
	}
}
func (recip[T]) pull(g, x, y []T, _ T) {
	for i, v := range y {
		g[i] *= -v * v
	}
}

// Abs returns |a|; f' = sign x, 0 at 0.
func (t *Tape[T]) Abs(a Var) Var { return t.unary(absolute[T]{}, a, 0) }

type absolute[T kernel.Float] struct{}

func (absolute[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = max(v, -v)
	}
}
func (absolute[T]) pull(g, x, y []T, _ T) {
	for i, v := range x {
		switch {
		case v < 0:
			g[i] = -g[i]
		case v == 0:
			g[i] = 0
		}
	}
}

// Step returns 1 where a > 0 and 0 elsewhere; f' = 0.
func (t *Tape[T]) Step(a Var) Var { return t.unary(step[T]{}, a, 0) }

type step[T kernel.Float] struct{}

func (step[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = 0
		if v > 0 {
			y[i] = 1
		}
	}
}
func (step[T]) pull(g, x, y []T, _ T) { clear(g) }

// Clamp returns a limited to [-bound, bound]; f' = 1 inside, 0 outside.
func (t *Tape[T]) Clamp(a Var, bound T) Var { return t.unary(clamp[T]{}, a, bound) }

type clamp[T kernel.Float] struct{}

func (clamp[T]) forward(y, x []T, bound T) {
	for i, v := range x {
		y[i] = min(max(v, -bound), bound)
	}
}
func (clamp[T]) pull(g, x, y []T, bound T) {
	for i, v := range x {
		if v > bound || v < -bound {
			g[i] = 0
		}
	}
}

// ELU returns a where a > 0 and eᵃ - 1 elsewhere; f' = 1 or y + 1.
func (t *Tape[T]) ELU(a Var) Var { return t.unary(elu[T]{}, a, 0) }

type elu[T kernel.Float] struct{}

func (elu[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = min(v, 0)
	}
	kernel.Expm1(y, y)
	for i, v := range x {
		if v > 0 {
			y[i] = v
		}
	}
}
func (elu[T]) pull(g, x, y []T, _ T) {
	for i, v := range y {
		if v <= 0 {
			g[i] *= v + 1
		}
	}
}

// Sin returns sin a; f' = cos x.
func (t *Tape[T]) Sin(a Var) Var { return t.unary(sine[T]{}, a, 0) }

type sine[T kernel.Float] struct{}

func (sine[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = T(math.Sin(float64(v)))
	}
}
func (sine[T]) pull(g, x, y []T, _ T) {
	for i, v := range x {
		g[i] *= T(math.Cos(float64(v)))
	}
}

// Cos returns cos a; f' = -sin x.
func (t *Tape[T]) Cos(a Var) Var { return t.unary(cosine[T]{}, a, 0) }

type cosine[T kernel.Float] struct{}

func (cosine[T]) forward(y, x []T, _ T) {
	for i, v := range x {
		y[i] = T(math.Cos(float64(v)))
	}
}
func (cosine[T]) pull(g, x, y []T, _ T) {
	for i, v := range x {
		g[i] *= -T(math.Sin(float64(v)))
	}
}

// geluPrime returns Φ(a) + a φ(a), the derivative of GELU; f' = φ(x)(2 - x²).
func (t *Tape[T]) geluPrime(a Var) Var { return t.unary(geluPrime[T]{}, a, 0) }

type geluPrime[T kernel.Float] struct{}

func (geluPrime[T]) forward(y, x []T, _ T) {
	for i := range y {
		y[i] = 1
	}
	kernel.MulDerivative(kernel.GELU, y, y, x)
}
func (geluPrime[T]) pull(g, x, y []T, _ T) {
	const invSqrt2Pi = 1 / (math.SqrtPi * math.Sqrt2)
	for i, v := range x {
		g[i] *= T(invSqrt2Pi*math.Exp(-0.5*float64(v)*float64(v))) * (2 - v*v)
	}
}
