package tasks

import (
	"errors"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/prior"
)

func box(n int, half float64) *prior.Box {
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range lo {
		lo[i], hi[i] = -half, half
	}
	return must(prior.NewBox(lo, hi, nil))
}

// maxTries bounds loops of rejection.
const maxTries = 1_000_000

var errTries = errors.New("the posterior has next to no mass inside the prior's support")

// twoMoons: θ ~ U[-1, 1]²,
//
//	x = (r cos a + 1/4 - |θ₁+θ₂|/√2, r sin a + (θ₂-θ₁)/√2),  a ~ U(-π/2, π/2),  r ~ N(0.1, 0.01²).
//
// Given x, each (a, r) belongs to two θ; drawing (a, r) and one of the two, and
// rejecting what is outside the box, is exact.
func twoMoons() *Task {
	pri := box(2, 1)
	crescent := func(r *rand.Rand) (p1, p2 float64) {
		a, l := math.Pi*(r.Float64()-0.5), 0.1+0.01*r.NormFloat64()
		return l*math.Cos(a) + 0.25, l * math.Sin(a)
	}
	return &Task{
		Prior: pri, data: 2,
		simulate: func(y, t []float64, r *rand.Rand) error {
			p1, p2 := crescent(r)
			y[0] = p1 - math.Abs(t[0]+t[1])/math.Sqrt2
			y[1] = p2 + (t[1]-t[0])/math.Sqrt2
			return nil
		},
		logLik: func(t, y []float64) float64 {
			u := y[0] + math.Abs(t[0]+t[1])/math.Sqrt2 - 0.25
			v := y[1] - (t[1]-t[0])/math.Sqrt2
			if u < 0 {
				return math.Inf(-1)
			}
			l := math.Hypot(u, v)
			e := (l - 0.1) / 0.01
			return -e*e/2 - math.Log(l) // du dv = l dl da
		},
		exact: func(t, y []float64, r *rand.Rand) error {
			for range maxTries {
				p1, p2 := crescent(r)
				c, e := p1-y[0], y[1]-p2
				if c < 0 {
					continue
				}
				if r.Uint64()&1 == 0 {
					c = -c
				}
				t[0], t[1] = (c-e)/math.Sqrt2, (c+e)/math.Sqrt2
				if !math.IsInf(pri.LogProb(t), -1) {
					return nil
				}
			}
			return errTries
		},
	}
}

// gaussianLinear: θ ~ N(0, 0.1 I₁₀), x ~ N(θ, 0.1 I), variances; the posterior
// is N(x/2, 0.05 I).
func gaussianLinear() *Task {
	diag := make([]float64, 10)
	for i := range diag {
		diag[i] = 0.1
	}
	return &Task{
		Prior: must(prior.NewGaussian(nil, mat.NewDiagDense(10, diag), nil)), data: 10,
		simulate: normalNoise,
		logLik:   normalLogLik,
		exact: func(t, y []float64, r *rand.Rand) error {
			for i, v := range y {
				t[i] = v/2 + math.Sqrt(0.05)*r.NormFloat64()
			}
			return nil
		},
	}
}

func normalNoise(y, t []float64, r *rand.Rand) error {
	for i, v := range t {
		y[i] = v + math.Sqrt(0.1)*r.NormFloat64()
	}
	return nil
}

func normalLogLik(t, y []float64) float64 {
	var s float64
	for i, v := range t {
		s += (y[i] - v) * (y[i] - v)
	}
	return -s / 0.2
}

// gaussianLinearUniform: θ ~ U[-1, 1]¹⁰, x ~ N(θ, 0.1 I); the posterior is a
// normal distribution cut off by the box.
func gaussianLinearUniform() *Task {
	return &Task{
		Prior: box(10, 1), data: 10,
		simulate: normalNoise,
		logLik:   normalLogLik,
		exact: func(t, y []float64, r *rand.Rand) error {
			for i, v := range y {
				t[i] = truncatedNormal(v, math.Sqrt(0.1), -1, 1, r)
			}
			return nil
		},
	}
}

// gaussianMixture: θ ~ U[-10, 10]², x ~ ½N(θ, I) + ½N(θ, 0.01 I), one component
// for both coordinates.
func gaussianMixture() *Task {
	sds := [2]float64{1, 0.1}
	return &Task{
		Prior: box(2, 10), data: 2,
		simulate: func(y, t []float64, r *rand.Rand) error {
			sd := sds[r.Uint64()&1]
			for i, v := range t {
				y[i] = v + sd*r.NormFloat64()
			}
			return nil
		},
		logLik: func(t, y []float64) float64 {
			q := ((y[0]-t[0])*(y[0]-t[0]) + (y[1]-t[1])*(y[1]-t[1])) / 2
			wide, narrow := -q, -q/0.01-2*math.Log(0.1)
			m := math.Max(wide, narrow)
			return m + math.Log(math.Exp(wide-m)+math.Exp(narrow-m))
		},
		exact: func(t, y []float64, r *rand.Rand) error {
			var mass [2]float64 // of the components inside the box
			for k, sd := range sds {
				mass[k] = intervalMass(y[0], sd, -10, 10) * intervalMass(y[1], sd, -10, 10)
			}
			if mass[0]+mass[1] == 0 {
				return errTries
			}
			sd := sds[0]
			if r.Float64()*(mass[0]+mass[1]) >= mass[0] {
				sd = sds[1]
			}
			for i, v := range y {
				t[i] = truncatedNormal(v, sd, -10, 10, r)
			}
			return nil
		},
	}
}

// intervalMass returns the probability of [lo, hi] under N(mu, sd²), which it
// takes from the smaller tail.
func intervalMass(mu, sd, lo, hi float64) float64 {
	a, b := (lo-mu)/sd, (hi-mu)/sd
	if a > 0 {
		a, b = -b, -a
	}
	return distuv.UnitNormal.CDF(b) - distuv.UnitNormal.CDF(a)
}

// truncatedNormal draws from N(mu, sd²) within [lo, hi] by inversion, in the
// smaller tail.
func truncatedNormal(mu, sd, lo, hi float64, r *rand.Rand) float64 {
	a, b, sign := (lo-mu)/sd, (hi-mu)/sd, 1.0
	if a > 0 {
		a, b, sign = -b, -a, -1
	}
	pa, pb := distuv.UnitNormal.CDF(a), distuv.UnitNormal.CDF(b)
	z := distuv.UnitNormal.Quantile(pa + (pb-pa)*r.Float64())
	return min(max(mu+sign*sd*z, lo), hi)
}
