package likelihood

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Poisson is the law of independent counts, y_i of mean e_i f_i, or
// e_i exp(f_i) with Log. A negative mean is impossible.
type Poisson struct {
	Exposure []float64 // e_i > 0, one for each datum; nil means 1
	Log      bool      // f is the logarithm of the rate
}

var _ Noise = Poisson{}

// Check implements [Noise]: counts must be integers that are not negative.
func (p Poisson) Check(y []float64) error {
	if p.Exposure != nil && len(p.Exposure) != len(y) {
		return fmt.Errorf("likelihood: Exposure of Poisson has length %d, the data %d", len(p.Exposure), len(y))
	}
	for i, e := range p.Exposure {
		if err := checkPositive("Poisson", fmt.Sprintf("Exposure[%d]", i), e); err != nil {
			return err
		}
	}
	for i, v := range y {
		if v < 0 || v != math.Trunc(v) {
			return fmt.Errorf("likelihood: y[%d] is %g, want a count (0, 1, 2, ...)", i, v)
		}
	}
	return nil
}

// LogProbScore implements [Noise].
func (p Poisson) LogProbScore(score, y, f []float64) float64 {
	return p.logConst(y) + poissonSum{p, 1}.LogProbScore(score, y, f)
}

// Rand implements [Noise].
func (p Poisson) Rand(dst, f []float64, src rand.Source) {
	for i, v := range f {
		mean := p.exposure(i) * v
		if p.Log {
			mean = p.exposure(i) * math.Exp(v)
		}
		switch {
		case mean == 0:
			dst[i] = 0
		case mean > 0 && !math.IsInf(mean, 1):
			dst[i] = distuv.Poisson{Lambda: mean, Src: src}.Rand()
		default:
			dst[i] = math.NaN()
		}
	}
}

func (p Poisson) exposure(i int) float64 {
	if p.Exposure == nil {
		return 1
	}
	return p.Exposure[i]
}

// logConst is what does not depend on f: Σ y_i log e_i - log y_i!.
func (p Poisson) logConst(y []float64) float64 {
	var c float64
	for i, v := range y {
		l, _ := math.Lgamma(v + 1)
		c += v*math.Log(p.exposure(i)) - l
	}
	return c
}

// reduce: the sum of the counts is sufficient.
func (p Poisson) reduce(y [][]float64) (kernel, []float64, float64) {
	var c float64
	for _, row := range y {
		c += p.logConst(row)
	}
	return poissonSum{p, float64(len(y))}, sum(y), c
}

// poissonSum is the law of the sum of k repeats, without its constant.
type poissonSum struct {
	Poisson
	k float64
}

func (p poissonSum) LogProbScore(score, s, f []float64) float64 {
	var sum float64
	for i, v := range s {
		mean := p.k * p.exposure(i)
		if p.Log {
			mean *= math.Exp(f[i])
			sum -= mean
			if v > 0 {
				sum += v * f[i]
			}
			score[i] = v - mean
			continue
		}
		if f[i] < 0 {
			return math.Inf(-1)
		}
		score[i] = -mean
		sum -= mean * f[i]
		if v > 0 {
			sum += v * math.Log(f[i])
			score[i] += v / f[i]
		}
	}
	return sum
}

// BernoulliLogit is the law of independent binary data: y_i is 1 with
// probability 1/(1 + exp(-f_i)), and otherwise 0.
type BernoulliLogit struct{}

var _ Noise = BernoulliLogit{}

// Check implements [Noise]: data must be 0 or 1.
func (BernoulliLogit) Check(y []float64) error {
	for i, v := range y {
		if v != 0 && v != 1 {
			return fmt.Errorf("likelihood: y[%d] is %g, want 0 or 1", i, v)
		}
	}
	return nil
}

// LogProbScore implements [Noise].
func (BernoulliLogit) LogProbScore(score, y, f []float64) float64 {
	return binomialLogit{k: 1}.LogProbScore(score, y, f)
}

// Rand implements [Noise].
func (BernoulliLogit) Rand(dst, f []float64, src rand.Source) {
	r := rand.New(src)
	for i, v := range f {
		u := r.Float64()
		switch {
		case math.IsNaN(v):
			dst[i] = math.NaN()
		case u < 1/(1+math.Exp(-v)):
			dst[i] = 1
		default:
			dst[i] = 0
		}
	}
}

// reduce: the number of ones is sufficient.
func (BernoulliLogit) reduce(y [][]float64) (kernel, []float64, float64) {
	return binomialLogit{k: float64(len(y))}, sum(y), 0
}

// binomialLogit is the law of k repeats given the number of ones.
type binomialLogit struct{ k float64 }

func (b binomialLogit) LogProbScore(score, ones, f []float64) float64 {
	var sum float64
	for i, s := range ones {
		e := math.Exp(-math.Abs(f[i]))
		l := math.Log1p(e)
		// -log p(1) = log(1 + exp(-f)) and -log p(0) = log(1 + exp(f)).
		if s > 0 {
			sum -= s * (math.Max(-f[i], 0) + l)
		}
		if s < b.k {
			sum -= (b.k - s) * (math.Max(f[i], 0) + l)
		}
		p1 := 1 / (1 + e)
		if f[i] < 0 {
			p1 = e / (1 + e)
		}
		score[i] = s - b.k*p1
	}
	return sum
}
