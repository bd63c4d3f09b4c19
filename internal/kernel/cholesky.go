package kernel

import "math"

// Cholesky sets the lower triangle of L to the factor of A = LLᵀ, for small
// row-major n×n matrices; it reads the lower triangle of A, which may be L. If A
// is not positive definite, it returns false, and the last element of L is NaN.
func Cholesky[T Float](L, A []T, n int) bool {
	for j := range n {
		rj := L[j*n : j*n+j+1]
		s := A[j*n+j]
		for _, v := range rj[:j] {
			s -= v * v
		}
		if !(s > 0) {
			s = T(math.NaN())
		}
		d := T(math.Sqrt(float64(s)))
		rj[j] = d
		for i := j + 1; i < n; i++ {
			ri := L[i*n : i*n+j+1]
			s := A[i*n+j]
			for l, v := range rj[:j] {
				s -= v * ri[l]
			}
			ri[j] = s / d
		}
	}
	return n == 0 || L[n*n-1] > 0
}

// CholeskySolve replaces b by the solution of LLᵀx = b.
func CholeskySolve[T Float](b, L []T, n int) {
	for i := range n {
		s := b[i]
		for j, v := range L[i*n : i*n+i] {
			s -= v * b[j]
		}
		b[i] = s / L[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		s := b[i]
		for j := i + 1; j < n; j++ {
			s -= L[j*n+i] * b[j]
		}
		b[i] = s / L[i*n+i]
	}
}
