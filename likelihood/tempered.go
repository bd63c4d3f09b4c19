package likelihood

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Tempered is a power likelihood, p(y|x)^β with 0 < β. With β < 1 the data
// count for less than they say, which is what a model that is known to be wrong
// deserves: the posterior is wider, and moves less the more wrong the model is
// (Grünwald and van Ommen, 2017; Holmes and Walker, 2017). For Gaussian noise it
// is the likelihood of a standard deviation of σ/√β.
//
// It is not normalised as a density in y, and has no draws of data.
type Tempered struct {
	lik   *Likelihood
	power float64
}

var (
	_ inverse.DifferentiableDensity = (*Tempered)(nil)
	_ inverse.LogProbScorer         = (*Tempered)(nil)
)

// NewTempered returns the likelihood to the given power.
func NewTempered(lik *Likelihood, power float64) (*Tempered, error) {
	if lik == nil {
		return nil, errors.New("likelihood: Tempered: the likelihood is nil")
	}
	if !(power > 0) || math.IsInf(power, 1) {
		return nil, fmt.Errorf("likelihood: Tempered: power is %g, want a positive number", power)
	}
	return &Tempered{lik, power}, nil
}

// Dim returns the dimension n of x.
func (t *Tempered) Dim() int { return t.lik.Dim() }

// Differentiable returns nil if there is a score, and otherwise an error that
// says what the operator lacks.
func (t *Tempered) Differentiable() error { return t.lik.Differentiable() }

// LogProb returns β log p(y|x).
func (t *Tempered) LogProb(x []float64) float64 { return t.power * t.lik.LogProb(x) }

// ScoreInput stores the score in score, which is allocated if nil, and returns
// it.
func (t *Tempered) ScoreInput(score, x []float64) []float64 {
	score = t.lik.ScoreInput(score, x)
	floats.Scale(t.power, score)
	return score
}

// LogProbScore stores the score in score and returns β log p(y|x).
func (t *Tempered) LogProbScore(score, x []float64) float64 {
	p := t.lik.LogProbScore(score, x)
	floats.Scale(t.power, score)
	return t.power * p
}

// Scores sets the rows of dst to the scores at the rows of x and, if it is not
// nil, logProb[i] to β log p(y|x_i).
func (t *Tempered) Scores(dst *mat.Dense, logProb []float64, x *mat.Dense) {
	t.lik.Scores(dst, logProb, x)
	r, _ := dst.Dims()
	for i := range r {
		floats.Scale(t.power, dst.RawRowView(i))
	}
	floats.Scale(t.power, logProb)
}
