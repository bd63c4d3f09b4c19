package likelihood

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// StudentT is independent noise with heavy tails, for data with outliers:
// (y_i - f_i)/Scale has Student's t distribution with Nu degrees of freedom.
type StudentT struct {
	Nu    float64 // degrees of freedom, > 0; small values forgive large outliers
	Scale float64 // > 0; the standard deviation is Scale √(Nu/(Nu-2)) for Nu > 2
}

var _ Noise = StudentT{}

// Check implements [Noise]: Nu and Scale must be positive.
func (s StudentT) Check([]float64) error {
	if err := checkPositive("StudentT", "Nu", s.Nu); err != nil {
		return err
	}
	return checkPositive("StudentT", "Scale", s.Scale)
}

// LogProbScore implements [Noise].
func (s StudentT) LogProbScore(score, y, f []float64) float64 {
	a, _ := math.Lgamma((s.Nu + 1) / 2)
	b, _ := math.Lgamma(s.Nu / 2)
	p := float64(len(y)) * (a - b - math.Log(s.Nu*math.Pi)/2 - math.Log(s.Scale))
	for i, v := range y {
		r := (v - f[i]) / s.Scale
		p -= (s.Nu + 1) / 2 * math.Log(1+r*r/s.Nu)
		score[i] = (s.Nu + 1) * r / (s.Nu + r*r) / s.Scale
	}
	return p
}

// Rand implements [Noise].
func (s StudentT) Rand(dst, f []float64, src rand.Source) {
	t := distuv.StudentsT{Sigma: s.Scale, Nu: s.Nu, Src: src}
	for i, v := range f {
		dst[i] = v + t.Rand()
	}
}

// Laplace is independent noise of density exp(-|y_i - f_i|/Scale)/(2 Scale),
// for data with outliers. Its score has a jump at f_i = y_i, where the
// subgradient 0 is taken.
type Laplace struct {
	Scale float64 // > 0; the standard deviation is √2 Scale
}

var _ Noise = Laplace{}

// Check implements [Noise]: Scale must be positive.
func (l Laplace) Check([]float64) error { return checkPositive("Laplace", "Scale", l.Scale) }

// LogProbScore implements [Noise].
func (l Laplace) LogProbScore(score, y, f []float64) float64 {
	p := -float64(len(y)) * math.Log(2*l.Scale)
	for i, v := range y {
		r := v - f[i]
		p -= math.Abs(r) / l.Scale
		score[i] = 0
		if r != 0 {
			score[i] = math.Copysign(1/l.Scale, r)
		}
	}
	return p
}

// Rand implements [Noise].
func (l Laplace) Rand(dst, f []float64, src rand.Source) {
	d := distuv.Laplace{Scale: l.Scale, Src: src}
	for i, v := range f {
		dst[i] = v + d.Rand()
	}
}
