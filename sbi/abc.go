package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// WeightedSample is what approximate Bayesian computation gives: parameters
// whose data are within a tolerance of the observed data, with weights. It is
// a sampler of its parameters, with replacement.
type WeightedSample struct {
	Theta    *mat.Dense // one row a particle
	Y        *mat.Dense // the data that each gave
	Weight   []float64  // adding up to 1
	Distance []float64  // of Y from the observed data
	// Epsilon is the tolerance, the largest Distance that was allowed.
	Epsilon float64
	// Simulations is what the sample has cost, failed ones included.
	Simulations int

	// Src is the source of Sample. If Src is nil, a fresh seed is used.
	Src rand.Source
}

var _ SourceSampler = (*WeightedSample)(nil)

// Dim returns the number of parameters.
func (s *WeightedSample) Dim() int {
	_, n := s.Theta.Dims()
	return n
}

// ESS returns the effective number of particles, 1/Σw².
func (s *WeightedSample) ESS() float64 { return 1 / floats.Dot(s.Weight, s.Weight) }

// Moments returns the weighted mean and standard deviation of each parameter.
func (s *WeightedSample) Moments() (mean, sd []float64) {
	n, d := s.Theta.Dims()
	mean, sd = make([]float64, d), make([]float64, d)
	col := make([]float64, n)
	for j := range d {
		mat.Col(col, j, s.Theta)
		mean[j] = stat.Mean(col, s.Weight)
		sd[j] = math.Sqrt(stat.MomentAbout(2, col, mean[j], s.Weight))
	}
	return mean, sd
}

// Sample fills the rows of dst with particles chosen at random by their
// weights, with replacement.
func (s *WeightedSample) Sample(ctx context.Context, dst *mat.Dense) error {
	return s.SampleFrom(ctx, dst, s.Src)
}

// SampleFrom is Sample with draws from src.
func (s *WeightedSample) SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error {
	cum := floats.CumSum(make([]float64, len(s.Weight)), s.Weight)
	r := rand.New(rng.Or(src))
	n, _ := dst.Dims()
	for i := range n {
		dst.SetRow(i, s.Theta.RawRowView(choose(cum, r)))
	}
	return ctx.Err()
}

// choose draws an index with probabilities in proportion to the increments of
// cum.
func choose(cum []float64, r *rand.Rand) int {
	u := r.Float64() * cum[len(cum)-1]
	return min(sort.Search(len(cum), func(i int) bool { return cum[i] > u }), len(cum)-1)
}

// ABCOptions are the options of [RejectionABC]. A nil pointer means the
// defaults.
type ABCOptions struct {
	// Keep is the number of simulations nearest to the data that are kept. If
	// Keep is 0, it will be defaulted to 1 % of the valid ones, at least 100
	// or all if there are fewer.
	Keep int
	// Scale divides the differences of the data, one element a datum, before
	// the Euclidean distance is taken. If Scale is nil, it is the median
	// absolute deviation of each datum over the simulations (its standard
	// deviation, or 1, where that is 0).
	Scale []float64
}

// RejectionABC keeps the simulations of a table, with parameters from the
// prior, whose data are nearest to y (Pritchard et al., 1999). The sample has
// equal weights.
func RejectionABC(table *Table, y []float64, opt *ABCOptions) (*WeightedSample, error) {
	if opt == nil {
		opt = new(ABCOptions)
	}
	if table == nil || table.Len() == 0 {
		return nil, errors.New("sbi: the table is empty")
	}
	valid := table.Valid()
	n := valid.Len()
	if n == 0 {
		return nil, errors.New("sbi: all simulations have failed")
	}
	keep := opt.Keep
	if keep == 0 {
		keep = min(max(n/100, 100), n)
	}
	if keep < 1 || keep > n {
		return nil, fmt.Errorf("sbi: Keep is %d, of %d valid simulations", keep, n)
	}
	scale, err := dataScale(opt.Scale, valid.Y, y)
	if err != nil {
		return nil, err
	}
	dist := make([]float64, n)
	order := make([]int, n)
	for i := range n {
		order[i] = i
		dist[i] = scaledDistance(valid.Y.RawRowView(i), y, scale)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case dist[a] < dist[b]:
			return -1
		case dist[a] > dist[b]:
			return 1
		}
		return 0
	})
	_, d := valid.Theta.Dims()
	s := newWeightedSample(keep, d, len(y))
	s.Simulations = table.Len()
	for k, i := range order[:keep] {
		s.Theta.SetRow(k, valid.Theta.RawRowView(i))
		s.Y.SetRow(k, valid.Y.RawRowView(i))
		s.Weight[k], s.Distance[k] = 1/float64(keep), dist[i]
	}
	s.Epsilon = s.Distance[keep-1]
	return s, nil
}

func newWeightedSample(particles, params, data int) *WeightedSample {
	return &WeightedSample{
		Theta: mat.NewDense(particles, params, nil), Y: mat.NewDense(particles, data, nil),
		Weight: make([]float64, particles), Distance: make([]float64, particles),
	}
}

func scaledDistance(a, b, scale []float64) float64 {
	var s float64
	for j, v := range a {
		e := (v - b[j]) / scale[j]
		s += e * e
	}
	return math.Sqrt(s)
}

// dataScale checks the observed data and the user's scale, or makes one.
func dataScale(scale []float64, data *mat.Dense, y []float64) ([]float64, error) {
	n, m := data.Dims()
	if len(y) != m {
		return nil, fmt.Errorf("sbi: y has %d elements, the simulations %d data", len(y), m)
	}
	if !finite(y) {
		return nil, fmt.Errorf("sbi: y is not finite: %v", y)
	}
	if scale != nil {
		if len(scale) != m {
			return nil, fmt.Errorf("sbi: Scale has %d elements, the data %d", len(scale), m)
		}
		for j, v := range scale {
			if !(v > 0) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("sbi: Scale[%d] is %g, want a positive number", j, v)
			}
		}
		return scale, nil
	}
	scale = make([]float64, m)
	col := make([]float64, n)
	for j := range scale {
		mat.Col(col, j, data)
		_, sd := stat.PopMeanStdDev(col, nil)
		slices.Sort(col)
		median := col[n/2]
		for i := range col {
			col[i] = math.Abs(col[i] - median)
		}
		slices.Sort(col)
		if scale[j] = col[n/2]; scale[j] == 0 {
			scale[j] = sd
		}
		if scale[j] == 0 {
			scale[j] = 1
		}
	}
	return scale, nil
}

// RegressionAdjust corrects a sample for the distance of its data from y by
// local linear regression (Beaumont, Zhang and Balding, 2002): parameters are
// regressed on the data with Epanechnikov weights 1 - (distance/Epsilon)², and
// moved along the regression to y. It works in the unconstrained coordinates of
// the prior's support, and so stays in it. Particles at the tolerance itself
// have no weight and are left out.
//
// It makes larger tolerances do, which matters with many data.
func RegressionAdjust(s *WeightedSample, pri interface{ Dim() int }, y []float64) (*WeightedSample, error) {
	_, d := s.Theta.Dims()
	_, m := s.Y.Dims()
	if len(y) != m {
		return nil, fmt.Errorf("sbi: y has %d elements, the sample %d data", len(y), m)
	}
	if pri == nil || pri.Dim() != d {
		return nil, fmt.Errorf("sbi: the prior has not the %d parameters of the sample", d)
	}
	tr := prior.TransformOf(pri)
	_, du := tr.Dims()
	var rows []int
	var weight []float64
	for i, dist := range s.Distance {
		w := s.Weight[i]
		if s.Epsilon > 0 {
			w *= 1 - (dist/s.Epsilon)*(dist/s.Epsilon)
		}
		if w > 0 {
			rows, weight = append(rows, i), append(weight, w)
		}
	}
	n := len(rows)
	if n <= m+1 {
		return nil, fmt.Errorf("sbi: %d particles with weight are too few for a regression on %d data", n, m)
	}
	floats.Scale(1/floats.Sum(weight), weight)
	// Weighted least squares of u on (1, (Y - y)/scale), with a ridge that
	// keeps collinear data from mattering.
	scale := make([]float64, m)
	for k, i := range rows {
		for j, v := range s.Y.RawRowView(i) {
			scale[j] += weight[k] * (v - y[j]) * (v - y[j])
		}
	}
	for j := range scale {
		if scale[j] = math.Sqrt(scale[j]); scale[j] == 0 {
			scale[j] = 1
		}
	}
	const ridge = 1e-6
	a, b := mat.NewDense(n+m, m+1, nil), mat.NewDense(n+m, du, nil)
	u := mat.NewDense(n, du, nil)
	for k, i := range rows {
		if err := tr.Unconstrain(u.RawRowView(k), s.Theta.RawRowView(i)); err != nil {
			return nil, fmt.Errorf("sbi: particle %d: %w", i, err)
		}
		root := math.Sqrt(weight[k])
		row := a.RawRowView(k)
		row[0] = root
		for j, v := range s.Y.RawRowView(i) {
			row[1+j] = root * (v - y[j]) / scale[j]
		}
		floats.AddScaled(b.RawRowView(k), root, u.RawRowView(k))
	}
	for j := range m {
		a.Set(n+j, 1+j, math.Sqrt(ridge))
	}
	var beta mat.Dense
	if err := beta.Solve(a, b); err != nil {
		return nil, fmt.Errorf("sbi: regression: %w", err)
	}
	res := newWeightedSample(n, d, m)
	res.Weight, res.Epsilon, res.Simulations, res.Src = weight, s.Epsilon, s.Simulations, s.Src
	for k, i := range rows {
		row := u.RawRowView(k)
		for j, v := range s.Y.RawRowView(i) {
			floats.AddScaled(row, -(v-y[j])/scale[j], beta.RawRowView(1+j))
		}
		tr.Constrain(res.Theta.RawRowView(k), row)
		res.Y.SetRow(k, s.Y.RawRowView(i))
		res.Distance[k] = s.Distance[i]
	}
	return res, nil
}
