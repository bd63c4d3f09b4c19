//go:build !amd64 || noasm

package kernel

// On other processors everything is portable.

func hasSIMD() bool { return false }

func run[T Float](o op, dst, a, b []T, s T) bool { return false }

func gemmSIMD[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, d []T, ldd int, c []T, ldc int, ep *Epilogue[T]) {
}
