package sampler

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat"
)

// MCSEMean returns the Monte Carlo standard error of the mean of one scalar,
// its standard deviation over the root of [ESS].
//
// The argument and the values that are NaN are those of [RHat].
func MCSEMean(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	return stat.StdDev(pooled(chains), nil) / math.Sqrt(ESS(chains))
}

// MCSESD returns the Monte Carlo standard error of the standard deviation of
// one scalar by the delta method,
//
//	sqrt((m4 - m2²) / (4 m2 ESS))
//
// with the central moments m2 and m4 and the effective sample size of the
// squared deviations (x - mean)², the mean of which is the variance. So does
// R's posterior; Stan takes the effective sample size of |x - mean|, ArviZ
// that of x.
//
// The argument and the values that are NaN are those of [RHat].
func MCSESD(chains [][]float64) float64 {
	if !usable(chains) {
		return math.NaN()
	}
	x := pooled(chains)
	mean := stat.Mean(x, nil)
	m2 := stat.Moment(2, x, nil)
	m4 := stat.Moment(4, x, nil)
	squares := transform(chains, func(x float64) float64 { return (x - mean) * (x - mean) })
	return math.Sqrt((m4 - m2*m2) / (4 * m2 * ESS(squares)))
}

// MCSEQuantile returns the Monte Carlo standard error of the p-quantile of
// one scalar: half the distance between the order statistics that enclose it
// with the probability of plus and minus one standard deviation, under the
// effective sample size of the share of draws below it (Vehtari et al., 2021,
// section 4.4).
//
// The argument and the values that are NaN are those of [RHat]; it is also
// NaN if p is not in (0, 1) or no draw exceeds the quantile.
func MCSEQuantile(chains [][]float64, p float64) float64 {
	if !usable(chains) || !(0 < p && p < 1) {
		return math.NaN()
	}
	x := pooled(chains)
	n := essBelow(chains, quantile(x, p))
	if math.IsNaN(n) {
		return math.NaN()
	}
	const below = 0.15865525393145705 // Φ(-1)
	s := float64(len(x))
	lo := mathext.InvRegIncBeta(n*p+1, n*(1-p)+1, below)
	hi := mathext.InvRegIncBeta(n*p+1, n*(1-p)+1, 1-below)
	i := max(math.Floor(lo*s-1), 0)
	j := min(math.Ceil(hi*s-1), s-1)
	return (x[int(j)] - x[int(i)]) / 2
}
