package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// Form is the form of the covariance matrix of [ADVI]'s normal distribution.
type Form int

const (
	// MeanField has independent coordinates. For a normal target its means
	// are exact and its variances are the reciprocals of the diagonal of the
	// precision matrix, which are too small if coordinates are correlated.
	MeanField Form = iota
	// FullRank has any covariance matrix. It suits up to some hundred
	// parameters.
	FullRank
	// LowRankPlusDiagonal has a diagonal matrix plus one of rank ADVI.Rank
	// (Ong, Nott and Smith, 2018).
	LowRankPlusDiagonal
)

// ADVI is automatic differentiation variational inference (Kucukelbir, Tran,
// Ranganath, Gelman and Blei, 2017): a normal distribution on the
// unconstrained space, fitted by stochastic gradient ascent of the evidence
// lower bound with the constants and the step sizes of Stan.
//
// Unlike Stan's, its gradients are those of the path alone (Roeder, Wu and
// Duvenaud, 2017), which have no noise left where the approximation is exact;
// the result is a polynomially decaying average of the iterates (Shamir and
// Zhang, 2013), unless the last iterate has the greater bound; and the bounds
// that are compared are estimated from the same noise.
type ADVI struct {
	// Form is the form of the covariance matrix. If Form is 0, it is
	// MeanField.
	Form Form
	// Rank is the rank for LowRankPlusDiagonal. If Rank is 0, it will be
	// defaulted to 5, or to the dimension if that is less.
	Rank int
	// GradSamples is the number of draws for a gradient. If GradSamples is 0,
	// it will be defaulted to 1.
	GradSamples int
	// ELBOSamples is the number of draws for an evidence lower bound. If
	// ELBOSamples is 0, it will be defaulted to 100.
	ELBOSamples int
	// Iterations is the greatest number of iterations. If Iterations is 0, it
	// will be defaulted to 10000.
	Iterations int
	// Tolerance is the change of the bound, in the mean or the median of the
	// last evaluations, one every 100 iterations, below which the ascent has
	// converged. It is in units of 1 + sd(log p - log q): one relative to the
	// bound itself, as Stan's is, would depend on the constant that the
	// target leaves out. If Tolerance is 0, it will be defaulted to 0.001.
	Tolerance float64
	// StepSize scales the steps. If StepSize is 0, the largest of 100, 10, 1,
	// 0.1 and 0.01 that does well in 50 iterations is taken.
	StepSize float64
}

// String names the form.
func (o *ADVI) String() string {
	switch o.Form {
	case MeanField:
		return "ADVI, mean-field normal"
	case FullRank:
		return "ADVI, full-rank normal"
	case LowRankPlusDiagonal:
		return "ADVI, low-rank plus diagonal normal"
	}
	return fmt.Sprintf("ADVI of unknown form %d", int(o.Form))
}

// normal is a normal distribution as ADVI sees it: a vector of parameters,
// the first of which are the mean, and a path u = u(ε) from standard normal
// noise.
type normal interface {
	variational
	// params returns the parameters, which the ascent changes in place and
	// then calls update, the error of which says what is wrong with them.
	params() []float64
	update() error
	// noise returns the length of ε.
	noise() int
	// path sets u to u(ε) and score to ∇ log q there.
	path(u, score, eps []float64)
	// pullback adds to grad the derivative of g·u(ε) by the parameters.
	pullback(grad, g, eps []float64)
}

const (
	adviTuning  = 50  // iterations for each step size that is tried
	adviEvery   = 100 // iterations between evaluations of the bound
	adviAverage = 8   // degree of the polynomially decaying average
)

func (o *ADVI) fit(ctx context.Context, f *fitting) (variational, error) {
	c := *o
	for _, v := range []struct {
		name  string
		value *int
		def   int
	}{{"Rank", &c.Rank, min(5, f.dim)}, {"GradSamples", &c.GradSamples, 1}, {"ELBOSamples", &c.ELBOSamples, 100}, {"Iterations", &c.Iterations, 10000}} {
		if *v.value < 0 {
			return nil, fmt.Errorf("%s is %d, want 1 or more", v.name, *v.value)
		}
		if *v.value == 0 {
			*v.value = v.def
		}
	}
	if c.Tolerance == 0 {
		c.Tolerance = 0.001
	}
	if !(c.Tolerance > 0) || !(c.StepSize >= 0) || math.IsInf(c.StepSize, 1) {
		return nil, fmt.Errorf("ADVI.Tolerance is %g and ADVI.StepSize %g, want neither negative", c.Tolerance, c.StepSize)
	}
	mu := make([]float64, f.dim)
	if err := f.first(mu, 0); err != nil {
		return nil, err
	}
	var q normal
	switch o.Form {
	case MeanField:
		q = newMeanField(mu)
	case FullRank:
		q = newFullRank(mu)
	case LowRankPlusDiagonal:
		q = newLowRankNormal(mu, c.Rank, rand.New(rng.New(f.seed, 1<<32)))
	default:
		return nil, fmt.Errorf("ADVI.Form is %d, want one of the constants", int(o.Form))
	}
	a := &ascent{ADVI: c, f: f, q: q, rnd: rand.New(rng.New(f.seed, 1<<33))}
	a.init()
	if a.StepSize == 0 {
		if err := a.tune(ctx); err != nil {
			return nil, err
		}
	}
	return q, a.climb(ctx)
}

// ascent is the stochastic gradient ascent of ADVI.
type ascent struct {
	ADVI
	f   *fitting
	q   normal
	rnd *rand.Rand

	begin   []float64 // the parameters that the ascent begins with
	grad    []float64
	history []float64 // decaying average of squared gradients
	kept    []float64 // parameters put by

	u, score, g, eps []float64
}

func (a *ascent) init() {
	d, n := a.f.dim, len(a.q.params())
	a.begin = slices.Clone(a.q.params())
	a.grad, a.history, a.kept = make([]float64, n), make([]float64, n), make([]float64, n)
	a.u, a.score, a.g = make([]float64, d), make([]float64, d), make([]float64, d)
	a.eps = make([]float64, a.q.noise())
}

// bound estimates the evidence lower bound and the standard deviation of
// log p - log q, always with the same noise.
func (a *ascent) bound(ctx context.Context) (elbo, sd float64, err error) {
	return a.f.lowerBound(ctx, a.f.Workers, a.q, a.ELBOSamples, streamELBO)
}

// boundAt is bound at other parameters than the present ones.
func (a *ascent) boundAt(ctx context.Context, theta []float64) (elbo, sd float64, err error) {
	now := a.q.params()
	copy(a.kept, now)
	copy(now, theta)
	elbo, sd = math.Inf(-1), math.Inf(1)
	if a.q.update() == nil {
		if elbo, sd, err = a.bound(ctx); err != nil {
			return 0, 0, err
		}
	}
	copy(now, a.kept)
	return elbo, sd, a.q.update()
}

// gradient estimates the gradient of the evidence lower bound.
func (a *ascent) gradient() error {
	clear(a.grad)
	return a.f.with(func(t *Target) error {
		for range a.GradSamples {
			const tries = 10
			for try := 1; ; try++ {
				for i := range a.eps {
					a.eps[i] = a.rnd.NormFloat64()
				}
				a.q.path(a.u, a.score, a.eps)
				if lp := t.LogProbScore(a.g, a.u); !math.IsInf(lp, -1) {
					break
				}
				if err := t.why(); try == tries {
					return fmt.Errorf("%d draws in a row: %w", tries, err)
				}
			}
			for i, s := range a.score {
				a.g[i] = (a.g[i] - s) / float64(a.GradSamples)
			}
			a.q.pullback(a.grad, a.g, a.eps)
		}
		return nil
	})
}

// step makes iteration t = 1, 2, ... with the given step size.
func (a *ascent) step(t int, size float64) error {
	if err := a.gradient(); err != nil {
		return err
	}
	size /= math.Sqrt(float64(t))
	theta := a.q.params()
	for i, g := range a.grad {
		if t == 1 {
			a.history[i] = g * g
		} else {
			a.history[i] = 0.9*a.history[i] + 0.1*g*g
		}
		theta[i] += size * g / (1 + math.Sqrt(a.history[i]))
	}
	return a.q.update()
}

// tune chooses the step size: the largest whose bound after a few iterations
// is above the one before it, if that is better than no step at all.
func (a *ascent) tune(ctx context.Context) error {
	initial, _, err := a.bound(ctx)
	if err != nil {
		return err
	}
	best := math.Inf(-1)
	for _, size := range []float64{100, 10, 1, 0.1, 0.01} {
		elbo := math.Inf(-1)
		failed := error(nil)
		for t := 1; t <= adviTuning && failed == nil; t++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			failed = a.step(t, size)
		}
		if failed == nil {
			if elbo, _, err = a.bound(ctx); err != nil {
				return err
			}
		}
		copy(a.q.params(), a.begin)
		if err := a.q.update(); err != nil {
			return err
		}
		if elbo < best && best > initial {
			return nil
		}
		if elbo > best || a.StepSize == 0 {
			a.StepSize = size
			best = elbo
		}
	}
	if best > initial {
		return nil
	}
	return fmt.Errorf("no step size from 100 to 0.01 raises the evidence lower bound from %.6g in %d iterations; give FitOptions.Init", initial, adviTuning)
}

// climb makes the ascent.
func (a *ascent) climb(ctx context.Context) error {
	theta := a.q.params()
	average := slices.Clone(theta)
	last, _, err := a.bound(ctx)
	if err != nil {
		return err
	}
	changes := make([]float64, 0, max(2, a.Iterations/adviEvery/10))
	converged := false
	for t := 1; t <= a.Iterations && !converged; t++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.step(t, a.StepSize); err != nil {
			return fmt.Errorf("iteration %d with step size %g: %w", t, a.StepSize, err)
		}
		w := (adviAverage + 1) / float64(t+adviAverage)
		for i, v := range theta {
			average[i] += w * (v - average[i])
		}
		if t%adviEvery != 0 {
			continue
		}
		elbo, sd, err := a.boundAt(ctx, average)
		if err != nil {
			return err
		}
		if len(changes) == cap(changes) {
			changes = changes[:copy(changes, changes[1:])]
		}
		changes = append(changes, math.Abs(elbo-last)/(1+sd))
		last = elbo
		sorted := slices.Sorted(slices.Values(changes))
		converged = stat.Mean(changes, nil) < a.Tolerance || quantile(sorted, 0.5) < a.Tolerance
		a.f.advance(adviEvery, a.Iterations, elbo)
	}
	if !converged {
		a.f.warnings = append(a.f.warnings, fmt.Sprintf("the bound still changed after %d iterations: %.4g at the last.", a.Iterations, last))
	}
	smooth, _, err := a.boundAt(ctx, average)
	if err != nil {
		return err
	}
	elbo, _, err := a.bound(ctx)
	if err != nil {
		return err
	}
	if smooth >= elbo {
		copy(theta, average)
	}
	return a.q.update()
}
