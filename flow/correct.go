package flow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/sampler"
)

// Correction are draws of a flow with importance weights that make them draws
// of a density that can be evaluated after all.
type Correction struct {
	// Draws are the flow's draws, one a row.
	Draws *mat.Dense
	// LogWeights are the logs of the Pareto-smoothed weights, which sum to one.
	LogWeights []float64
	// KHat is the Pareto shape of the weights. Above [sampler.KHatThreshold]
	// of the number of draws the flow is too far from the density, most often
	// narrower, and the correction is not to be trusted.
	KHat float64
	// ESS is the effective sample size 1/Σ w².
	ESS float64
	// LogEvidence estimates the log of the integral of the density: for a
	// likelihood times a normalised prior, the log of the evidence.
	LogEvidence float64

	raw []float64 // log weights
}

// CorrectOptions are the options of [Correct].
type CorrectOptions struct {
	Src     rand.Source // nil means a freshly seeded one
	Workers int         // 0 means GOMAXPROCS; 1 for a target that is not safe for concurrent use
}

// Correct draws n points from q and weighs them by target/q, with the weights
// smoothed by [sampler.PSIS]. The target is a density that need not be
// normalised, that of a likelihood times a prior most often, and -Inf is
// outside of its support. Options nil means the defaults.
//
// The error is that of drawing, names a point where the target is NaN or
// +Inf, or says that the target is zero at all points.
func Correct(ctx context.Context, q *Posterior, target inverse.Density, n int, options *CorrectOptions) (*Correction, error) {
	if options == nil {
		options = &CorrectOptions{}
	}
	if n < 1 {
		return nil, fmt.Errorf("flow: Correct: n is %d, want at least 1", n)
	}
	c := &Correction{Draws: mat.NewDense(n, q.Dim(), nil), raw: make([]float64, n)}
	if q.err != nil {
		return nil, q.err
	}
	if err := q.q.Draw(ctx, c.Draws, q.y, rng.Or(options.Src)); err != nil {
		return nil, err
	}
	q.LogProbs(c.raw, c.Draws)
	err := par.For(ctx, options.Workers, n, 32, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			p := target.LogProb(c.Draws.RawRowView(i))
			if math.IsNaN(p) || math.IsInf(p, 1) {
				return fmt.Errorf("the log density of the target is %g at %.6g", p, c.Draws.RawRowView(i))
			}
			c.raw[i] = p - c.raw[i]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("flow: Correct: %w", err)
	}
	if c.LogWeights, c.KHat, err = sampler.PSIS(nil, c.raw, 0); err != nil {
		return nil, fmt.Errorf("flow: Correct: %w", err)
	}
	var ss float64
	for _, l := range c.LogWeights {
		ss += math.Exp(2 * l)
	}
	c.ESS = 1 / ss
	c.LogEvidence = floats.LogSumExp(c.raw) - math.Log(float64(n))
	return c, nil
}

// Resample fills the rows of dst with draws of the target: points that are
// drawn with replacement by their weights, in random order. A nil src is
// freshly seeded.
func (c *Correction) Resample(dst *mat.Dense, src rand.Source) {
	rows, _ := dst.Dims()
	rnd := rand.New(rng.Or(src))
	// Systematic resampling: evenly spaced quantiles with a common offset.
	u, sum, k := rnd.Float64(), math.Exp(c.LogWeights[0]), 0
	for i, at := range rnd.Perm(rows) {
		for q := (float64(i) + u) / float64(rows); q > sum && k < len(c.LogWeights)-1; {
			k++
			sum += math.Exp(c.LogWeights[k])
		}
		dst.SetRow(at, c.Draws.RawRowView(k))
	}
}

// Metropolis returns the states of an independence Metropolis chain whose
// proposals are the draws, one after the other, and the fraction of proposals
// that were accepted: the unsmoothed weights decide, so that the chain has the
// target as its distribution in the limit however heavy their tail is, though
// it stays long where they are large. It begins at the first draw where the
// target is not zero. A nil src is freshly seeded.
func (c *Correction) Metropolis(src rand.Source) (chain *mat.Dense, accepted float64) {
	rnd := rand.New(rng.Or(src))
	n, d := c.Draws.Dims()
	at := 0
	for at < n-1 && math.IsInf(c.raw[at], -1) {
		at++
	}
	chain = mat.NewDense(n, d, nil)
	moves := 0
	for i := range n {
		if i > at && math.Log(rnd.Float64()) < c.raw[i]-c.raw[at] {
			at = i
			moves++
		}
		chain.SetRow(i, c.Draws.RawRowView(at))
	}
	return chain, float64(moves) / float64(max(n-1, 1))
}
