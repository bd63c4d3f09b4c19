package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// The operations here take a small matrix in each row, itself row-major.

// BatchMatMul returns, in each row, op(A) op(B), where op is the transpose if
// the flag is set: op(A) is m×k, op(B) is k×n. The gradients are as in MatMul.
func (t *Tape[T]) BatchMatMul(transA, transB bool, a, b Var, m, n, k int) Var {
	r, ca := t.Dims(a)
	rb, cb := t.Dims(b)
	if r != rb || ca != m*k || cb != k*n {
		t.shapePanic("BatchMatMul", a, b)
	}
	v, y := t.record(batchMatMul[T]{}, node[T]{a: a, b: b, rows: r, cols: m * n, k: k, small: m, transA: transA, transB: transB})
	A, B := t.nodes[a].val, t.nodes[b].val
	lda, ldb := ld(transA, m, k), ld(transB, k, n)
	for i := range r {
		kernel.Gemm(transA, transB, m, n, k, 1, A[i*m*k:(i+1)*m*k], lda, B[i*k*n:(i+1)*k*n], ldb, 0, y.val[i*m*n:(i+1)*m*n], n)
	}
	return v
}

// ld returns the leading dimension of X for which op(X) is r×c.
func ld(trans bool, r, c int) int {
	if trans {
		return r
	}
	return c
}

type batchMatMul[T kernel.Float] struct{}

func (batchMatMul[T]) backward(t *Tape[T], y *node[T]) {
	m, k := y.small, y.k
	n := y.cols / m
	lda, ldb := ld(y.transA, m, k), ld(y.transB, k, n)
	A, B := t.nodes[y.a].val, t.nodes[y.b].val
	if g, beta := t.gradOf(y.a); g != nil {
		for i := range y.rows {
			gi, Bi, C := g[i*m*k:(i+1)*m*k], B[i*k*n:(i+1)*k*n], y.grad[i*m*n:(i+1)*m*n]
			if y.transA {
				kernel.Gemm(y.transB, true, k, m, n, 1, Bi, ldb, C, n, beta, gi, m)
			} else {
				kernel.Gemm(false, !y.transB, m, k, n, 1, C, n, Bi, ldb, beta, gi, k)
			}
		}
	}
	if g, beta := t.gradOf(y.b); g != nil {
		for i := range y.rows {
			gi, Ai, C := g[i*k*n:(i+1)*k*n], A[i*m*k:(i+1)*m*k], y.grad[i*m*n:(i+1)*m*n]
			if y.transB {
				kernel.Gemm(true, y.transA, n, k, m, 1, C, n, Ai, lda, beta, gi, k)
			} else {
				kernel.Gemm(!y.transA, false, k, n, m, 1, Ai, lda, C, n, beta, gi, n)
			}
		}
	}
}

// LogDet returns the r×1 column of the log determinants of symmetric positive
// definite n×n matrices, of which the lower triangles are read; NaN where a
// matrix is not positive definite. The gradient is that of a function of
// symmetric matrices, Ā = ȳ A⁻¹.
func (t *Tape[T]) LogDet(a Var, n int) Var {
	r, c := t.Dims(a)
	if c != n*n {
		t.shapePanic("LogDet", a)
	}
	v, y := t.record(logDet[T]{}, node[T]{a: a, rows: r, cols: 1, small: n})
	y.aux = t.floats.take(r * n * n)
	x := t.nodes[a].val
	for i := range r {
		L := y.aux[i*n*n : (i+1)*n*n]
		kernel.Cholesky(L, x[i*n*n:(i+1)*n*n], n)
		var s float64
		for j := range n {
			s += math.Log(float64(L[j*n+j]))
		}
		y.val[i] = T(2 * s)
	}
	return v
}

type logDet[T kernel.Float] struct{}

func (logDet[T]) backward(t *Tape[T], y *node[T]) {
	g, n := t.addTo(y.a), y.small
	e := t.floats.take(n)
	for i := range y.rows {
		L, gi := y.aux[i*n*n:(i+1)*n*n], g[i*n*n:(i+1)*n*n]
		for j := range n {
			clear(e)
			e[j] = 1
			kernel.CholeskySolve(e, L, n)
			kernel.Axpy(gi[j*n:(j+1)*n], y.grad[i], e)
		}
	}
}

// Solve returns, in each row, x = A⁻¹b for a symmetric positive definite n×n
// matrix A, of which the lower triangle is read, and a vector b; NaN where A
// is not positive definite. The gradient is that of a function of symmetric
// matrices:
//
//	b̄ = A⁻¹x̄,  Ā = -(b̄ xᵀ + x b̄ᵀ)/2
func (t *Tape[T]) Solve(a, b Var) Var {
	r, n := t.Dims(b)
	if ra, c := t.Dims(a); ra != r || c != n*n {
		t.shapePanic("Solve", a, b)
	}
	v, y := t.record(solve[T]{}, node[T]{a: a, b: b, rows: r, cols: n})
	y.aux = t.floats.take(r * n * n)
	A := t.nodes[a].val
	copy(y.val, t.nodes[b].val)
	for i := range r {
		L := y.aux[i*n*n : (i+1)*n*n]
		kernel.Cholesky(L, A[i*n*n:(i+1)*n*n], n)
		kernel.CholeskySolve(y.val[i*n:(i+1)*n], L, n)
	}
	return v
}

type solve[T kernel.Float] struct{}

func (solve[T]) backward(t *Tape[T], y *node[T]) {
	n := y.cols
	for i := range y.rows {
		kernel.CholeskySolve(y.grad[i*n:(i+1)*n], y.aux[i*n*n:(i+1)*n*n], n)
	}
	if g := t.addTo(y.a); g != nil {
		for i := range y.rows {
			x, b, gi := y.val[i*n:(i+1)*n], y.grad[i*n:(i+1)*n], g[i*n*n:(i+1)*n*n]
			for j := range n {
				for l := range n {
					gi[j*n+l] -= (b[j]*x[l] + x[j]*b[l]) / 2
				}
			}
		}
	}
	t.give(y.b, y.grad)
}
