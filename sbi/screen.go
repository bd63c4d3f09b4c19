package sbi

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// screenLevel is the probability that screen takes any column that does not
// depend on the parameters.
const screenLevel = 0.05

// screen reports which columns of y depend on a column of theta by one of four
// rank correlations: that of the values (Spearman's), those of one's values
// with the other's distances from the median, and that of both distances. If
// there is no such column, it reports all.
func screen(theta, y *mat.Dense) []bool {
	n, d := theta.Dims()
	_, m := y.Dims()
	var scores [][]float64
	for k := range d {
		values, distances := rankScores(mat.Col(nil, k, theta))
		scores = append(scores, values, distances)
	}
	// Without dependence a correlation is normal with variance 1/(n-1).
	least := distuv.UnitNormal.Quantile(1-screenLevel/float64(8*d*m)) / math.Sqrt(float64(n-1))
	depends := make([]bool, m)
	for j := range m {
		values, distances := rankScores(mat.Col(nil, j, y))
		depends[j] = slices.ContainsFunc(scores, func(s []float64) bool {
			return math.Abs(floats.Dot(s, values)) > least || math.Abs(floats.Dot(s, distances)) > least
		})
	}
	if !slices.Contains(depends, true) {
		for j := range depends {
			depends[j] = true
		}
	}
	return depends
}

// rankScores returns the ranks of v, those of ties being their mean, and the
// distances of the ranks from the middle one, both with mean 0 and norm 1, or 0
// if they are all the same.
func rankScores(v []float64) (values, distances []float64) {
	n := len(v)
	sorted, index := slices.Clone(v), make([]int, n)
	floats.Argsort(sorted, index)
	values, distances = make([]float64, n), make([]float64, n)
	for lo := 0; lo < n; {
		hi := lo + 1
		for hi < n && sorted[hi] == sorted[lo] {
			hi++
		}
		for _, i := range index[lo:hi] {
			values[i] = float64(lo+hi-n) / 2
			distances[i] = math.Abs(values[i])
		}
		lo = hi
	}
	for _, s := range [][]float64{values, distances} {
		floats.AddConst(-stat.Mean(s, nil), s)
		if norm := floats.Norm(s, 2); norm > 1e-9*float64(n) {
			floats.Scale(1/norm, s)
		} else {
			clear(s)
		}
	}
	return values, distances
}
