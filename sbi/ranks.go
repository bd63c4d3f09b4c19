package sbi

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// RankTest says how the ranks of one quantity compare with uniform ones.
type RankTest struct {
	Name string
	// PECDF is the probability under uniform ranks of so large a deviation
	// of their distribution function, at its least likely point (Säilynoja,
	// Bürkner and Vehtari, 2022).
	PECDF float64
	// Lower and Upper bound, with probability 0.95 at all points together,
	// the fraction of ranks of at most k, for k = 0, ..., Draws.
	Lower, Upper []float64
	// PChi2 is the p-value of Pearson's test of the counts in Bins bins.
	PChi2 float64
	Bins  int
	// Mean is the mean of the ranks scaled to (0, 1), 0.5 if they are
	// uniform: smaller if the draws are too large.
	Mean, MeanSE float64
	// Spread is the mean square distance of the scaled ranks from 0.5 over
	// that of uniform ones: above 1 if the draws are too narrow, below if they
	// are too wide.
	Spread, SpreadSE float64
}

func (t RankTest) diagnosis(kind string) string {
	bias, width := (t.Mean-0.5)/t.MeanSE, (t.Spread-1)/t.SpreadSE
	switch {
	case kind == "expected coverage" && bias < -3:
		return "regions of highest density cover too little"
	case kind == "expected coverage" && bias > 3:
		return "regions of highest density cover too much"
	case kind != "SBC":
		return "the ranks are not uniform"
	case math.Abs(bias) > 3 && math.Abs(bias) > math.Abs(width):
		if bias > 0 {
			return "the draws are too small"
		}
		return "the draws are too large"
	case width > 3:
		return "the draws are too narrow"
	case width < -3:
		return "the draws are too wide"
	}
	return "the ranks are not uniform"
}

// rankNull is what uniform ranks do, by simulation.
type rankNull struct {
	n, l  int
	cdf   [][]float64 // at k: P(at most r of n ranks are at most k)
	gamma []float64   // sorted
}

func newRankNull(n, l int, src rand.Source) *rankNull {
	z := &rankNull{n: n, l: l, cdf: make([][]float64, l)}
	for k := range z.cdf {
		z.cdf[k] = binomialCDF(n, float64(k+1)/float64(l+1))
	}
	const simulations = 1000
	r := rand.New(src)
	counts := make([]int, l+1)
	for range simulations {
		clear(counts)
		for range n {
			counts[r.IntN(l+1)]++
		}
		z.gamma = append(z.gamma, z.least(counts))
	}
	slices.Sort(z.gamma)
	return z
}

// binomialCDF returns P(X <= r) for r = 0, ..., n.
func binomialCDF(n int, p float64) []float64 {
	cdf := make([]float64, n+1)
	b := distuv.Binomial{N: float64(n), P: p}
	var sum float64
	for r := range cdf {
		sum += b.Prob(float64(r))
		cdf[r] = min(sum, 1)
	}
	return cdf
}

// least returns the smallest two-sided p-value of the distribution function at
// any point (eq. 8 of Säilynoja et al.).
func (z *rankNull) least(counts []int) float64 {
	p, below := 1.0, 0
	for k, cdf := range z.cdf {
		below += counts[k]
		upper := 1.0 // P(X >= below)
		if below > 0 {
			upper = 1 - cdf[below-1]
		}
		p = min(p, 2*min(cdf[below], upper))
	}
	return p
}

func (z *rankNull) test(name string, ranks []int) RankTest {
	t := RankTest{Name: name}
	counts := make([]int, z.l+1)
	n, cells := float64(z.n), float64(z.l+1)
	var spread float64
	for _, r := range ranks {
		counts[r]++
		u := (float64(r) + 0.5) / cells
		t.Mean += u / n
		spread += (u - 0.5) * (u - 0.5) / n
	}
	uniform := (1 - 1/(cells*cells)) / 12 // mean square of uniform scaled ranks
	t.MeanSE = math.Sqrt(uniform / n)
	t.Spread = spread / uniform
	t.SpreadSE = math.Sqrt(0.8 / n)

	least := z.least(counts)
	below, _ := slices.BinarySearch(z.gamma, math.Nextafter(least, 2))
	t.PECDF = float64(below+1) / float64(len(z.gamma)+1)
	if below == 0 {
		// Beyond the simulations, the bound of Bonferroni.
		t.PECDF = min(t.PECDF, least*float64(z.l))
	}
	gamma := z.gamma[len(z.gamma)/20]
	for _, cdf := range z.cdf {
		lo, _ := slices.BinarySearch(cdf, gamma/2)
		hi, _ := slices.BinarySearch(cdf, 1-gamma/2)
		t.Lower = append(t.Lower, float64(lo)/n)
		t.Upper = append(t.Upper, float64(min(hi, z.n))/n)
	}
	t.Lower, t.Upper = append(t.Lower, 1), append(t.Upper, 1)

	t.Bins = 1
	for b := 2; b <= z.l+1 && n/float64(b) >= 10; b++ {
		if (z.l+1)%b == 0 {
			t.Bins = b
		}
	}
	if t.Bins > 1 {
		var chi2 float64
		expected := n / float64(t.Bins)
		each := (z.l + 1) / t.Bins
		for b := range t.Bins {
			var c float64
			for _, v := range counts[b*each : (b+1)*each] {
				c += float64(v)
			}
			chi2 += (c - expected) * (c - expected) / expected
		}
		t.PChi2 = distuv.ChiSquared{K: float64(t.Bins - 1)}.Survival(chi2)
	} else {
		t.PChi2 = math.NaN()
	}
	return t
}
