package sbi

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// TSNPE is truncated sequential neural posterior estimation (Deistler, Gonçalves
// and Macke, 2022): the posterior given one y from the given number of
// simulations, most of which are near it. Round after round the prior is
// restricted to where log q(θ|y) exceeds its Epsilon-quantile under q, more
// parameters are drawn from there, and q is trained on all simulations by
// maximum likelihood, with no correction and so with no leakage.
//
// The result is meant for y; for other data it is not amortised. The returned
// table has the simulations of all rounds.
func TSNPE(ctx context.Context, pri Prior, sim Simulator, y []float64, simulations int, opt *Sequential) (*NeuralPosterior, *Table, error) {
	r, err := newRounds("TSNPE", pri, sim, y, simulations, opt)
	if err != nil {
		return nil, nil, err
	}
	var npe *NeuralPosterior
	for round := range r.o.Rounds {
		var theta *mat.Dense
		kept := 1.0
		if npe != nil {
			theta, kept, err = drawTruncated(ctx, pri, npe.Given(y), r.o.Epsilon, r.size(round), r.src(round, 1))
			if err != nil {
				return npe, r.table, r.err(round, err)
			}
		}
		if err := r.simulate(ctx, round, theta); err != nil {
			return npe, r.table, err
		}
		next, err := NPE(ctx, pri, r.table, r.options(round))
		if err != nil {
			return npe, r.table, r.err(round, err)
		}
		npe = next
		r.report(round, kept, npe.ValidNLL)
	}
	return npe, r.table, nil
}

// drawTruncated draws n rows of the prior restricted to the region of highest
// density of q with probability 1 - eps, and estimates the prior probability of
// the region. It rejects draws of the prior, or, if hardly any is in the
// region, resamples draws of q by their importance weights and moves them.
func drawTruncated(ctx context.Context, pri Prior, q *Posterior, eps float64, n int, src *rng.Source) (theta *mat.Dense, kept float64, err error) {
	const batch, batches, least = 10_000, 10, 1e-3
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
	rest := theta.Slice(filled, n, 0, d).(*mat.Dense)
	if err := moveTruncated(ctx, rest, pri, q, tau, src); err != nil {
		return nil, 0, err
	}
	return theta, float64(inside) / float64(tried), nil
}

// moveTruncated fills dst with draws of the prior restricted to where log q
// exceeds tau. Draws of q are resampled by their importance weights, which are
// large at the edge of the region, where q has hardly any, and then moved as
// those of a [LearnedTarget] are.
func moveTruncated(ctx context.Context, dst *mat.Dense, pri Prior, q *Posterior, tau float64, src *rng.Source) error {
	const oversampling = 16
	rows, d := dst.Dims()
	n := particles(rows)
	pool, p := mat.NewDense(oversampling*n, d, nil), make([]float64, oversampling*n)
	if err := q.SampleFrom(ctx, pool, src); err != nil {
		return err
	}
	q.LogProbs(p, pool)
	weight := make([]float64, len(p))
	for i, v := range p {
		weight[i] = math.Inf(-1)
		if v > tau {
			weight[i] = pri.LogProb(pool.RawRowView(i)) - v
		}
	}
	top := floats.Max(weight)
	if math.IsInf(top, -1) {
		return errors.New("no draw of the learned posterior is in its own region of highest density")
	}
	for i, v := range weight {
		weight[i] = math.Exp(v - top)
	}
	floats.CumSum(weight, weight)
	r := rand.New(src)
	start := mat.NewDense(n, d, nil)
	for i := range n {
		start.SetRow(i, pool.RawRowView(choose(weight, r)))
	}

	tr := Coordinates(pri)
	theta := mat.NewDense(n, d, nil) // of the population, which evaluates one after another
	inside := newLearnedTarget(pri, func(dst []float64, _, u *mat.Dense) error {
		for i := range dst {
			tr.Constrain(theta.RawRowView(i), u.RawRowView(i))
		}
		q.LogProbs(dst, theta.Slice(0, len(dst), 0, d).(*mat.Dense))
		for i, v := range dst {
			dst[i] = 0
			if !(v > tau) {
				dst[i] = math.Inf(-1)
			}
		}
		return nil
	}, nil)
	moved, err := newPopulation(inside, start, src)
	if err != nil {
		return err
	}
	moved.beta = 1
	if err := moved.settle(ctx); err != nil {
		return err
	}
	moved.draws(dst)
	return nil
}
