package likelihood

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Huber is independent noise that is Gaussian in the middle and has
// exponential tails, for data with outliers: with r = (y_i - f_i)/Scale, -log
// of its density is, up to a constant, Huber's function (1964)
//
//	r²/2 for |r| ≤ Delta,  Delta |r| - Delta²/2 beyond.
//
// No datum pulls with more than Delta/Scale. Unlike [StudentT] it keeps the
// posterior of a linear problem log-concave.
type Huber struct {
	Scale float64 // standard deviation of the Gaussian part, > 0
	Delta float64 // where the tails begin; if 0, 1.345, which costs 5 % where the noise is Gaussian
}

var _ Noise = Huber{}

func (h Huber) delta() float64 {
	if h.Delta == 0 {
		return 1.345
	}
	return h.Delta
}

// Check implements [Noise]: Scale must be positive, and so must Delta be, or 0.
func (h Huber) Check([]float64) error {
	if err := checkPositive("Huber", "Scale", h.Scale); err != nil {
		return err
	}
	return checkPositive("Huber", "Delta", h.delta())
}

// masses are the integrals over the middle and over one tail of the density
// that is 1 at r = 0.
func (h Huber) masses() (middle, tail float64) {
	d := h.delta()
	return math.Sqrt(2*math.Pi) * math.Erf(d/math.Sqrt2), math.Exp(-d*d/2) / d
}

// LogProbScore implements [Noise].
func (h Huber) LogProbScore(score, y, f []float64) float64 {
	d := h.delta()
	middle, tail := h.masses()
	p := -float64(len(y)) * math.Log(h.Scale*(middle+2*tail))
	for i, v := range y {
		r := (v - f[i]) / h.Scale
		switch {
		case r > d:
			p -= d*r - d*d/2
			score[i] = d / h.Scale
		case r < -d:
			p -= -d*r - d*d/2
			score[i] = -d / h.Scale
		default: // and NaN
			p -= r * r / 2
			score[i] = r / h.Scale
		}
	}
	return p
}

// Rand implements [Noise].
func (h Huber) Rand(dst, f []float64, src rand.Source) {
	d := h.delta()
	middle, tail := h.masses()
	r := rand.New(src)
	lo := distuv.UnitNormal.CDF(-d)
	for i, v := range f {
		u := r.Float64() * (middle + 2*tail)
		var z float64
		switch {
		case u < middle:
			z = distuv.UnitNormal.Quantile(lo + r.Float64()*(1-2*lo))
		case u < middle+tail:
			z = d + r.ExpFloat64()/d
		default:
			z = -d - r.ExpFloat64()/d
		}
		dst[i] = v + h.Scale*z
	}
}
