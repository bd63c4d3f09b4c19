package sampler

import (
	"math"

	"gonum.org/v1/gonum/dsp/fourier"
	"gonum.org/v1/gonum/stat"
)

// ESS returns the effective sample size of the mean of one scalar: the number
// of independent draws whose mean would be as accurate. It is computed from
// split chains by Geyer's initial monotone sequence over the autocorrelations
// combined over the chains (Vehtari et al., 2021, section 3.2), and at most
// S log10 S for S draws.
//
// The argument and the values that are NaN are those of [RHat].
func ESS(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	return ess(split(chains))
}

// ESSBulk returns the effective sample size of the rank-normalised draws,
// which says how well the chains tell where the bulk of the distribution is,
// and exists when the mean or variance does not. At least 100 for each chain
// is advised (Vehtari et al., 2021).
//
// The argument and the values that are NaN are those of [RHat].
func ESSBulk(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	return ess(rank(split(chains)).normalScores())
}

// ESSTail returns the smaller of the effective sample sizes of the 5 % and
// 95 % quantiles, which says how well the chains tell how wide the
// distribution is.
//
// The argument and the values that are NaN are those of [RHat]; it is also
// NaN if no draw exceeds the 95 % quantile, as can happen with discrete
// values.
func ESSTail(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	return essTail(chains, pooled(chains))
}

// essTail is ESSTail, given the draws in increasing order too.
func essTail(chains [][]float64, sorted []float64) float64 {
	return min(essBelow(chains, quantile(sorted, 0.05)), essBelow(chains, quantile(sorted, 0.95)))
}

// essBelow returns the effective sample size of the share of draws at most q.
func essBelow(chains [][]float64, q float64) float64 {
	return ESS(transform(chains, func(x float64) float64 {
		if x <= q {
			return 1
		}
		return 0
	}))
}

// ess is the effective sample size of chains that have been split.
func ess(chains [][]float64) float64 {
	m, n := float64(len(chains)), len(chains[0])
	acov := autocovariance(chains)
	w := acov[0] * float64(n) / float64(n-1)
	means := make([]float64, len(chains))
	for i, c := range chains {
		means[i] = stat.Mean(c, nil)
	}
	varPlus := acov[0] + stat.Variance(means, nil)
	rho := acov
	for t := range rho {
		rho[t] = 1 - (w-rho[t])/varPlus
	}
	rho[0] = 1

	// Geyer's initial positive sequence: the pairs (ρ_2k, ρ_2k+1) whose sums
	// stay positive. T is the first lag after them.
	T := 0
	for T+4 < n && rho[T]+rho[T+1] > 0 {
		T += 2
	}
	tau := -1.0
	// The even lag after the last pair counts once if it is positive, which
	// makes the estimate less noisy when draws are antithetic.
	if rho[T] > 0 || rho[T]+rho[T+1] >= 0 {
		tau += rho[T]
	}
	// Made monotone: a pair whose sum exceeds the one before is given its mean.
	for t := 0; t < T; t += 2 {
		if t > 0 {
			if before := rho[t-2] + rho[t-1]; rho[t]+rho[t+1] > before {
				rho[t], rho[t+1] = before/2, before/2
			}
		}
		tau += 2 * (rho[t] + rho[t+1])
	}
	s := m * float64(n)
	return s / max(tau, 1/math.Log10(s))
}

// Autocorrelation returns the autocorrelations of a series at lags
// 0, ..., len(x)-1, each the biased autocovariance (a sum divided by len(x))
// over the variance. All are NaN if the series is constant, or if any of it
// is NaN or infinite.
func Autocorrelation(x []float64) []float64 {
	if len(x) == 0 {
		return nil
	}
	rho := autocovariance([][]float64{x})
	c0 := rho[0]
	if constant(x) || !finite(x) {
		c0 = math.NaN()
	}
	for t := range rho {
		rho[t] /= c0
	}
	return rho
}

// autocovariance returns the biased autocovariances at lags 0, ..., n-1,
// averaged over the chains: the inverse transform of the mean power spectrum
// of the chains, centred and padded with zeros.
func autocovariance(chains [][]float64) []float64 {
	n := len(chains[0])
	size := fastLength(2 * n)
	fft := fourier.NewFFT(size)
	seq := make([]float64, size)
	coef := make([]complex128, size/2+1)
	power := make([]complex128, size/2+1)
	for _, c := range chains {
		var mean float64
		for _, x := range c {
			mean += x
		}
		mean /= float64(n)
		for i, x := range c {
			seq[i] = x - mean
		}
		fft.Coefficients(coef, seq)
		for i, z := range coef {
			power[i] += complex(real(z)*real(z)+imag(z)*imag(z), 0)
		}
	}
	fft.Sequence(seq, power)
	scale := 1 / (float64(size) * float64(n) * float64(len(chains)))
	acov := seq[:n]
	for i := range acov {
		acov[i] *= scale
	}
	return acov
}

// fastLength returns the least even number of the form 2^a 3^b 5^c that is at
// least n.
func fastLength(n int) int {
	n += n % 2
	for ; ; n += 2 {
		m := n
		for _, p := range []int{2, 3, 5} {
			for m%p == 0 {
				m /= p
			}
		}
		if m == 1 {
			return n
		}
	}
}
