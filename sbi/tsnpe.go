package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
)

// TSNPEOptions are the options of [TSNPE]. A nil pointer means the defaults.
type TSNPEOptions struct {
	// Flow and Fit are as in [NPEOptions].
	Flow flow.Architecture
	Fit  *flow.FitOptions
	// Rounds is the number of rounds that the simulations are divided among.
	// If Rounds is 0, it will be defaulted to 5.
	Rounds int
	// Epsilon is the posterior probability that each round cuts off. If
	// Epsilon is 0, it will be defaulted to 1e-4.
	Epsilon float64
	// Policy and Workers are as in [SimulateOptions].
	Policy  Policy
	Workers int
	// Src is the source of all randomness. If Src is nil, a fresh seed is
	// used.
	Src rand.Source
	// Progress, if not nil, is called after each round.
	Progress func(TSNPEProgress)
}

// TSNPEProgress says how far a TSNPE is.
type TSNPEProgress struct {
	Round       int // from 1
	Simulations int
	// Kept is the estimated share of the prior that the round's parameters
	// were drawn from, 1 in the first.
	Kept float64
	// ValidNLL is the mean of -log q(θ|y) over the rows for validation.
	ValidNLL float64
}

// TSNPE is truncated sequential neural posterior estimation (Deistler, Gonçalves
// and Macke, 2022): the posterior given one y from the given number of
// simulations, most of which are near it. Round after round the prior is
// restricted to where log q(θ|y) exceeds its Epsilon-quantile under q, more
// parameters are drawn from there, and q is trained on all simulations by
// maximum likelihood, with no correction and so with no leakage.
//
// The result is meant for y; for other data it is not amortised. The returned
// table has the simulations of all rounds.
func TSNPE(ctx context.Context, pri Prior, sim Simulator, y []float64, simulations int, opt *TSNPEOptions) (*NeuralPosterior, *Table, error) {
	m, n, err := checkModel(pri, sim)
	if err != nil {
		return nil, nil, err
	}
	var o TSNPEOptions
	if opt != nil {
		o = *opt
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Epsilon == 0 {
		o.Epsilon = 1e-4
	}
	switch {
	case len(y) != m || !finite(y):
		return nil, nil, fmt.Errorf("sbi: y is %v, want %d finite numbers", y, m)
	case o.Rounds < 1 || simulations < 20*o.Rounds:
		return nil, nil, fmt.Errorf("sbi: %d simulations in %d rounds, want at least 20 in each", simulations, o.Rounds)
	case !(o.Epsilon > 0 && o.Epsilon < 1):
		return nil, nil, fmt.Errorf("sbi: Epsilon is %g, want one in (0, 1)", o.Epsilon)
	}
	seed := rng.Seed(o.Src)
	var all *Table
	var npe *NeuralPosterior
	for round := range o.Rounds {
		from, to := simulations*round/o.Rounds, simulations*(round+1)/o.Rounds
		src := func(k uint64) *rng.Source { return rng.New(seed, 4*uint64(round)+k) }
		c := &campaign{pri: pri, sim: sim, m: m, n: n, seed: rng.Seed(src(0)), opt: &SimulateOptions{Policy: o.Policy, Workers: o.Workers}}
		kept := 1.0
		if npe != nil {
			c.theta, kept, err = drawTruncated(ctx, pri, npe.Given(y), o.Epsilon, to-from, src(1))
			if err != nil {
				return npe, all, fmt.Errorf("sbi: TSNPE, round %d: %w", round+1, err)
			}
		}
		t, err := c.table(ctx, to-from)
		if err != nil {
			return npe, all, fmt.Errorf("sbi: TSNPE, round %d: %w", round+1, err)
		}
		all = stackTables(all, t)
		next, err := NPE(ctx, pri, all, &NPEOptions{Flow: o.Flow, Fit: o.Fit, Src: src(2)})
		if err != nil {
			return npe, all, fmt.Errorf("sbi: TSNPE, round %d: %w", round+1, err)
		}
		npe = next
		if o.Progress != nil {
			o.Progress(TSNPEProgress{round + 1, all.Len(), kept, npe.Flow.(*flow.Flow).Report().ValidNLL})
		}
	}
	return npe, all, nil
}

// stackTables returns a with the rows of b below, numbered on.
func stackTables(a, b *Table) *Table {
	if a == nil {
		return b
	}
	_, n := a.Theta.Dims()
	_, m := a.Y.Dims()
	s := newTable(a.Len()+b.Len(), m, n)
	s.Theta.Stack(a.Theta, b.Theta)
	s.Y.Stack(a.Y, b.Y)
	copy(s.Seed, slices.Concat(a.Seed, b.Seed))
	copy(s.Status, slices.Concat(a.Status, b.Status))
	for i := range s.Index {
		s.Index[i] = i
	}
	return s
}

// drawTruncated draws n rows of the prior restricted to the region of highest
// density of q with probability 1 - eps, and estimates the prior probability of
// the region. It rejects draws of the prior, or, if hardly any is in the
// region, resamples draws of q by their importance weights, the best of 256 for
// each row.
func drawTruncated(ctx context.Context, pri Prior, q *Posterior, eps float64, n int, src *rng.Source) (theta *mat.Dense, kept float64, err error) {
	const batch, batches, least, oversampling = 10_000, 10, 1e-3, 256
	d := pri.Dim()
	// The quantile is taken from enough draws to have some below it.
	draws := mat.NewDense(int(min(max(batch, 10/eps), 10*batch)), d, nil)
	if err := q.SampleFrom(ctx, draws, src); err != nil {
		return nil, 0, err
	}
	rows, _ := draws.Dims()
	logq := make([]float64, rows)
	q.LogProbs(logq, draws)
	slices.Sort(logq)
	tau := logq[int(eps*float64(rows))]

	theta = mat.NewDense(n, d, nil)
	candidates, p := mat.NewDense(batch, d, nil), make([]float64, batch)
	filled, tried, inside := 0, 0, 0
	for limit := batches * batch; tried < limit; {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		pri.Draw(candidates, src)
		q.LogProbs(p, candidates)
		tried += batch
		for i, v := range p {
			if v > tau {
				inside++
				if filled < n {
					theta.SetRow(filled, candidates.RawRowView(i))
					filled++
				}
			}
		}
		if filled == n {
			return theta, float64(inside) / float64(tried), nil
		}
		if tried == batches*batch && float64(inside) >= least*float64(tried) {
			limit = int(2*float64(n)/least) + limit
		}
	}
	kept = float64(inside) / float64(tried)

	candidates, p = mat.NewDense(oversampling, d, nil), make([]float64, oversampling)
	weight := make([]float64, oversampling)
	r := rand.New(src)
	for i := filled; i < n; i++ {
		if err := q.SampleFrom(ctx, candidates, src); err != nil {
			return nil, 0, err
		}
		q.LogProbs(p, candidates)
		for k, v := range p {
			weight[k] = math.Inf(-1)
			if v > tau {
				weight[k] = pri.LogProb(candidates.RawRowView(k)) - v
			}
		}
		top := floats.Max(weight)
		if math.IsInf(top, -1) {
			return nil, 0, errors.New("no draw of the learned posterior is in its own region of highest density")
		}
		for k, v := range weight {
			weight[k] = math.Exp(v - top)
		}
		floats.CumSum(weight, weight)
		theta.SetRow(i, candidates.RawRowView(choose(weight, r)))
	}
	return theta, kept, nil
}
