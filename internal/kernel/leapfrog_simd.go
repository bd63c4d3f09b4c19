//go:build amd64 && !noasm

package kernel

// leapfrogSet holds the functions of one instruction set, which are described
// in gen.
type leapfrogSet struct {
	drift     func(x, p, x0, p0, grad, s, eps *byte, n int)
	kick      func(sum, p, grad, s, eps *byte, n int)
	turnPair  func(dots, a, b *byte, n int)
	turnPairs func(dots, rho, a1, z1, a2, z2 *byte, n int)
	turnTrees func(dots, rho1, a1, z1, rho2, a2, z2 *byte, n int)
}

func driftSIMD(x, p, x0, p0, g, s []float64, eps float64) bool {
	if leapfrog64 == nil {
		return false
	}
	leapfrog64.drift(pointer(x), pointer(p), pointer(x0), pointer(p0), pointer(g), pointer(s), hide(&eps), len(x))
	return true
}

func kickSIMD(p, g, s []float64, eps float64) (squares float64, ok bool) {
	if leapfrog64 == nil {
		return 0, false
	}
	leapfrog64.kick(hide(&squares), pointer(p), pointer(g), pointer(s), hide(&eps), len(p))
	return squares, true
}

func turnPairSIMD(a, b []float64) (dots [2]float64, ok bool) {
	if leapfrog64 == nil {
		return dots, false
	}
	leapfrog64.turnPair(hide(&dots[0]), pointer(a), pointer(b), len(a))
	return dots, true
}

func turnPairsSIMD(rho, a1, z1, a2, z2 []float64) (dots [6]float64, ok bool) {
	if leapfrog64 == nil {
		return dots, false
	}
	leapfrog64.turnPairs(hide(&dots[0]), pointer(rho), pointer(a1), pointer(z1), pointer(a2), pointer(z2), len(rho))
	return dots, true
}

func turnTreesSIMD(rho1, a1, z1, rho2, a2, z2 []float64) (dots [6]float64, ok bool) {
	if leapfrog64 == nil {
		return dots, false
	}
	leapfrog64.turnTrees(hide(&dots[0]), pointer(rho1), pointer(a1), pointer(z1), pointer(rho2), pointer(a2), pointer(z2), len(rho1))
	return dots, true
}
