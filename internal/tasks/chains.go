package tasks

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
)

// density is a target of Markov chains.
type density struct {
	dim       int
	transform prior.Transform // nil if unbounded
	logProb   func(theta []float64) float64
	score     func(s, theta []float64) // nil if there is none
}

func (d *density) Dim() int                        { return d.dim }
func (d *density) LogProb(theta []float64) float64 { return d.logProb(theta) }

// ScoreInput is used if score is not nil.
func (d *density) ScoreInput(s, theta []float64) []float64 {
	if s == nil {
		s = make([]float64, d.dim)
	}
	d.score(s, theta)
	return s
}

func interval(lower, upper []float64) prior.Transform { return must(prior.Interval(lower, upper)) }

// sample fills dst with the evenly thinned draws of several chains, by NUTS if
// there is a score and else by adaptive Metropolis with delayed rejection. The
// chains begin at draws of the prior resampled by the density (up to the
// prior's own, which is at most a smooth factor), which puts them where the
// mass is. It is an error if they have not mixed.
func (d *density) sample(ctx context.Context, dst *mat.Dense, pri Prior, src rand.Source) error {
	const chains, candidates = 8, 20000
	seed := rng.Seed(src)
	theta := mat.NewDense(candidates, d.dim, nil)
	pri.Draw(theta, rng.New(seed, 0))
	logp := make([]float64, candidates)
	err := par.For(ctx, 0, candidates, 100, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			logp[i] = d.logProb(theta.RawRowView(i))
		}
		return nil
	})
	if err != nil {
		return err
	}
	init := mat.NewDense(chains, d.dim, nil)
	r := rand.New(rng.New(seed, 1))
	for k := range chains {
		// The maximum of log weights plus Gumbel variables is a draw.
		best, at := math.Inf(-1), 0
		for i, p := range logp {
			if v := p - math.Log(r.ExpFloat64()); v > best {
				best, at = v, i
			}
		}
		init.SetRow(k, theta.RawRowView(at))
	}
	rows, _ := dst.Dims()
	each := (rows + chains - 1) / chains
	set := &sampler.Settings{Chains: chains, Draws: each, Warmup: 3000, Thin: 60, Init: init, Transform: d.transform, Src: rng.New(seed, 2)}
	var kernel sampler.Kernel = &sampler.DRAM{}
	if d.score != nil {
		kernel, set.Warmup, set.Thin = &sampler.NUTS{}, 1000, 2
	}
	run, err := sampler.Run(ctx, d, kernel, set)
	if err != nil {
		return err
	}
	if err := mixed(run); err != nil {
		return err
	}
	draws := run.Draws()
	total, _ := draws.Dims()
	for i := range rows {
		dst.SetRow(i, draws.RawRowView(i*total/rows))
	}
	return nil
}

// mixed returns an error if the chains of a run differ by more than chance. It
// needs a hundred draws of each to say so.
func mixed(run *sampler.Result) error {
	s := run.Summary()
	if s.Draws < 100 {
		return nil
	}
	for _, p := range s.Params {
		if p.RHat > 1.05 { // independent draws stay below 1.03
			return fmt.Errorf("tasks: the chains of the reference have not mixed: R-hat of %s is %.3f", p.Name, p.RHat)
		}
	}
	return nil
}
