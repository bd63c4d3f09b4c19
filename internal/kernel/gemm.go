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
// A, B and C are read. The rows of A and of B may overlap each other (a leading
// dimension below the length of a row), as windows that slide over a sequence
// do: a convolution is such a product.
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
		checkWindows("A", k, m, lda, len(a))
	} else {
		checkWindows("A", m, k, lda, len(a))
	}
	if transB {
		checkWindows("B", n, k, ldb, len(b))
	} else {
		checkWindows("B", k, n, ldb, len(b))
	}
	checkMatrix("C", m, n, ldc, len(c))
	if ep.Bias != nil {
		checkLen("bias and row", n, len(ep.Bias))
	}
	if ep.Pre != nil {
		checkMatrix("Pre", m, n, ldc, len(ep.Pre))
	}
	if ep.Act > LogCosh {
		panic("kernel: unknown " + ep.Act.String())
	}
	if m == 0 || n == 0 {
		return
	}
	out := c
	if ep.Pre != nil {
		out = ep.Pre
	}
	multiply := alpha != 0 && k > 0
	if multiply && hasSIMD() {
		// The product is added to D = beta C + 1 biasᵀ, which need not be
		// formed if it is nothing, C or the bias alone.
		var d []T
		ldd := 0
		switch {
		case beta == 0:
			d = ep.Bias
		case beta == 1 && ep.Bias == nil:
			d, ldd = c, ldc
		default:
			start(m, n, beta, c, ldc, ep.Bias, out)
			d, ldd = out, ldc
		}
		gemmSIMD(transA, transB, m, n, k, alpha, a, lda, b, ldb, d, ldd, c, ldc, &ep)
		return
	}
	start(m, n, beta, c, ldc, ep.Bias, out)
	if multiply {
		gemmGo(transA, transB, m, n, k, alpha, a, lda, b, ldb, out, ldc)
	}
	if ep.Pre != nil || ep.Act != Identity {
		activateBlock(ep.Act, 0, m, 0, n, c, out, ldc)
	}
}

// start sets dst = beta C + 1 biasᵀ.
func start[T Float](m, n int, beta T, c []T, ldc int, bias, dst []T) {
	for i := range m {
		row, old := dst[i*ldc:i*ldc+n], c[i*ldc:i*ldc+n]
		if beta == 0 {
			clear(row)
		} else {
			Scale(row, beta, old)
		}
		if bias != nil {
			Add(row, row, bias)
		}
	}
}

// activateBlock applies an activation to rows [lo, hi) and columns [j0, j1)
// of z.
func activateBlock[T Float](act Activation, lo, hi, j0, j1 int, dst, z []T, ld int) {
	if j0 == 0 && j1 == ld {
		Activate(act, dst[lo*ld:hi*ld], z[lo*ld:hi*ld])
		return
	}
	for i := lo; i < hi; i++ {
		Activate(act, dst[i*ld+j0:i*ld+j1], z[i*ld+j0:i*ld+j1])
	}
}
