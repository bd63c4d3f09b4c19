package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Linear returns σ(xWᵀ + 1bᵀ) with x r×n, W m×n and b 1×m, the layer of a
// network. The zero Var as b means no bias.
//
//	z = xWᵀ + 1bᵀ:  z̄ = ȳ ∘ σ'(z),  x̄ = z̄W,  W̄ = z̄ᵀx,  b̄ = Σ_i z̄_i
func (t *Tape[T]) Linear(x, w, b Var, act kernel.Activation) Var {
	return t.MaskedLinear(x, w, b, act, nil)
}

// MaskedLinear is Linear with weights that are zero where mask (m×n) is zero
// and remain so: the mask, of zeros and ones, is applied to the gradient.
func (t *Tape[T]) MaskedLinear(x, w, b Var, act kernel.Activation, mask []T) Var {
	r, n := t.Dims(x)
	m, nw := t.Dims(w)
	if nw != n || b != 0 && (t.nodes[b].rows != 1 || t.nodes[b].cols != m) || mask != nil && len(mask) != m*n {
		t.shapePanic("Linear", x, w, b)
	}
	v, y := t.record(linear[T]{}, node[T]{a: x, b: w, c: b, rows: r, cols: m, act: act})
	ep := kernel.Epilogue[T]{Act: act}
	if b != 0 {
		ep.Bias = t.nodes[b].val
	}
	y.aux = y.val
	if y.needs && !act.FromOutput() {
		y.aux = t.floats.take(r * m)
		ep.Pre = y.aux
	}
	y.mask = mask
	kernel.GemmEpilogue(false, true, r, m, n, 1, t.nodes[x].val, n, t.nodes[w].val, n, 0, y.val, m, ep)
	return v
}

type linear[T kernel.Float] struct{}

func (linear[T]) backward(t *Tape[T], y *node[T]) {
	r, m, n := y.rows, y.cols, t.nodes[y.a].cols
	z := y.grad
	if y.act != kernel.Identity {
		kernel.MulDerivative(y.act, z, z, y.aux)
	}
	if g, beta := t.gradOf(y.b); g != nil {
		kernel.Gemm(true, false, m, n, r, 1, z, m, t.nodes[y.a].val, n, beta, g, n)
		if y.mask != nil {
			kernel.Mul(g, g, y.mask)
		}
	}
	if g, beta := t.gradOf(y.a); g != nil {
		kernel.Gemm(false, false, r, n, m, 1, z, m, t.nodes[y.b].val, n, beta, g, n)
	}
	if g := t.addTo(y.c); g != nil {
		foldRows(z, r)
		kernel.Add(g, g, z[:m])
	}
}

// foldRows leaves the sum of the r rows of x in the first. It adds the lower
// half to the upper, again and again: few long sums instead of many short
// ones, and less rounding.
func foldRows[T kernel.Float](x []T, r int) {
	for m := len(x) / r; r > 1; {
		h := r / 2
		kernel.Add(x[:h*m], x[:h*m], x[(r-h)*m:r*m])
		r -= h
	}
}

// MatMul returns op(A) op(B), where op is the transpose if the flag is set.
//
//	C = AB:    Ā = C̄Bᵀ, B̄ = AᵀC̄        C = ABᵀ:   Ā = C̄B,   B̄ = C̄ᵀA
//	C = AᵀB:   Ā = BC̄ᵀ, B̄ = AC̄         C = AᵀBᵀ:  Ā = BᵀC̄ᵀ, B̄ = C̄ᵀAᵀ
func (t *Tape[T]) MatMul(transA, transB bool, a, b Var) Var {
	m, ka := t.opDims(transA, a)
	kb, n := t.opDims(transB, b)
	if ka != kb {
		t.shapePanic("MatMul", a, b)
	}
	v, y := t.record(matMul[T]{}, node[T]{a: a, b: b, rows: m, cols: n, transA: transA, transB: transB})
	A, B := &t.nodes[a], &t.nodes[b]
	kernel.Gemm(transA, transB, m, n, ka, 1, A.val, A.cols, B.val, B.cols, 0, y.val, n)
	return v
}

func (t *Tape[T]) opDims(trans bool, a Var) (r, c int) {
	r, c = t.Dims(a)
	if trans {
		return c, r
	}
	return r, c
}

type matMul[T kernel.Float] struct{}

func (matMul[T]) backward(t *Tape[T], y *node[T]) {
	A, B := &t.nodes[y.a], &t.nodes[y.b]
	m, n := y.rows, y.cols
	_, k := t.opDims(y.transA, y.a)
	if g, beta := t.gradOf(y.a); g != nil {
		if y.transA {
			kernel.Gemm(y.transB, true, k, m, n, 1, B.val, B.cols, y.grad, n, beta, g, m)
		} else {
			kernel.Gemm(false, !y.transB, m, k, n, 1, y.grad, n, B.val, B.cols, beta, g, k)
		}
	}
	if g, beta := t.gradOf(y.b); g != nil {
		if y.transB {
			kernel.Gemm(true, y.transA, n, k, m, 1, y.grad, n, A.val, A.cols, beta, g, k)
		} else {
			kernel.Gemm(!y.transA, false, k, n, m, 1, A.val, A.cols, y.grad, n, beta, g, n)
		}
	}
}
