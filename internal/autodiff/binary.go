package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// The operations on two matrices broadcast the smaller one, b: with a of r×c,
// b has c columns or one, and a number s of rows that divides r; row i of a
// meets row i/(r/s) of b. So b may be a row vector (1×c), a column (r×1), a
// number (1×1), or one row for each group of consecutive rows of a.

// Add returns a + b; ā = ȳ, b̄ = ȳ.
func (t *Tape[T]) Add(a, b Var) Var {
	if t.smaller(a, b) {
		a, b = b, a
	}
	v, y, p := t.binary(add[T]{}, "Add", a, b)
	p.add(y.val, t.nodes[a].val, t.nodes[b].val, 1)
	return v
}

type add[T kernel.Float] struct{}

func (add[T]) backward(t *Tape[T], y *node[T]) {
	if g := t.addTo(y.b); g != nil {
		pairOf(t, y).fold(g, y.grad, 1)
	}
	t.give(y.a, y.grad)
}

// Sub returns a - b; ā = ȳ, b̄ = -ȳ.
func (t *Tape[T]) Sub(a, b Var) Var {
	if t.smaller(a, b) {
		return t.Add(t.Neg(b), a)
	}
	v, y, p := t.binary(sub[T]{}, "Sub", a, b)
	p.add(y.val, t.nodes[a].val, t.nodes[b].val, -1)
	return v
}

type sub[T kernel.Float] struct{}

func (sub[T]) backward(t *Tape[T], y *node[T]) {
	if g := t.addTo(y.b); g != nil {
		pairOf(t, y).fold(g, y.grad, -1)
	}
	t.give(y.a, y.grad)
}

// Mul returns a ∘ b; ā = ȳ ∘ b, b̄ = ȳ ∘ a.
func (t *Tape[T]) Mul(a, b Var) Var {
	if t.smaller(a, b) {
		a, b = b, a
	}
	v, y, p := t.binary(mul[T]{}, "Mul", a, b)
	p.mul(y.val, t.nodes[a].val, t.nodes[b].val)
	return v
}

type mul[T kernel.Float] struct{}

func (mul[T]) backward(t *Tape[T], y *node[T]) {
	p := pairOf(t, y)
	if g := t.addTo(y.b); g != nil {
		p.foldMul(g, y.grad, t.nodes[y.a].val, 1)
	}
	if t.needs(y.a) {
		p.mul(y.grad, y.grad, t.nodes[y.b].val)
		t.give(y.a, y.grad)
	}
}

// Div returns a / b element by element; ā = ȳ/b, b̄ = -ȳ ∘ y/b.
func (t *Tape[T]) Div(a, b Var) Var {
	if t.smaller(a, b) {
		return t.Mul(t.Recip(b), a)
	}
	v, y, p := t.binary(div[T]{}, "Div", a, b)
	p.div(y.val, t.nodes[a].val, t.nodes[b].val)
	return v
}

type div[T kernel.Float] struct{}

func (div[T]) backward(t *Tape[T], y *node[T]) {
	p := pairOf(t, y)
	p.div(y.grad, y.grad, t.nodes[y.b].val)
	if g := t.addTo(y.b); g != nil {
		p.foldMul(g, y.grad, y.val, -1)
	}
	t.give(y.a, y.grad)
}

// pair is the shape of two operands: a is r×c and b is s×d, and k = r/s rows of a
// meet each row of b.
type pair[T kernel.Float] struct{ r, c, s, d, k int }

func newPair[T kernel.Float](r, c, s, d int) pair[T] {
	return pair[T]{r, c, s, d, r / max(s, 1)}
}

func pairOf[T kernel.Float](t *Tape[T], y *node[T]) pair[T] {
	s, d := t.Dims(y.b)
	return newPair[T](y.rows, y.cols, s, d)
}

func (t *Tape[T]) smaller(a, b Var) bool {
	return len(t.nodes[a].val) < len(t.nodes[b].val)
}

func (t *Tape[T]) binary(o op[T], name string, a, b Var) (Var, *node[T], pair[T]) {
	r, c := t.Dims(a)
	s, d := t.Dims(b)
	if d != c && d != 1 || s != r && (s == 0 || r%s != 0) {
		t.shapePanic(name, a, b)
	}
	v, y := t.record(o, node[T]{a: a, b: b, rows: r, cols: c})
	return v, y, newPair[T](r, c, s, d)
}

func (p pair[T]) same() bool { return p.r == p.s && p.c == p.d }

// row returns row i of a matrix of the shape of a.
func (p pair[T]) row(a []T, i int) []T { return a[i*p.c : (i+1)*p.c] }

// meets returns the row of b that row i of a meets.
func (p pair[T]) meets(b []T, i int) []T {
	j := i / p.k
	return b[j*p.d : (j+1)*p.d]
}

// add sets y = a + sign b.
func (p pair[T]) add(y, a, b []T, sign T) {
	switch {
	case p.same() && sign > 0:
		kernel.Add(y, a, b)
	case p.same():
		kernel.Sub(y, a, b)
	default:
		for i := range p.r {
			yi, ai, bi := p.row(y, i), p.row(a, i), p.meets(b, i)
			switch {
			case p.d == 1:
				s := sign * bi[0]
				for j, v := range ai {
					yi[j] = v + s
				}
			case sign > 0:
				kernel.Add(yi, ai, bi)
			default:
				kernel.Sub(yi, ai, bi)
			}
		}
	}
}

// mul sets y = a ∘ b.
func (p pair[T]) mul(y, a, b []T) {
	if p.same() {
		kernel.Mul(y, a, b)
		return
	}
	for i := range p.r {
		yi, ai, bi := p.row(y, i), p.row(a, i), p.meets(b, i)
		if p.d == 1 {
			kernel.Scale(yi, bi[0], ai)
		} else {
			kernel.Mul(yi, ai, bi)
		}
	}
}

// div sets y = a / b.
func (p pair[T]) div(y, a, b []T) {
	if p.same() {
		kernel.Div(y, a, b)
		return
	}
	for i := range p.r {
		yi, ai, bi := p.row(y, i), p.row(a, i), p.meets(b, i)
		if p.d == 1 {
			for j, v := range ai {
				yi[j] = v / bi[0]
			}
		} else {
			kernel.Div(yi, ai, bi)
		}
	}
}

// fold adds sign x, which has the shape of a, to g, which has that of b.
func (p pair[T]) fold(g, x []T, sign T) {
	if p.same() {
		kernel.Axpy(g, sign, x)
		return
	}
	for i := range p.r {
		gi, xi := p.meets(g, i), p.row(x, i)
		if p.d == 1 {
			gi[0] += sign * kernel.Sum(xi)
		} else {
			kernel.Axpy(gi, sign, xi)
		}
	}
}

// foldMul adds sign x ∘ z, which has the shape of a, to g, which has that of b.
func (p pair[T]) foldMul(g, x, z []T, sign T) {
	if p.same() && sign > 0 {
		kernel.AddMul(g, x, z)
		return
	}
	for i := range p.r {
		gi, xi, zi := p.meets(g, i), p.row(x, i), p.row(z, i)
		switch {
		case p.d == 1:
			gi[0] += sign * kernel.Dot(xi, zi)
		case sign > 0:
			kernel.AddMul(gi, xi, zi)
		default:
			for j, v := range xi {
				gi[j] -= v * zi[j]
			}
		}
	}
}
