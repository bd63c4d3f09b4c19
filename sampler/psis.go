package sampler

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// PSIS sets dst to Pareto-smoothed log importance weights and returns the
// shape k̂ of the generalised Pareto distribution fitted to the largest of
// them (Vehtari, Simpson, Gelman, Yao and Gabry, 2024, algorithm 1). The
// smoothed weights sum to one. dst may be logWeights, or nil to allocate; the
// result is returned.
//
// The log weights need not be normalised, and may be -Inf but not all of them.
// relEff is the effective sample size of the draws over their number, and 0
// means 1, independent draws. The tail has ⌊min(S/5, 3 sqrt(S/relEff))⌋ of the
// S weights.
//
// The estimates that use the weights can be trusted if k̂ is below
// [KHatThreshold]; above 0.7 no practical number of draws is enough. k̂ is -Inf
// if the largest weights are all equal, the best case; +Inf if a quarter of them
// are zero beside the largest, the worst; and NaN if the tail has fewer than five
// weights. The weights are then normalised but not smoothed.
//
// The error reports a weight that is NaN or +Inf, weights that are all zero, a
// relEff that is not positive, and a dst of the wrong length.
func PSIS(dst, logWeights []float64, relEff float64) (smoothed []float64, khat float64, err error) {
	s := len(logWeights)
	switch {
	case dst == nil:
		dst = make([]float64, s)
	case len(dst) != s:
		return nil, 0, fmt.Errorf("sampler: PSIS dst has %d elements, logWeights %d", len(dst), s)
	}
	switch {
	case relEff == 0:
		relEff = 1
	case !(relEff > 0):
		return nil, 0, fmt.Errorf("sampler: PSIS relEff is %g, want it positive", relEff)
	}
	top := math.Inf(-1)
	for i, w := range logWeights {
		if math.IsNaN(w) || math.IsInf(w, 1) {
			return nil, 0, fmt.Errorf("sampler: PSIS log weight %d is %g", i, w)
		}
		top = max(top, w)
	}
	if math.IsInf(top, -1) {
		return nil, 0, fmt.Errorf("sampler: PSIS weights are all zero (there are %d)", s)
	}
	copy(dst, logWeights)
	floats.AddConst(-top, dst)
	khat = smoothTail(dst, int(min(float64(s)/5, 3*math.Sqrt(float64(s)/relEff))))
	floats.AddConst(-floats.LogSumExp(dst), dst)
	return dst, khat, nil
}

// KHatThreshold returns the k̂ of [PSIS] up to which importance sampling with n
// draws can be trusted, min(1 - 1/log10 n, 0.7).
func KHatThreshold(n int) float64 {
	return min(1-1/math.Log10(float64(n)), 0.7)
}

// smoothTail replaces the n largest of the log weights lw, whose maximum is 0,
// by the expected order statistics of the generalised Pareto distribution
// fitted to them, and returns its shape.
func smoothTail(lw []float64, n int) (k float64) {
	if n < 5 {
		return math.NaN()
	}
	order := make([]int, len(lw))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case lw[a] < lw[b]:
			return -1
		case lw[a] > lw[b]:
			return 1
		}
		return 0
	})
	tail := order[len(order)-n:]
	const equal = 1e-10 // log weights closer than this differ by rounding
	if lw[tail[0]] > -equal {
		return math.Inf(-1)
	}
	below := lw[order[len(order)-n-1]]
	cutoff := math.Exp(below)
	excess := make([]float64, n)
	for i, j := range tail {
		excess[i] = math.Exp(lw[j]) - cutoff
	}
	// A first quartile of zero comes from ties with the cutoff, or from weights
	// that are zero beside the largest.
	first := lw[tail[quartile(n)]]
	if excess[quartile(n)] == 0 && (first != below || math.IsInf(first, -1)) {
		return math.Inf(1)
	}
	k, sigma := fitGPD(excess)
	if math.IsNaN(k) || math.IsInf(k, 0) || !(sigma > 0) || math.IsInf(sigma, 1) {
		return math.Inf(1)
	}
	for i, j := range tail {
		p := (float64(i) + 0.5) / float64(n)
		q := -math.Log1p(-p)
		if k != 0 {
			q = math.Expm1(k*q) / k
		}
		lw[j] = min(math.Log(cutoff+sigma*q), 0)
	}
	return k
}

// fitGPD fits the generalised Pareto distribution with location 0 to sorted
// x ≥ 0 by the empirical Bayes estimate of Zhang and Stephens (2009), with the
// shape k drawn towards 1/2 as ten observations would (Vehtari et al., 2024,
// appendix G).
func fitGPD(x []float64) (k, sigma float64) {
	const prior = 3
	n := len(x)
	m := 30 + int(math.Sqrt(float64(n)))
	i := quartile(n)
	for x[i] == 0 { // weights equal to the cutoff: the quartile of the others
		i++
	}
	// Profile likelihoods of θ_j, where shape = mean log(1 - θ x).
	theta := make([]float64, m)
	weight := make([]float64, m)
	for j := range theta {
		t := 1/x[n-1] + (1-math.Sqrt(float64(m)/(float64(j)+0.5)))/(prior*x[i])
		shape := meanLog1p(t, x)
		theta[j] = t
		weight[j] = float64(n) * (math.Log(-t/shape) - shape - 1)
	}
	var post float64
	norm := floats.LogSumExp(weight)
	for j, t := range theta {
		post += t * math.Exp(weight[j]-norm)
	}
	k = meanLog1p(post, x)
	sigma = -k / post
	return (k*float64(n) + 5) / (float64(n) + 10), sigma
}

// quartile returns the index of the first quartile of n sorted values.
func quartile(n int) int { return int(float64(n)/4+0.5) - 1 }

// meanLog1p returns the mean of log(1 - θ x).
func meanLog1p(theta float64, x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += math.Log1p(-theta * v)
	}
	return sum / float64(len(x))
}
