package kernel

// Epilogue is what GemmEpilogue does to a product. The zero value is nothing.
type Epilogue[T Float] struct {
	Bias []T        // added to each row if not nil; one element a column
	Act  Activation // applied last
	Pre  []T        // if not nil, receives what Act is applied to, in the shape and leading dimension of c
}

// Gemm computes
//
//	C = alpha op(A) op(B) + beta C
//
// where op(A) is m×k, op(B) is k×n and C is m×n: op(A) is A (m×k) or, if
// transA, the transpose of A (k×m); likewise B. A zero beta overwrites C
// whatever it held, and a zero alpha does not read A and B, as in BLAS.
//
// C may not overlap A or B. Only the elements of C are written, only those of
// A, B and C are read.
func Gemm[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	GemmEpilogue(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, Epilogue[T]{})
}

// GemmEpilogue computes C = σ(alpha op(A) op(B) + beta C + 1 biasᵀ), see
// [Gemm] and [Epilogue]. Pre may be C itself only if Act is Identity, and may
// not overlap anything else.
func GemmEpilogue[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int, ep Epilogue[T]) {
	if m < 0 || n < 0 || k < 0 {
		panic("kernel: negative dimension")
	}
	if transA {
		checkMatrix("A", k, m, lda, len(a))
	} else {
		checkMatrix("A", m, k, lda, len(a))
	}
	if transB {
		checkMatrix("B", n, k, ldb, len(b))
	} else {
		checkMatrix("B", k, n, ldb, len(b))
	}
	checkMatrix("C", m, n, ldc, len(c))
	if ep.Bias != nil {
		checkLen("bias and row", n, len(ep.Bias))
	}
	if ep.Pre != nil {
		checkMatrix("Pre", m, n, ldc, len(ep.Pre))
	}
	if m == 0 || n == 0 {
		return
	}
	out := c
	if ep.Pre != nil {
		out = ep.Pre
	}
	for i := range m {
		row, old := out[i*ldc:i*ldc+n], c[i*ldc:i*ldc+n]
		switch {
		case beta != 0 && ep.Bias != nil:
			for j, v := range old {
				row[j] = beta*v + ep.Bias[j]
			}
		case beta != 0:
			for j, v := range old {
				row[j] = beta * v
			}
		case ep.Bias != nil:
			copy(row, ep.Bias)
		default:
			clear(row)
		}
	}
	if alpha != 0 && k > 0 {
		gemmGo(transA, transB, m, n, k, alpha, a, lda, b, ldb, out, ldc)
	}
	if ep.Pre == nil && ep.Act == Identity {
		return
	}
	for i := range m {
		Activate(ep.Act, c[i*ldc:i*ldc+n], out[i*ldc:i*ldc+n])
	}
}
