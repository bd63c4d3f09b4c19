package sbi

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse/prior"
)

// Coordinates returns the transform to the unconstrained coordinates of the
// parameters that networks work in: what [flow.Load] is to be given for a flow
// that [NPE] has trained. It is [prior.TransformOf], but for a [prior.Box],
// whose coordinates are linear except near the sides, so that a posterior away
// from them is no harder to learn than without bounds:
//
//	x = L + (U - L) [log(1 + exp(ku)) - log(1 + exp(ku - k))]/k,  k = 20.
func Coordinates(pri Prior) prior.Transform {
	if b, ok := pri.(*prior.Box); ok {
		return newSoftBox(b)
	}
	return prior.TransformOf(pri)
}

// steepness is k in Coordinates: the sides are felt at a distance of about a
// twentieth of the width.
const steepness = 20

// softBox is the transform of a box in Coordinates, with the numbers next to the
// sides and the sum of log(U - L).
type softBox struct {
	lower, upper []float64
	first, last  []float64
	logVolume    float64
}

func newSoftBox(b *prior.Box) *softBox {
	s := new(softBox)
	s.lower, s.upper = sides(b)
	for i, l := range s.lower {
		h := s.upper[i]
		s.first, s.last = append(s.first, math.Nextafter(l, h)), append(s.last, math.Nextafter(h, l))
		s.logVolume += math.Log(h - l)
	}
	return s
}

// sides returns the sides of the box, which its transform takes the far ends of
// the line next to.
func sides(b *prior.Box) (lower, upper []float64) {
	n := b.Dim()
	lower, upper = make([]float64, n), make([]float64, n)
	far := make([]float64, n)
	for i := range far {
		far[i] = -1e3
	}
	b.Transform().Constrain(lower, far)
	for i := range far {
		far[i] = 1e3
	}
	b.Transform().Constrain(upper, far)
	for i := range far {
		lower[i], upper[i] = math.Nextafter(lower[i], math.Inf(-1)), math.Nextafter(upper[i], math.Inf(1))
	}
	return lower, upper
}

func (s *softBox) Dims() (x, u int) { return len(s.lower), len(s.lower) }

// softplus returns log(1 + exp(a)).
func softplus(a float64) float64 { return math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a))) }

func (s *softBox) Constrain(x, u []float64) (logDet float64) {
	for i, v := range u {
		l, h := s.lower[i], s.upper[i]
		// From the nearer side, so that neither loses digits.
		near := math.Min(v, 1-v)
		a, b := softplus(steepness*near), softplus(steepness*(near-1))
		share := (a - b) / steepness
		if v < 0.5 {
			x[i] = l + (h-l)*share
		} else {
			x[i] = h - (h-l)*share
		}
		x[i] = math.Min(math.Max(x[i], s.first[i]), s.last[i])
		// The slope is σ(ku) σ(k - ku) (1 - exp(-k)), the same at u and 1 - u,
		// and log σ(ku) = ku - a.
		logDet += steepness*near - a - b + logMiddle
	}
	return logDet + s.logVolume
}

// logMiddle is log(1 - exp(-k)).
var logMiddle = math.Log1p(-math.Exp(-steepness))

func (s *softBox) Unconstrain(u, x []float64) error {
	for i, v := range x {
		l, h := s.lower[i], s.upper[i]
		if !(v >= l && v <= h) {
			return fmt.Errorf("sbi: x[%d] = %g is not inside (%g, %g)", i, v, l, h)
		}
		// A point on the side is as good as next to it.
		from := math.Max((v-l)/(h-l), leastTail)
		to := math.Max((h-v)/(h-l), leastTail)
		u[i] = (logExpm1(steepness*from) - math.Log(-math.Expm1(-steepness*to))) / steepness
	}
	return nil
}

// logExpm1 returns log(exp(a) - 1) for a > 0.
func logExpm1(a float64) float64 {
	if a > 1 {
		return a + math.Log1p(-math.Exp(-a))
	}
	return math.Log(math.Expm1(a))
}

func (s *softBox) Pullback(gu, u, x, gx []float64) {
	for i, v := range u {
		slope := math.Exp(-softplus(-steepness*v)-softplus(steepness*(v-1))) * -math.Expm1(-steepness)
		sigmoid := func(a float64) float64 { return math.Exp(-softplus(-a)) }
		gu[i] = gx[i]*(s.upper[i]-s.lower[i])*slope + steepness*(sigmoid(-steepness*v)-sigmoid(steepness*(v-1)))
	}
}
