package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// PredictiveOptions are the options of [PosteriorPredictive] and
// [Misspecification]. A nil pointer means the defaults.
type PredictiveOptions struct {
	// Draws is the number of posterior draws that are simulated. If Draws is
	// 0, it will be defaulted to 1000.
	Draws   int
	Workers int         // 0 means GOMAXPROCS
	Src     rand.Source // nil means a freshly seeded one
}

// PredictiveCheck says how the observed data lie among data simulated from
// posterior draws.
type PredictiveCheck struct {
	Y        []float64  // the observed data
	Draws    *mat.Dense // the simulated data, one row a posterior draw
	Mean, SD []float64  // of the simulated data
	// Tail is for each datum the probability of one as far from the median as
	// the observed one, from simulations: twice the smaller share at or
	// beyond it, at most 1. It is at least 2/(Draws + 1).
	Tail []float64
	// Joint is the probability of data as far from the mean of the simulated
	// ones, in their own covariance, as the observed ones: the share of the
	// second half of the simulations that are, the first half giving mean and
	// covariance. It sees what no datum shows by itself.
	Joint float64
}

// PosteriorPredictive simulates data from draws of a posterior and compares the
// observed y with them, datum by datum and all together (Gelman, Meng and Stern,
// 1996). Data far
// in a tail are what the model, or the posterior, cannot explain. As the
// posterior has seen the data, the probabilities are not p-values: they are too
// close to 1, and a small one says the more.
//
// Simulations that fail are an error.
func PosteriorPredictive(ctx context.Context, post inverse.Sampler, sim Simulator, y []float64, opt *PredictiveOptions) (*PredictiveCheck, error) {
	if post == nil || sim == nil {
		return nil, errors.New("sbi: the sampler or the simulator is nil")
	}
	if opt == nil {
		opt = new(PredictiveOptions)
	}
	n := opt.Draws
	if n == 0 {
		n = 1000
	}
	m, d := sim.Dims()
	switch {
	case n < 2:
		return nil, fmt.Errorf("sbi: %d draws, want at least 2", n)
	case post.Dim() != d:
		return nil, fmt.Errorf("sbi: the sampler has %d parameters, the simulator %d", post.Dim(), d)
	case len(y) != m || !finite(y):
		return nil, fmt.Errorf("sbi: y is %v, want %d finite numbers", y, m)
	}
	seed := rng.Seed(opt.Src)
	theta := mat.NewDense(n, d, nil)
	if err := sampleFrom(ctx, post, theta, rng.New(seed, 0)); err != nil {
		return nil, err
	}
	c := &PredictiveCheck{Y: slices.Clone(y), Draws: mat.NewDense(n, m, nil)}
	err := par.Each(ctx, opt.Workers, n, func(i int) error {
		row := c.Draws.RawRowView(i)
		err := protect(ctx, sim, row, theta.RawRowView(i), rng.New(seed, uint64(1+i)).Uint64())
		if err == nil && !finite(row) {
			err = errNotFinite
		}
		if err != nil {
			return fmt.Errorf("sbi: simulation at %v: %w", theta.RawRowView(i), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for j, v := range y {
		col := mat.Col(nil, j, c.Draws)
		mean, sd := stat.MeanStdDev(col, nil)
		below, above := 1, 1
		for _, x := range col {
			if x <= v {
				below++
			}
			if x >= v {
				above++
			}
		}
		c.Mean, c.SD = append(c.Mean, mean), append(c.SD, sd)
		c.Tail = append(c.Tail, math.Min(1, 2*float64(min(below, above))/float64(n+1)))
	}
	return c, c.joint()
}

// joint sets Joint.
func (c *PredictiveCheck) joint() error {
	n, m := c.Draws.Dims()
	half := n / 2
	rows := make([]int, half)
	for i := range rows {
		rows[i] = i
	}
	in, err := newWhitening(c.Draws, rows, floor(c.Draws, rows))
	if err != nil {
		return fmt.Errorf("sbi: the simulated data: %w", err)
	}
	k := in.dim()
	distances := func(y *mat.Dense) []float64 {
		r, _ := y.Dims()
		z := make([]float64, r*k)
		in.apply(z, y, make([]float64, r*m))
		d := make([]float64, r)
		for i := range d {
			d[i] = floats.Norm(z[i*k:(i+1)*k], 2)
		}
		return d
	}
	observed := distances(mat.NewDense(1, m, c.Y))[0]
	beyond := 1
	for _, d := range distances(c.Draws.Slice(half, n, 0, m).(*mat.Dense)) {
		if d >= observed {
			beyond++
		}
	}
	c.Joint = float64(beyond) / float64(n-half+1)
	return nil
}

// Pass reports whether no datum is in a tail of probability 0.005 divided by
// their number, and Joint is at least 0.005.
func (c *PredictiveCheck) Pass() bool {
	return slices.Min(c.Tail)*float64(len(c.Tail)) >= 0.005 && c.Joint >= 0.005
}

// String is a table of the data and a verdict.
func (c *PredictiveCheck) String() string {
	n, _ := c.Draws.Dims()
	var b strings.Builder
	fmt.Fprintf(&b, "posterior predictive check, %d simulations\n%5s  %10s  %10s  %10s  %7s\n", n, "", "observed", "mean", "sd", "tail")
	for j, y := range c.Y {
		fmt.Fprintf(&b, "y%-4d  %10.4g  %10.4g  %10.4g  %7.2g\n", j+1, y, c.Mean[j], c.SD[j], c.Tail[j])
	}
	fmt.Fprintf(&b, "%-5s  %43.2g\n", "all", c.Joint)
	if c.Pass() {
		b.WriteString("the data are among the simulated ones\n")
	} else {
		b.WriteString("the model or the posterior does not explain the data\n")
	}
	return b.String()
}

// MisspecificationResult is the outcome of [Misspecification].
type MisspecificationResult struct {
	MMD    float64   // squared discrepancy of the observed data from the simulated ones
	Null   []float64 // those of simulated data in place of the observed ones, sorted
	PValue float64   // the share of Null, and of MMD itself, that is at least MMD
}

// String gives the discrepancy, its p-value and a verdict.
func (r *MisspecificationResult) String() string {
	verdict := "the data are what the model can produce"
	if r.PValue < 0.01 {
		verdict = "the model does not produce such data, and what is learned from it cannot be trusted here"
	}
	return fmt.Sprintf("MMD² %.3g (p = %.2g): %s", r.MMD, r.PValue, verdict)
}

// Misspecification tests whether the rows of observed, one or more independent
// observations, could come from the model at all: whether they are among the
// simulated data of the table, whose parameters are from the prior (Schmitt et
// al., 2021). The statistic is the squared maximum mean discrepancy, with the
// kernel of [MMD], between the observed rows and one part of the simulations;
// its distribution under the model comes from drawing as many rows, 500 times,
// from the others, so that the test is at the level of its p-value. Data are
// centred and whitened by the reference.
//
// A learned posterior is only as good as the simulations near the data; this is
// the test to make before it is used. Of the options only Src and Workers
// matter.
func Misspecification(ctx context.Context, table *Table, observed *mat.Dense, opt *PredictiveOptions) (*MisspecificationResult, error) {
	if opt == nil {
		opt = new(PredictiveOptions)
	}
	if table == nil || table.Len() == 0 || observed == nil || observed.IsEmpty() {
		return nil, errors.New("sbi: the table or the observed data are empty")
	}
	valid := table.Valid()
	k, m := observed.Dims()
	const nulls, most = 500, 2000
	n := valid.Len()
	if n < 4*k+100 {
		return nil, fmt.Errorf("sbi: %d valid simulations, want at least %d for %d observations", n, 4*k+100, k)
	}
	for i := range k {
		if !finite(observed.RawRowView(i)) {
			return nil, fmt.Errorf("sbi: observation %d is %v", i, observed.RawRowView(i))
		}
	}
	if _, c := valid.Y.Dims(); c != m {
		return nil, fmt.Errorf("sbi: the observations have %d data, the simulations %d", m, c)
	}
	seed := rng.Seed(opt.Src)
	order := rand.New(rng.New(seed, 0)).Perm(n)
	half := min(n/2, most)
	in, err := newWhitening(valid.Y, order[:half], floor(valid.Y, order[:half]))
	if err != nil {
		return nil, fmt.Errorf("sbi: Misspecification: %w", err)
	}
	scaled := func(rows []int, y *mat.Dense) *mat.Dense {
		return mat.NewDense(len(rows), in.dim(), in.pick(y, rows))
	}
	reference, others := scaled(order[:half], valid.Y), order[half:]
	h, err := medianDistance(reference)
	if err != nil {
		return nil, err
	}
	// What does not depend on the observed rows is the same for all: the
	// mean of the kernel within the reference.
	within := make([]float64, half)
	err = par.Each(ctx, opt.Workers, half, func(i int) error {
		within[i] = kernelSum(reference.RawRowView(i), reference, i, true, h)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var base float64
	for _, v := range within {
		base += 2 * v / (float64(half) * float64(half-1))
	}
	discrepancy := func(y *mat.Dense) float64 {
		r := base
		for i := range k {
			r -= 2 * kernelSum(y.RawRowView(i), reference, 0, false, h) / (float64(half) * float64(k))
			if k > 1 {
				r += 2 * kernelSum(y.RawRowView(i), y, i, true, h) / (float64(k) * float64(k-1))
			}
		}
		return r
	}
	all := make([]int, k)
	for i := range all {
		all[i] = i
	}
	res := &MisspecificationResult{MMD: discrepancy(scaled(all, observed)), Null: make([]float64, nulls)}
	err = par.Each(ctx, opt.Workers, nulls, func(b int) error {
		r := rand.New(rng.New(seed, uint64(1+b)))
		rows := make([]int, k)
		for i := range rows {
			rows[i] = others[r.IntN(len(others))]
		}
		res.Null[b] = discrepancy(scaled(rows, valid.Y))
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(res.Null)
	below, _ := slices.BinarySearch(res.Null, res.MMD)
	res.PValue = float64(nulls-below+1) / (nulls + 1)
	return res, nil
}
