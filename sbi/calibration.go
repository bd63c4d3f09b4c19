package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Infer makes a sampler of the posterior given data, by whatever route. It may
// not keep y. It must be safe for concurrent use unless Workers is 1, and so
// must what it returns be if that is shared.
//
// A sampler with the method
//
//	SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error
//
// is drawn from with streams of the calibration's Src, so that its seed fixes
// the result.
type Infer func(y []float64) (inverse.Sampler, error)

// SourceSampler is a sampler whose draws are a function of the given source.
type SourceSampler interface {
	inverse.Sampler
	SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error
}

// Quantity is a function of parameters and data whose posterior distribution a
// calibration looks at besides the parameters themselves, such as the log
// likelihood. A quantity that depends on the data finds errors that none of the
// parameters shows: that of a sampler which ignores the data and draws from the
// prior, for one (Modrák et al., 2023).
type Quantity struct {
	Name string
	// Value may not keep or change its arguments, and must be safe for
	// concurrent use.
	Value func(theta, y []float64) float64
}

// SBCOptions are the options of [SBC], [ExpectedCoverage] and [TARP]. A nil
// pointer means the defaults.
type SBCOptions struct {
	// Replications is the number of pairs of parameters and data that are
	// drawn and inferred. If Replications is 0, it will be defaulted to 200.
	Replications int
	// Draws is the number of posterior draws for each. They should be nearly
	// independent: thin Markov chains. If Draws is 0, it will be defaulted
	// to 99.
	Draws int
	// Quantities are looked at besides the parameters, by SBC only.
	Quantities []Quantity
	// Names are the names of the parameters; nil means theta1, theta2, ...
	Names []string

	Workers  int                   // replications at a time; 0 means GOMAXPROCS
	Src      rand.Source           // nil means a freshly seeded one
	Progress func(done, total int) // called after each replication, by one goroutine at a time
}

// Calibration is the outcome of a rank test: for each of some quantities and
// each replication, how many of the posterior draws were below the value at the
// parameters that the data came from. If the sampler is right, ranks are
// uniform on 0, ..., Draws.
type Calibration struct {
	Names []string // of the quantities
	Draws int
	Ranks [][]int // of each quantity, one element a replication
	Tests []RankTest

	kind string
}

// SBC is simulation-based calibration (Talts et al., 2018): parameters are
// drawn from the model's prior and data from its simulator, the posterior given
// the data is sampled, and each parameter is ranked among its draws. It finds
// any sampler whose marginal posteriors are wrong on average over the prior:
// biased, too narrow or too wide.
//
// It needs no reference, and does not say that the posterior is right for one
// particular data set. Errors of the simulator and of infer, which name the
// replication, end it: leaving out what fails would bias the ranks.
func SBC(ctx context.Context, model Model, infer Infer, opt *SBCOptions) (*Calibration, error) {
	c, err := newCalibrator(model, infer, opt)
	if err != nil {
		return nil, err
	}
	res := &Calibration{kind: "SBC", Names: slices.Clone(c.names)}
	for _, q := range c.opt.Quantities {
		if q.Value == nil {
			return nil, fmt.Errorf("sbi: quantity %q has no function", q.Name)
		}
		res.Names = append(res.Names, q.Name)
	}
	return c.run(ctx, res, func(r *replication, value func(k, i int) *float64) error {
		for i := range r.rows() {
			theta := r.row(i)
			for j, v := range theta {
				*value(j, i) = v
			}
			for k, q := range c.opt.Quantities {
				*value(c.n+k, i) = q.Value(theta, r.y)
			}
		}
		return nil
	})
}

// ExpectedCoverage ranks the posterior log density of the parameters that the
// data came from among that of the draws, which is how often regions of highest
// density cover them (Hermans et al., 2022). The samplers must have the method
// LogProb, up to a constant that may depend on the data. [Calibration.Coverage]
// gives the coverage itself.
func ExpectedCoverage(ctx context.Context, model Model, infer Infer, opt *SBCOptions) (*Calibration, error) {
	c, err := newCalibrator(model, infer, opt)
	if err != nil {
		return nil, err
	}
	res := &Calibration{kind: "expected coverage", Names: []string{"log q(theta|y)"}}
	return c.run(ctx, res, func(r *replication, value func(k, i int) *float64) error {
		q, ok := r.sampler.(inverse.Density)
		if !ok {
			return fmt.Errorf("the sampler %T has no LogProb", r.sampler)
		}
		for i := range r.rows() {
			*value(0, i) = q.LogProb(r.row(i))
		}
		return nil
	})
}

// TARP tests accuracy with random points (Lemos et al., 2023): the distance of
// the true parameters from a random point is ranked among that of the draws. It
// needs no density and sees errors of the joint posterior that the marginals do
// not show. Random points are draws of the prior, coordinates in units of its
// standard deviations.
func TARP(ctx context.Context, model Model, infer Infer, opt *SBCOptions) (*Calibration, error) {
	c, err := newCalibrator(model, infer, opt)
	if err != nil {
		return nil, err
	}
	pilot := mat.NewDense(1000, c.n, nil)
	model.Prior.Draw(pilot, rng.New(c.seed, 0))
	_, sd := moments(pilot)
	res := &Calibration{kind: "TARP", Names: []string{"distance to a random point"}}
	return c.run(ctx, res, func(r *replication, value func(k, i int) *float64) error {
		point := mat.NewDense(1, c.n, nil)
		model.Prior.Draw(point, r.src)
		for i := range r.rows() {
			var s float64
			for j, v := range r.row(i) {
				e := (v - point.At(0, j)) / sd[j]
				s += e * e
			}
			*value(0, i) = s
		}
		return nil
	})
}

// calibrator runs the replications of a rank test.
type calibrator struct {
	model Model
	infer Infer
	opt   SBCOptions
	names []string
	m, n  int
	seed  uint64
}

func newCalibrator(model Model, infer Infer, opt *SBCOptions) (*calibrator, error) {
	m, n, err := checkModel(model.Prior, model.Simulator)
	if err != nil {
		return nil, err
	}
	if infer == nil {
		return nil, errors.New("sbi: infer is nil")
	}
	c := &calibrator{model: model, infer: infer, m: m, n: n}
	if opt != nil {
		c.opt = *opt
	}
	if c.opt.Replications == 0 {
		c.opt.Replications = 200
	}
	if c.opt.Draws == 0 {
		c.opt.Draws = 99
	}
	if c.opt.Replications < 10 || c.opt.Draws < 3 {
		return nil, fmt.Errorf("sbi: %d replications of %d draws, want at least 10 of 3", c.opt.Replications, c.opt.Draws)
	}
	c.names = c.opt.Names
	if c.names == nil {
		for j := range n {
			c.names = append(c.names, fmt.Sprintf("theta%d", j+1))
		}
	}
	if len(c.names) != n {
		return nil, fmt.Errorf("sbi: %d names of %d parameters", len(c.names), n)
	}
	c.seed = rng.Seed(c.opt.Src)
	return c, nil
}

// replication is one draw of the model with posterior draws given its data.
type replication struct {
	y       []float64
	theta   *mat.Dense // row 0 is the truth
	sampler inverse.Sampler
	src     rand.Source
}

func (r *replication) rows() int           { n, _ := r.theta.Dims(); return n }
func (r *replication) row(i int) []float64 { return r.theta.RawRowView(i) }

// run fills in res, whose names are set. The function stores quantity k of row
// i of the replication.
func (c *calibrator) run(ctx context.Context, res *Calibration, values func(r *replication, value func(k, i int) *float64) error) (*Calibration, error) {
	n, l := c.opt.Replications, c.opt.Draws
	res.Draws = l
	res.Ranks = make([][]int, len(res.Names))
	for k := range res.Ranks {
		res.Ranks[k] = make([]int, n)
	}
	progress := par.NewProgress(n, c.opt.Progress)
	err := par.Each(ctx, c.opt.Workers, n, func(i int) error {
		r, err := c.replicate(ctx, i)
		if err != nil {
			return fmt.Errorf("sbi: replication %d: %w", i, err)
		}
		v := make([]float64, len(res.Names)*(l+1))
		if err := values(r, func(k, i int) *float64 { return &v[k*(l+1)+i] }); err != nil {
			return fmt.Errorf("sbi: replication %d: %w", i, err)
		}
		for k := range res.Names {
			rank, err := rankFirst(v[k*(l+1):(k+1)*(l+1)], rand.New(r.src))
			if err != nil {
				return fmt.Errorf("sbi: replication %d: %s: %w", i, res.Names[k], err)
			}
			res.Ranks[k][i] = rank
		}
		progress.Add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	null := newRankNull(n, l, rng.New(c.seed, math.MaxUint64))
	for k, name := range res.Names {
		res.Tests = append(res.Tests, null.test(name, res.Ranks[k]))
	}
	return res, nil
}

func (c *calibrator) replicate(ctx context.Context, i int) (*replication, error) {
	row := Row{Index: i + 1, Theta: make([]float64, c.n), Y: make([]float64, c.m)}
	sim := &campaign{pri: c.model.Prior, sim: c.model.Simulator, m: c.m, n: c.n, seed: c.seed, opt: &SimulateOptions{}}
	if err := sim.run(ctx, &row); err != nil {
		return nil, err
	}
	s, err := c.infer(row.Y)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	if s == nil || s.Dim() != c.n {
		return nil, fmt.Errorf("infer: a sampler of other than %d parameters", c.n)
	}
	r := &replication{y: row.Y, sampler: s, src: rng.New(row.Seed, 2), theta: mat.NewDense(c.opt.Draws+1, c.n, nil)}
	r.theta.SetRow(0, row.Theta)
	draws := r.theta.Slice(1, c.opt.Draws+1, 0, c.n).(*mat.Dense)
	if err := sampleFrom(ctx, s, draws, rng.New(row.Seed, 3)); err != nil {
		return nil, err
	}
	return r, nil
}

// rankFirst returns how many of the other values are below the first, those
// that are equal to it being below or not at random, one number for all.
func rankFirst(v []float64, r *rand.Rand) (int, error) {
	var below, equal int
	for _, x := range v[1:] {
		switch {
		case x < v[0]:
			below++
		case x == v[0]:
			equal++
		case math.IsNaN(x) || math.IsNaN(v[0]):
			return 0, errors.New("a value is NaN")
		}
	}
	return below + r.IntN(equal+1), nil
}

// Pass reports whether no quantity speaks against the sampler at the level of
// 1 % for all of them together (by Holm's step for the smallest p-value).
func (c *Calibration) Pass() bool {
	return c.worst()*float64(len(c.Tests)) >= 0.01
}

func (c *Calibration) worst() float64 {
	p := 1.0
	for _, t := range c.Tests {
		p = min(p, t.PECDF)
	}
	return p
}

// Coverage returns, for each quantity, the fraction of replications in which
// the central region of the given credibility covers the truth; for
// [ExpectedCoverage], whose regions are those of highest density, it counts the
// ranks in the upper tail. The standard error is that of a sampler that is
// right.
func (c *Calibration) Coverage(level float64) (covered []float64, se float64) {
	cells := float64(c.Draws + 1)
	for _, ranks := range c.Ranks {
		var n float64
		for _, r := range ranks {
			u := (float64(r) + 0.5) / cells
			if c.kind == "expected coverage" && u > 1-level || c.kind != "expected coverage" && math.Abs(u-0.5) < level/2 {
				n++
			}
		}
		covered = append(covered, n/float64(len(ranks)))
	}
	return covered, math.Sqrt(level * (1 - level) / float64(len(c.Ranks[0])))
}

// String is a table of the tests and a verdict.
func (c *Calibration) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d replications of %d draws\n", c.kind, len(c.Ranks[0]), c.Draws)
	width := 9
	for _, name := range c.Names {
		width = max(width, len(name))
	}
	fmt.Fprintf(&b, "%-*s  %7s  %7s  %13s  %13s\n", width, "", "p ECDF", "p chi2", "mean rank", "spread")
	for _, t := range c.Tests {
		fmt.Fprintf(&b, "%-*s  %7.2g  %7.2g  %5.3f ± %5.3f  %5.3f ± %5.3f\n", width, t.Name, t.PECDF, t.PChi2, t.Mean, t.MeanSE, t.Spread, t.SpreadSE)
	}
	if c.Pass() {
		fmt.Fprintf(&b, "no sign of error: the smallest of %d p-values is %.2g\n", len(c.Tests), c.worst())
		return b.String()
	}
	for _, t := range c.Tests {
		if t.PECDF*float64(len(c.Tests)) < 0.01 {
			fmt.Fprintf(&b, "%s: %s\n", t.Name, t.diagnosis(c.kind))
		}
	}
	b.WriteString("the sampler is wrong\n")
	return b.String()
}
