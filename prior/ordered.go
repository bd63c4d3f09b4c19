package prior

import (
	"fmt"
	"math"
)

// Ordered returns the transform onto x₁ < x₂ < ... < xₙ, as in Stan:
//
//	x₁ = u₁,  xₖ = xₖ₋₁ + exp(uₖ)
//
// It panics if n < 1.
func Ordered(n int) Transform {
	mustBePositive("Ordered", n)
	return &ordered{n: n}
}

// PositiveOrdered returns the transform onto 0 < x₁ < x₂ < ... < xₙ: that of
// Ordered, but with x₁ = exp(u₁). It panics if n < 1.
func PositiveOrdered(n int) Transform {
	mustBePositive("PositiveOrdered", n)
	return &ordered{n: n, positive: true}
}

type ordered struct {
	n        int
	positive bool
}

var _ Transform = (*ordered)(nil)

func (t *ordered) Dims() (x, u int) { return t.n, t.n }

func (t *ordered) Constrain(x, u []float64) (logDet float64) {
	checkTransformLengths(t, x, u)
	last := math.Inf(-1)
	for k, v := range u {
		switch {
		case k > 0:
			x[k] = above(last, exp(v))
			logDet += v
		case t.positive:
			x[k] = above(0, exp(v))
			logDet += v
		default:
			x[k] = v
		}
		last = x[k]
	}
	return logDet
}

func (t *ordered) Unconstrain(u, x []float64) error {
	checkTransformLengths(t, x, u)
	last := math.Inf(-1)
	if t.positive {
		last = 0
	}
	for k, v := range x {
		if !(v > last) || math.IsInf(v, 1) {
			return fmt.Errorf("prior: x[%d] = %g is not above %g and finite", k, v, last)
		}
		if k > 0 || t.positive {
			u[k] = math.Log(v - last)
		} else {
			u[k] = v
		}
		last = v
	}
	return nil
}

func (t *ordered) Pullback(gu, u, x, gx []float64) {
	checkPullbackLengths(t, gu, u, x, gx)
	sum := 0.0 // Σ_{j≥k} gx_j: u_k moves x_k and all above it
	for k := t.n - 1; k >= 0; k-- {
		sum += gx[k]
		if k > 0 || t.positive {
			gu[k] = sum*exp(u[k]) + 1
		} else {
			gu[k] = sum
		}
	}
}
