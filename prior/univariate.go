package prior

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// univariate is a distribution of one coordinate: gonum's, with a score, with
// draws from any source, and 0 outside its support.
type univariate struct {
	lower, upper float64
	logProb      func(x float64) float64
	score        func(x float64) float64
	draw         func(src rand.Source) float64
}

// newUnivariate returns d. The distributions of distuv have exact scores; that
// of another type is its method ScoreInput(x float64) float64 or, failing
// that, a central difference of LogProb. Draws are by d's Quantile, or by its
// Rand if it has none.
func newUnivariate(d distuv.LogProber) (u *univariate, err error) {
	if d == nil {
		return nil, fmt.Errorf("is nil")
	}
	defer func() {
		if v := recover(); v != nil { // gonum, about bad parameters
			u, err = nil, fmt.Errorf("%T%+v: %v", d, d, v)
		}
	}()
	u = &univariate{
		lower:   math.Inf(-1),
		upper:   math.Inf(1),
		logProb: d.LogProb,
		score:   centralDifference(d.LogProb),
	}
	if s, ok := d.(interface{ ScoreInput(x float64) float64 }); ok {
		u.score = s.ScoreInput
	}
	q, hasQuantile := d.(distuv.Quantiler)
	r, hasRand := d.(distuv.Rander)
	switch {
	case hasQuantile:
		if l, h := q.Quantile(0), q.Quantile(1); l < h {
			u.lower, u.upper = l, h
		}
		u.draw = func(src rand.Source) float64 {
			// Not 0, where a quantile may be infinite.
			p := (float64(src.Uint64()>>11) + 0.5) / (1 << 53)
			return q.Quantile(p)
		}
	case hasRand:
		u.draw = func(rand.Source) float64 { return r.Rand() }
	default:
		return nil, fmt.Errorf("%T%+v has neither Quantile nor Rand", d, d)
	}
	u.specialise(d)
	if hasQuantile {
		if v := u.logProb(q.Quantile(0.5)); math.IsNaN(v) || math.IsInf(v, -1) {
			return nil, fmt.Errorf("%T%+v has log density %g at its median", d, d, v)
		}
	}
	return u, nil
}

// specialise sets what gonum's distributions leave open: exact scores where
// they have none, and faster draws than by quantiles.
func (u *univariate) specialise(d distuv.LogProber) {
	switch d := d.(type) {
	case distuv.Normal:
		u.draw = func(src rand.Source) float64 { return d.Mu + d.Sigma*rand.New(src).NormFloat64() }
	case distuv.LogNormal:
		u.score = func(x float64) float64 { return -(1 + (math.Log(x)-d.Mu)/(d.Sigma*d.Sigma)) / x }
		u.draw = func(src rand.Source) float64 { return math.Exp(d.Mu + d.Sigma*rand.New(src).NormFloat64()) }
	case distuv.StudentsT:
		u.score = func(x float64) float64 {
			z := (x - d.Mu) / d.Sigma
			return -(d.Nu + 1) * z / (d.Nu + z*z) / d.Sigma
		}
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.Gamma:
		u.score = func(x float64) float64 { return (d.Alpha-1)/x - d.Beta }
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.InverseGamma:
		u.score = func(x float64) float64 { return (d.Beta/x - d.Alpha - 1) / x }
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.ChiSquared:
		u.score = func(x float64) float64 { return (d.K/2-1)/x - 0.5 }
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.Chi:
		u.score = func(x float64) float64 { return (d.K-1)/x - x }
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.Beta:
		u.score = func(x float64) float64 { return (d.Alpha-1)/x - (d.Beta-1)/(1-x) }
		u.draw = func(src rand.Source) float64 { d := d; d.Src = src; return d.Rand() }
	case distuv.F:
		u.score = func(x float64) float64 {
			return (d.D1/2-1)/x - (d.D1+d.D2)/2*d.D1/(d.D1*x+d.D2)
		}
	case distuv.Pareto:
		u.score = func(x float64) float64 { return -(d.Alpha + 1) / x }
	case distuv.GumbelRight:
		u.score = func(x float64) float64 { return math.Expm1(-(x-d.Mu)/d.Beta) / d.Beta }
	case distuv.Logistic:
		// gonum v0.17.0 leaves Mu and S out of LogProb.
		u.logProb = func(x float64) float64 {
			z := (x - d.Mu) / d.S
			return logSigmoid(z) + logSigmoid(-z) - math.Log(d.S)
		}
		u.score = func(x float64) float64 { return -math.Tanh((x-d.Mu)/(2*d.S)) / d.S }
	case distuv.Bernoulli, distuv.Binomial, distuv.Categorical, distuv.Poisson:
		u.score = func(float64) float64 { return 0 } // discrete
	}
}

// inside reports whether x is in the support.
func (u *univariate) inside(x float64) bool { return x >= u.lower && x <= u.upper }

// value returns the log density at x.
func (u *univariate) value(x float64) float64 {
	if !u.inside(x) {
		return math.Inf(-1)
	}
	return u.logProb(x)
}

// at returns the log density and the score at x.
func (u *univariate) at(x float64) (logp, score float64) {
	if !u.inside(x) {
		return math.Inf(-1), 0
	}
	return u.logProb(x), u.score(x)
}

// centralDifference returns the derivative of f by a central difference of
// fourth order, with a relative error of about 1e-10 where f is smooth on the
// scale of max(1, |x|)/1000.
func centralDifference(f func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		h := 1e-3 * math.Max(1, math.Abs(x))
		return (8*(f(x+h)-f(x-h)) - (f(x+2*h) - f(x-2*h))) / (12 * h)
	}
}
