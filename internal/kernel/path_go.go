//go:build !amd64 || noasm

package kernel

// On other processors everything is portable.

func hasSIMD() bool { return false }

func run[T Float](o op, dst, a, b []T, s ...T) bool { return false }

func gemmSIMD[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, d []T, ldd int, c []T, ldc int, ep *Epilogue[T]) {
}

func dotSIMD[T Float](a, b []T) (s T, ok bool) { return 0, false }

func sumSIMD[T Float](x []T) (s T, ok bool) { return 0, false }

func addColSumsSIMD[T Float](dst []T, m, n int, x []T, ldx int) bool { return false }

func expRowsSIMD[T Float](dst []T, ldd int, top, sum, x []T, ldx, n int) bool { return false }

func adamSIMD[T Float](p, m, v, g []T, c *adamCoefficients[T]) bool { return false }

func softmaxColumnsSIMD[T Float](m, n int, x []T, ld int, bias []T) bool { return false }

func softmaxBackColumnsSIMD[T Float](m, n int, d, y []T, ld int) bool { return false }

func (g *Xoshiro) normalsSIMD(dst []float64, blocks int) bool { return false }

func driftSIMD(x, p, x0, p0, g, s []float64, eps float64) bool { return false }

func kickSIMD(p, g, s []float64, eps float64) (squares float64, ok bool) { return 0, false }

func turnPairSIMD(a, b []float64) (dots [2]float64, ok bool) { return dots, false }

func turnPairsSIMD(rho, a1, z1, a2, z2 []float64) (dots [6]float64, ok bool) { return dots, false }

func turnTreesSIMD(rho1, a1, z1, rho2, a2, z2 []float64) (dots [6]float64, ok bool) {
	return dots, false
}

func transposeSIMD[T Float](dst []T, ldd int, src []T, lds, rows, cols int) bool { return false }

func winogradSIMD[T Float](t WinogradTransform, tiles, channels int, dst []T, dg Grid, src []T, sg Grid, bias []T) bool {
	return false
}

// ForEachPath calls f with the name of the only set of instructions.
func ForEachPath(f func(name string)) { f("go") }
