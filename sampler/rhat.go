package sampler

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// RHat returns the potential scale reduction factor of one scalar: the
// larger of the rank-normalised split R-hat of its draws, which sees chains
// that differ in location, and of their distances from the median, which sees
// chains that differ in spread (Vehtari, Gelman, Simpson, Carpenter and
// Bürkner, 2021, section 4).
//
// Row i of chains holds the draws of chain i in order. One chain is compared
// with itself, half against half. Values above 1.01 mean that the chains have
// not mixed.
//
// RHat is NaN if there are fewer than four draws in a chain, if all draws are
// equal, or if any is NaN or infinite, and +Inf if each half chain is constant
// but not all are equal. It panics if the chains differ in length.
func RHat(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	r := rank(split(chains))
	return rhatOf(r, r.normalScores())
}

// rhatOf is the R-hat of halves of chains, given their normal scores too.
func rhatOf(halves *ranked, scores [][]float64) float64 {
	r := rhat(scores)
	if f := halves.folded(); f.draws[0].x < f.draws[len(f.draws)-1].x {
		r = max(r, rhat(f.normalScores()))
	}
	return r
}

// rhat is Gelman and Rubin's factor, sqrt((n-1)/n + B/(nW)).
func rhat(chains [][]float64) float64 {
	n := float64(len(chains[0]))
	means := make([]float64, len(chains))
	var w float64
	for i, c := range chains {
		var v float64
		means[i], v = stat.MeanVariance(c, nil)
		if !constant(c) { // else a rounding error would be taken for a variance
			w += v / float64(len(chains))
		}
	}
	return math.Sqrt((n-1)/n + stat.Variance(means, nil)/w)
}
