package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// SMCABCOptions are the options of [SMCABC]. A nil pointer means the defaults.
type SMCABCOptions struct {
	// Particles is the size of a population. If Particles is 0, it will be
	// defaulted to 1000.
	Particles int
	// Quantile is that of the distances of a population that is the tolerance
	// of the next, or the next smaller distance if that is the tolerance
	// already. If Quantile is 0, it will be defaulted to 0.5.
	Quantile float64
	// Epsilon is the last tolerance. If it is 0, MaxSimulations ends the run.
	Epsilon float64
	// MaxSimulations is the budget. A population that would be expected to
	// exceed it, judged by the acceptance of the one before, is not begun. If
	// MaxSimulations is 0, it will be defaulted to 1000 for each particle.
	MaxSimulations int
	// Scale is as in [ABCOptions], by default from the first population.
	Scale []float64

	Workers  int         // simulations at a time; 0 means GOMAXPROCS
	Src      rand.Source // nil means a freshly seeded one
	Progress func(SMCABCProgress)
}

// SMCABCProgress says how far an SMCABC is.
type SMCABCProgress struct {
	Population  int
	Epsilon     float64
	Simulations int
	Acceptance  float64 // of the last population's simulations
	ESS         float64
}

// SMCABC is approximate Bayesian computation by sequential Monte Carlo
// (Beaumont, Cornuet, Marin and Robert, 2009): populations of weighted
// particles with smaller and smaller tolerances. A particle is proposed by a
// normal step from one of the population before, with twice that one's weighted
// covariance, and has as weight the prior over the density of such proposals.
//
// The first population is the prior. Proposals outside of the prior's support
// are thrown away before they are simulated; simulations that fail cost, and
// are not accepted. The result is the last population that was completed, the
// same for any number of workers. The tolerance biases it: it is wider than the
// posterior, the less so the smaller Epsilon. See [RegressionAdjust].
func SMCABC(ctx context.Context, pri Prior, sim Simulator, y []float64, opt *SMCABCOptions) (*WeightedSample, error) {
	m, n, err := checkModel(pri, sim)
	if err != nil {
		return nil, err
	}
	a := &smcABC{pri: pri, sim: sim, y: slices.Clone(y), m: m, n: n}
	if opt != nil {
		a.opt = *opt
	}
	if err := a.defaults(); err != nil {
		return nil, err
	}
	pop, err := a.first(ctx)
	if err != nil {
		return nil, err
	}
	accept := 1.0
	for k := 1; ; k++ {
		if a.opt.Progress != nil {
			a.opt.Progress(SMCABCProgress{k - 1, pop.Epsilon, pop.Simulations, accept, pop.ESS()})
		}
		eps, share := a.tolerance(pop)
		left := float64(a.opt.MaxSimulations - pop.Simulations)
		if pop.Epsilon <= a.opt.Epsilon || share == 0 || float64(a.opt.Particles)/(accept*share) > left {
			return pop, nil
		}
		next, err := a.next(ctx, k, pop, eps, left)
		if err == errBudget {
			return pop, nil
		}
		if err != nil {
			return nil, err
		}
		accept = float64(a.opt.Particles) / float64(next.Simulations)
		next.Simulations += pop.Simulations
		pop = next
	}
}

type smcABC struct {
	pri  Prior
	sim  Simulator
	y    []float64
	m, n int
	opt  SMCABCOptions
	seed uint64
}

func (a *smcABC) defaults() error {
	o := &a.opt
	if o.Particles == 0 {
		o.Particles = 1000
	}
	if o.Quantile == 0 {
		o.Quantile = 0.5
	}
	if o.MaxSimulations == 0 {
		o.MaxSimulations = 1000 * o.Particles
	}
	switch {
	case o.Particles < 10*a.n:
		return fmt.Errorf("sbi: %d particles, want at least ten for each of the %d parameters", o.Particles, a.n)
	case !(o.Quantile > 0 && o.Quantile < 1):
		return fmt.Errorf("sbi: Quantile is %g, want one in (0, 1)", o.Quantile)
	case !(o.Epsilon >= 0):
		return fmt.Errorf("sbi: Epsilon is %g, want a number that is not negative", o.Epsilon)
	case o.MaxSimulations < o.Particles:
		return fmt.Errorf("sbi: MaxSimulations is %d, less than the %d particles", o.MaxSimulations, o.Particles)
	case len(a.y) != a.m:
		return fmt.Errorf("sbi: y has %d elements, the simulator %d data", len(a.y), a.m)
	}
	a.seed = rng.Seed(o.Src)
	return nil
}

// tolerance returns the tolerance after that of pop, and the weight of the
// particles that are within it: 0 if there is no smaller one.
func (a *smcABC) tolerance(pop *WeightedSample) (eps, share float64) {
	x := slices.Clone(pop.Distance)
	slices.Sort(x)
	eps = x[int(a.opt.Quantile*float64(len(x)))]
	if eps >= pop.Epsilon { // many distances are the same, as with counts
		k, _ := slices.BinarySearch(x, pop.Epsilon)
		if k == 0 {
			return eps, 0
		}
		eps = x[k-1]
	}
	eps = max(eps, a.opt.Epsilon)
	for i, d := range pop.Distance {
		if d <= eps {
			share += pop.Weight[i]
		}
	}
	return eps, share
}

// maxFailures bounds the tries for a particle of the first population, so that
// a simulator that always fails ends in an error.
const maxFailures = 1000

// first simulates from the prior until each particle has data.
func (a *smcABC) first(ctx context.Context) (*WeightedSample, error) {
	s := newWeightedSample(a.opt.Particles, a.n, a.m)
	var total atomic.Int64
	err := par.Each(ctx, a.opt.Workers, a.opt.Particles, func(i int) error {
		src := rng.New(a.seed, uint64(i))
		theta := s.Theta.Slice(i, i+1, 0, a.n).(*mat.Dense)
		var last error
		for range maxFailures {
			a.pri.Draw(theta, src)
			total.Add(1)
			ok, err := a.run(ctx, s.Y.RawRowView(i), s.Theta.RawRowView(i), src)
			if ok {
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			last = err
		}
		return fmt.Errorf("sbi: %d simulations in a row have failed, the last with error %w", maxFailures, last)
	})
	if err != nil {
		return nil, err
	}
	if a.opt.Scale, err = dataScale(a.opt.Scale, s.Y, a.y); err != nil {
		return nil, err
	}
	for i := range s.Weight {
		s.Weight[i] = 1 / float64(a.opt.Particles)
		s.Distance[i] = scaledDistance(s.Y.RawRowView(i), a.y, a.opt.Scale)
	}
	s.Epsilon, s.Simulations = math.Inf(1), int(total.Load())
	return s, nil
}

var errNotFinite = errors.New("the data are not finite")

// run simulates and reports whether that went well.
func (a *smcABC) run(ctx context.Context, y, theta []float64, src rand.Source) (bool, error) {
	err := protect(ctx, a.sim, y, theta, src.Uint64())
	if err == nil && !finite(y) {
		err = errNotFinite
	}
	return err == nil, err
}

// errBudget is the end of a population that costs too much.
var errBudget = errors.New("sbi: the population exceeds the budget")

// next returns the population with tolerance eps.
func (a *smcABC) next(ctx context.Context, k int, pop *WeightedSample, eps, left float64) (*WeightedSample, error) {
	chol, err := weightedCholesky(pop, 2)
	if err != nil {
		return nil, err
	}
	particles := a.opt.Particles
	cum := floats.CumSum(make([]float64, particles), pop.Weight)
	s := newWeightedSample(particles, a.n, a.m)
	s.Epsilon = eps
	// The greatest of many geometric numbers of tries is some ten times
	// their mean; one beyond that by far says that the budget is too small.
	limit := int(min(50*left/float64(particles)+1000, math.MaxInt32))
	var total atomic.Int64
	err = par.Each(ctx, a.opt.Workers, particles, func(i int) error {
		src := rng.New(a.seed, uint64(k)<<32|uint64(i))
		r := rand.New(src)
		theta, y := s.Theta.RawRowView(i), s.Y.RawRowView(i)
		z := make([]float64, a.n)
		simulated, proposed := 0, 0
		defer func() { total.Add(int64(simulated)) }()
		for simulated < limit && proposed < 1000*limit {
			proposed++
			if proposed%1000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			from := pop.Theta.RawRowView(choose(cum, r))
			rng.FillNormal(z, src)
			step(theta, from, chol, z)
			if math.IsInf(a.pri.LogProb(theta), -1) {
				continue
			}
			simulated++
			ok, _ := a.run(ctx, y, theta, src)
			if !ok && ctx.Err() != nil {
				return ctx.Err()
			}
			if !ok {
				continue
			}
			if s.Distance[i] = scaledDistance(y, a.y, a.opt.Scale); s.Distance[i] <= eps {
				return nil
			}
		}
		return errBudget
	})
	if err != nil {
		return nil, err
	}
	s.Simulations = int(total.Load())
	return s, a.weigh(ctx, s, pop, chol)
}

// step sets theta = from + L z for the lower triangle L.
func step(theta, from []float64, l *mat.TriDense, z []float64) {
	for i := range theta {
		theta[i] = from[i]
		for j := range i + 1 {
			theta[i] += l.At(i, j) * z[j]
		}
	}
}

// weigh sets the weights p(θ)/Σ_j w_j N(θ; θ_j, LLᵀ).
func (a *smcABC) weigh(ctx context.Context, s, pop *WeightedSample, l *mat.TriDense) error {
	particles := a.opt.Particles
	white := func(t *mat.Dense) *mat.Dense { // rows L⁻¹θ
		w := mat.DenseCopyOf(t)
		for i := range particles {
			row := w.RawRowView(i)
			for p := range row {
				for q := range p {
					row[p] -= l.At(p, q) * row[q]
				}
				row[p] /= l.At(p, p)
			}
		}
		return w
	}
	to, from := white(s.Theta), white(pop.Theta)
	logw := make([]float64, particles)
	err := par.For(ctx, a.opt.Workers, particles, 64, func(lo, hi int) error {
		for i := lo; i < hi; i++ {
			x := to.RawRowView(i)
			var q float64
			for j, w := range pop.Weight {
				q += w * math.Exp(-squaredDistance(x, from.RawRowView(j))/2)
			}
			logw[i] = a.pri.LogProb(s.Theta.RawRowView(i)) - math.Log(q)
		}
		return nil
	})
	if err != nil {
		return err
	}
	top := floats.Max(logw)
	for i, v := range logw {
		s.Weight[i] = math.Exp(v - top)
	}
	floats.Scale(1/floats.Sum(s.Weight), s.Weight)
	return nil
}

// weightedCholesky returns the lower triangle of factor times the weighted
// covariance.
func weightedCholesky(s *WeightedSample, factor float64) (*mat.TriDense, error) {
	var cov mat.SymDense
	n := float64(len(s.Weight))
	w := make([]float64, len(s.Weight))
	floats.AddScaled(w, n, s.Weight) // stat divides by the sum of weights less one
	stat.CovarianceMatrix(&cov, s.Theta, w)
	d := cov.SymmetricDim()
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, factor*cov.At(i, j))
		}
		cov.SetSym(i, i, cov.At(i, i)*(1+1e-10))
	}
	var chol mat.Cholesky
	if !chol.Factorize(&cov) {
		return nil, errors.New("sbi: the particles of a population are in a subspace: too few, or parameters that determine each other")
	}
	var l mat.TriDense
	chol.LTo(&l)
	return &l, nil
}
