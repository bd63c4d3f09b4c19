package likelihood

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Noise is the law of the data y given f = A(x), its noise-free value or, for
// [Poisson] and [BernoulliLogit], its parameter.
//
// Implementations are safe for concurrent use, except that a source may be
// used by one call at a time.
type Noise interface {
	// Check returns an error if the law's own parameters are out of range, or
	// if it cannot produce the data y. The error names the index.
	Check(y []float64) error
	// LogProbScore returns log p(y|f), normalised as a density in y, and
	// stores its gradient with respect to f in score, which is not nil. All
	// three slices have the length of y, which Check has accepted. Where
	// log p(y|f) is -Inf or NaN, score need not be set.
	LogProbScore(score, y, f []float64) float64
	// Rand stores a draw of y given f in dst, or NaN where the law has no
	// parameter f. The source is not nil.
	Rand(dst, f []float64, src rand.Source)
}

// sufficient is a Noise with sufficient statistics: for independent repeats
// y_1, ..., y_k of the data,
//
//	Σ_k log p(y_k|f) = logConst + law.LogProbScore(score, stat, f).
//
// With a single repeat it moves what does not depend on f out of the loop.
type sufficient interface {
	reduce(y [][]float64) (law kernel, stat []float64, logConst float64)
}

// kernel is the part of a Noise that a likelihood evaluates.
type kernel interface {
	LogProbScore(score, y, f []float64) float64
}

func checkPositive(law, name string, v float64) error {
	if !(v > 0) || math.IsInf(v, 1) {
		return fmt.Errorf("likelihood: %s of %s is %g, want a positive number", name, law, v)
	}
	return nil
}

// sum returns the sum over the repeats.
func sum(y [][]float64) []float64 {
	s := make([]float64, len(y[0]))
	for _, row := range y {
		for i, v := range row {
			s[i] += v
		}
	}
	return s
}
