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

// normalScores replaces each draw by the normal quantile of its rank among
// all draws, ties sharing their mean rank: z = Φ⁻¹((r - 3/8) / (S + 1/4)).
func normalScores(chains [][]float64) [][]float64 {
	n := len(chains[0])
	s := n * len(chains)
	type draw struct {
		x float64
		i int
	}
	order := make([]draw, 0, s)
	for _, c := range chains {
		for _, x := range c {
			order = append(order, draw{x, len(order)})
		}
	}
	slices.SortFunc(order, func(a, b draw) int {
		if a.x < b.x {
			return -1
		}
		if a.x > b.x {
			return 1
		}
		return a.i - b.i
	})
	data := make([]float64, s)
	for lo := 0; lo < s; {
		hi := lo + 1
		for hi < s && order[hi].x == order[lo].x {
			hi++
		}
		rank := float64(lo+1+hi) / 2
		z := mathext.NormalQuantile((rank - 3.0/8) / (float64(s) + 1.0/4))
		for _, d := range order[lo:hi] {
			data[d.i] = z
		}
		lo = hi
	}
	out := make([][]float64, len(chains))
	for i := range out {
		out[i] = data[i*n : (i+1)*n]
	}
	return out
}
