package sampler

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// usable reports whether a diagnostic of chains is defined: four draws or
// more in each, all finite and not all equal. It panics if the chains differ
// in length.
func usable(chains [][]float64) bool {
	if len(chains) == 0 {
		return false
	}
	n := len(chains[0])
	for i, c := range chains {
		if len(c) != n {
			panic(fmt.Sprintf("sampler: chain 0 has %d draws, chain %d has %d", n, i, len(c)))
		}
	}
	return n >= 4 && finite(chains...) && !constant(chains...)
}

func finite(chains ...[]float64) bool {
	for _, c := range chains {
		for _, x := range c {
			if math.IsNaN(x - x) {
				return false
			}
		}
	}
	return true
}

// constant reports whether all draws, of which there is one at least, are
// equal.
func constant(chains ...[]float64) bool {
	for _, c := range chains {
		for _, x := range c {
			if x != chains[0][0] {
				return false
			}
		}
	}
	return true
}

// split returns the halves of each chain, as views. The middle draw of a
// chain of odd length is in neither.
func split(chains [][]float64) [][]float64 {
	halves := make([][]float64, 0, 2*len(chains))
	for _, c := range chains {
		h := len(c) / 2
		halves = append(halves, c[:h], c[len(c)-h:])
	}
	return halves
}

// transform returns f of each draw, in chains of their own.
func transform(chains [][]float64, f func(x float64) float64) [][]float64 {
	n := len(chains[0])
	data := make([]float64, n*len(chains))
	out := make([][]float64, len(chains))
	for i, c := range chains {
		out[i] = data[i*n : (i+1)*n]
		for j, x := range c {
			out[i][j] = f(x)
		}
	}
	return out
}

// pooled returns the draws of all chains in increasing order.
func pooled(chains [][]float64) []float64 {
	x := slices.Concat(chains...)
	slices.Sort(x)
	return x
}

// quantile returns the quantile of sorted draws of type 7 of Hyndman and Fan
// (1996), the default of R and NumPy.
func quantile(sorted []float64, p float64) float64 {
	h := p * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	a, b := sorted[i], sorted[i+1]
	return a + (h-float64(i))*(b-a)
}

// ranked is the draws of chains of one length in increasing order.
type ranked struct {
	draws  []rankedDraw
	chains int
}

type rankedDraw struct {
	x  float64
	at int // its place in all chains, one after the other
}

func rank(chains [][]float64) *ranked {
	r := &ranked{draws: make([]rankedDraw, 0, len(chains)*len(chains[0])), chains: len(chains)}
	for _, c := range chains {
		for _, x := range c {
			r.draws = append(r.draws, rankedDraw{x, len(r.draws)})
		}
	}
	slices.SortFunc(r.draws, func(a, b rankedDraw) int {
		if a.x < b.x {
			return -1
		}
		if a.x > b.x {
			return 1
		}
		return 0
	})
	return r
}

// sorted returns the draws without their places.
func (r *ranked) sorted() []float64 {
	x := make([]float64, len(r.draws))
	for i, d := range r.draws {
		x[i] = d.x
	}
	return x
}

// folded returns the distances of the draws from their median, which grow
// from it in both directions.
func (r *ranked) folded() *ranked {
	s := len(r.draws)
	median := r.draws[s/2].x
	if s%2 == 0 {
		median = (r.draws[s/2-1].x + median) / 2
	}
	f := &ranked{draws: make([]rankedDraw, 0, s), chains: r.chains}
	lo, hi := s/2-1, s/2
	for len(f.draws) < s {
		var d rankedDraw
		if lo < 0 || hi < s && r.draws[hi].x-median <= median-r.draws[lo].x {
			d, hi = r.draws[hi], hi+1
		} else {
			d, lo = r.draws[lo], lo-1
		}
		d.x = math.Abs(d.x - median)
		f.draws = append(f.draws, d)
	}
	return f
}

// normalScores replaces each draw by the normal quantile of its rank among
// all draws, ties sharing their mean rank: z = Φ⁻¹((r - 3/8) / (S + 1/4)).
func (r *ranked) normalScores() [][]float64 {
	s := len(r.draws)
	data := make([]float64, s)
	for lo := 0; lo < s; {
		hi := lo + 1
		for hi < s && r.draws[hi].x == r.draws[lo].x {
			hi++
		}
		rank := float64(lo+1+hi) / 2
		z := mathext.NormalQuantile((rank - 3.0/8) / (float64(s) + 1.0/4))
		for _, d := range r.draws[lo:hi] {
			data[d.at] = z
		}
		lo = hi
	}
	return slices.Collect(slices.Chunk(data, s/r.chains))
}
