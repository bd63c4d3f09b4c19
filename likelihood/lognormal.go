package likelihood

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// LogNormal is independent multiplicative noise, log y_i ~ N(log f_i, Sigma²):
// f is the median of y. A median that is not positive is impossible.
type LogNormal struct {
	Sigma float64 // standard deviation of log y, > 0
}

var _ Noise = LogNormal{}

// Check implements [Noise]: data must be positive.
func (l LogNormal) Check(y []float64) error {
	if err := checkPositive("LogNormal", "Sigma", l.Sigma); err != nil {
		return err
	}
	for i, v := range y {
		if !(v > 0) {
			return fmt.Errorf("likelihood: y[%d] is %g, want a positive number", i, v)
		}
	}
	return nil
}

// LogProbScore implements [Noise].
func (l LogNormal) LogProbScore(score, y, f []float64) float64 {
	p := -float64(len(y)) * (halfLog2Pi + math.Log(l.Sigma))
	for i, v := range y {
		if f[i] <= 0 {
			return math.Inf(-1)
		}
		z := math.Log(v/f[i]) / l.Sigma
		p -= z*z/2 + math.Log(v)
		score[i] = z / l.Sigma / f[i]
	}
	return p
}

// Rand implements [Noise].
func (l LogNormal) Rand(dst, f []float64, src rand.Source) {
	r := rand.New(src)
	for i, v := range f {
		z := r.NormFloat64()
		dst[i] = math.NaN()
		if v > 0 {
			dst[i] = v * math.Exp(l.Sigma*z)
		}
	}
}

// reduce: the geometric mean is sufficient.
func (l LogNormal) reduce(y [][]float64) (kernel, []float64, float64) {
	k := float64(len(y))
	logMean := make([]float64, len(y[0]))
	for _, row := range y {
		for i, v := range row {
			logMean[i] += math.Log(v) / k
		}
	}
	c := -k * float64(len(logMean)) * (halfLog2Pi + math.Log(l.Sigma))
	for _, row := range y {
		for i, v := range row {
			z := (math.Log(v) - logMean[i]) / l.Sigma
			c -= z*z/2 + math.Log(v)
		}
	}
	return logNormalMean{l.Sigma, k}, logMean, c
}

// logNormalMean is the law of k repeats given the mean of their logarithms,
// without its constant.
type logNormalMean struct{ sigma, k float64 }

func (l logNormalMean) LogProbScore(score, logMean, f []float64) float64 {
	var sum float64
	for i, v := range logMean {
		if f[i] <= 0 {
			return math.Inf(-1)
		}
		z := (v - math.Log(f[i])) / l.sigma
		sum -= l.k * z * z / 2
		score[i] = l.k * z / l.sigma / f[i]
	}
	return sum
}
