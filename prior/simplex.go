package prior

import (
	"fmt"
	"math"
)

// Simplex returns the stick-breaking transform of R^(k-1) onto the x with
// x₁ + ... + x_k = 1 and xᵢ > 0 (Stan Reference Manual, "Unit simplex"):
//
//	zᵢ = 1/(1 + exp(-uᵢ + log(k-i))),  xᵢ = zᵢ (1 - x₁ - ... - xᵢ₋₁),  i < k
//
// so that u = 0 is the centre. Densities are with respect to the first k-1
// coordinates, as gonum's distmv.Dirichlet is. It panics if k < 2.
func Simplex(k int) Transform {
	mustBePositive("Simplex", k-1)
	return simplex(k)
}

type simplex int

var _ Transform = simplex(0)

func (t simplex) Dims() (x, u int) { return int(t), int(t) - 1 }

func (t simplex) Constrain(x, u []float64) (logDet float64) {
	checkTransformLengths(t, x, u)
	logRest := 0.0 // log of what is left of the stick
	for i, v := range u {
		v -= math.Log(float64(len(u) - i))
		logZ, log1mZ := logSigmoid(v), logSigmoid(-v)
		x[i] = math.Max(math.Exp(logRest+logZ), math.SmallestNonzeroFloat64)
		logDet += logRest + logZ + log1mZ
		logRest += log1mZ
	}
	x[len(u)] = math.Max(math.Exp(logRest), math.SmallestNonzeroFloat64)
	return logDet
}

func (t simplex) Unconstrain(u, x []float64) error {
	checkTransformLengths(t, x, u)
	sum := 0.0
	for i, v := range x {
		if !(v > 0) {
			return fmt.Errorf("prior: x[%d] = %g is not positive", i, v)
		}
		sum += v
	}
	if !(math.Abs(sum-1) <= 1e-8) {
		return fmt.Errorf("prior: coordinates of x sum to %v, not to 1", sum)
	}
	rest := x[len(u)]
	for i := len(u) - 1; i >= 0; i-- {
		u[i] = math.Log(x[i]) - math.Log(rest) + math.Log(float64(len(u)-i))
		rest += x[i]
	}
	return nil
}

func (t simplex) Pullback(gu, u, x, gx []float64) {
	checkPullbackLengths(t, gu, u, x, gx)
	// In reverse: rest_i is the stick before piece i, r its adjoint.
	n := len(u)
	rest, r := x[n], gx[n]
	for i := n - 1; i >= 0; i-- {
		k := float64(n - i)
		v := u[i] - math.Log(k)
		z, c := sigmoid(v), sigmoid(-v)
		rest += x[i]
		g := gx[i]
		gu[i] = rest*(g-r)*z*c + c - k*z
		r = g*z + r*c
	}
}
