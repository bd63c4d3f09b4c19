// Package kernel is the arithmetic below the neural networks: small matrix
// products with a fused bias and activation, elementary functions over
// slices, reductions and the Adam update, in float32 and float64. The parts of
// a trajectory of Hamiltonian Monte Carlo are here as well.
//
// A matrix is a slice in row-major order with a leading dimension ld: element
// (i, j) is a[i*ld+j]. A training step of a linear layer y = σ(xWᵀ + b), with
// x m×k, W n×k and y m×n, is
//
//	kernel.GemmEpilogue(false, true, m, n, k, 1, x, k, w, k, 0, y, n,
//		kernel.Epilogue[float32]{Bias: b, Act: kernel.SiLU, Pre: z})
//	kernel.MulDerivative(kernel.SiLU, dz, dy, z)                     // dz = dy σ'(z)
//	kernel.Gemm(false, false, m, k, n, 1, dz, n, w, k, 0, dx, k)     // dx = dz W
//	kernel.Gemm(true, false, n, k, m, 1, dz, n, x, k, 1, dw, k)      // dW += dzᵀx
//	kernel.AddColSums(db, m, n, dz, n)                               // db += colsum(dz)
//
// Everything here runs on the calling goroutine, allocates nothing once warm,
// and is safe for concurrent use on memory that is not shared; callers
// parallelise over blocks of rows. On one processor the result is a function
// of the values alone: it does not depend on alignment, on GOMAXPROCS, or on
// where an element stands in its slice, and a row of a matrix product does
// not depend on the number of rows in the call.
//
// On amd64 the work is done by assembly for AVX-512 or AVX2, whichever the
// processor has, written by the generator in gen (go generate). Elsewhere, and
// with the build tag noasm, it is done in Go. Exp, Expm1, Log, Log1p, Tanh and
// Softplus are within 2 ulp of the exact value, Sigmoid within 2.1, SiLU 3, GELU
// 5 and LogCosh 7, with package math's results for infinities, NaN and zeros.
//
// Slices of different lengths where equal ones are required, and matrices
// that do not fit into their slices, are the programmer's errors and panic.
package kernel

import "fmt"

// Float is the element type of a matrix.
type Float interface{ float32 | float64 }

// checkLen panics unless the slices have equal lengths.
func checkLen(name string, n int, others ...int) {
	for _, o := range others {
		if o != n {
			panicLen(name, n, o)
		}
	}
}

// panicLen is apart from checkLen for that to be inlined.
//
//go:noinline
func panicLen(name string, n, other int) {
	panic(fmt.Sprintf("kernel: %s of slices of lengths %d and %d", name, n, other))
}

// checkMatrix panics unless an r×c matrix with leading dimension ld fits
// into a slice of n elements.
func checkMatrix(name string, r, c, ld, n int) {
	if r < 0 || c < 0 {
		panic(fmt.Sprintf("kernel: matrix %s is %d×%d", name, r, c))
	}
	if r == 0 || c == 0 {
		return
	}
	if ld < c {
		panic(fmt.Sprintf("kernel: matrix %s is %d×%d with leading dimension %d", name, r, c, ld))
	}
	if need := (r-1)*ld + c; n < need {
		panic(fmt.Sprintf("kernel: matrix %s is %d×%d with leading dimension %d and needs %d elements, has %d", name, r, c, ld, need, n))
	}
}

// checkWindows is checkMatrix for a matrix that is only read, whose rows may
// overlap.
func checkWindows(name string, r, c, ld, n int) {
	if ld > 0 && ld < c && r > 0 && (r-1)*ld+c <= n {
		return
	}
	checkMatrix(name, r, c, ld, n)
}
