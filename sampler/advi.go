package sampler

import (
	"context"
	"errors"
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
// the ascent begins where one path of [Pathfinder] arrives and in coordinates
// of the scale that it finds there; the result is a polynomially decaying
// average of the iterates (Shamir and Zhang, 2013), unless the last or the
// first has a greater bound; and the bounds that are compared are estimated from
// the same noise.
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
	// converged; it is multiplied by the root of the dimension. (One relative
	// to the bound itself, as Stan's is, would depend on the constant that the
	// target leaves out.) Ten times that at the end is worth a warning. If
	// Tolerance is 0, it will be defaulted to 0.001.
	Tolerance float64
	// StepSize scales the steps. If StepSize is 0, the largest of 100, 10, 1,
	// 0.1 and 0.01 is taken that comes close to the greatest bound after 50
	// iterations.
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
	adviLeast   = 1e-3
	adviClose   = 0.1 // difference of bounds, times the root of the dimension
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
	t, err := c.coordinates(ctx, f)
	if err != nil {
		return nil, err
	}
	var q normal
	mu := make([]float64, f.dim)
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
	a := &ascent{ADVI: c, f: f, q: q, moved: &moved{q, t}, rnd: rand.New(rng.New(f.seed, 1<<33))}
	a.init()
	if a.StepSize != 0 {
		return a.moved, a.climb(ctx)
	}
	if err := a.tune(ctx); err != nil {
		return nil, err
	}
	for {
		err := a.climb(ctx)
		if err == nil || ctx.Err() != nil || a.StepSize < adviLeast {
			return a.moved, err
		}
		// The step that did well at first has led to where the target fails.
		a.StepSize /= 10
		if err := a.set(a.begin); err != nil {
			return nil, err
		}
	}
}

// coordinates returns the map to u from the coordinates z in which the ascent
// is made, such that the target is about as wide as a standard normal
// distribution. Families other than FullRank are what they are in coordinates
// that are parallel to those of u only.
func (o *ADVI) coordinates(ctx context.Context, f *fitting) (*factored, error) {
	found, err := f.pathfinder(ctx, 1)
	if err != nil {
		return nil, err
	}
	if found == nil {
		mu := make([]float64, f.dim)
		return newScaled(mu, slices.Repeat([]float64{1}, f.dim)), f.first(mu, 0)
	}
	if o.Form == FullRank {
		return found[0], nil
	}
	scale := found[0].conditionalScales() // the best mean field for a normal target
	if !allFinite(scale) || slices.Min(scale) <= 0 {
		scale = found[0].scale
	}
	return newScaled(found[0].mu, scale), nil
}

// ascent is the stochastic gradient ascent of ADVI.
type ascent struct {
	ADVI
	f     *fitting
	q     normal // of z
	moved *moved // the same, of u
	rnd   *rand.Rand

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

// bound estimates the evidence lower bound, always with the same noise.
func (a *ascent) bound(ctx context.Context, samples int) (float64, error) {
	return a.f.lowerBound(ctx, a.f.Workers, a.moved, samples, streamADVI)
}

// boundAt is bound at other parameters than the present ones.
func (a *ascent) boundAt(ctx context.Context, samples int, theta []float64) (elbo float64, err error) {
	now := a.q.params()
	copy(a.kept, now)
	copy(now, theta)
	elbo = math.Inf(-1)
	if a.q.update() == nil {
		if elbo, err = a.bound(ctx, samples); err != nil {
			return 0, err
		}
	}
	copy(now, a.kept)
	return elbo, a.q.update()
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
				a.moved.t.push(a.u, a.u)
				if lp := t.LogProbScore(a.g, a.u); !math.IsInf(lp, -1) {
					break
				}
				if err := t.why(); try == tries {
					return fmt.Errorf("%d draws in a row: %w", tries, err)
				}
			}
			a.moved.t.pullback(a.g)
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

// tune chooses the step size: the largest that comes close to the greatest
// bound after a few iterations.
func (a *ascent) tune(ctx context.Context) error {
	sizes := []float64{100, 10, 1, 0.1, 0.01}
	elbo := make([]float64, len(sizes))
	var failed error
	for k, size := range sizes {
		var err error
		for t := 1; t <= adviTuning && err == nil; t++ {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			err = a.step(t, size)
		}
		if elbo[k] = math.Inf(-1); err != nil {
			failed = err
		} else if elbo[k], err = a.bound(ctx, a.ELBOSamples); err != nil {
			return err
		}
		if err := a.set(a.begin); err != nil {
			return err
		}
	}
	best := slices.Max(elbo)
	if math.IsInf(best, -1) {
		if failed == nil {
			failed = errors.New("the evidence lower bound stays -Inf")
		}
		return fmt.Errorf("no step size from 100 to 0.01 survives %d iterations: %w; give FitOptions.Init", adviTuning, failed)
	}
	for k, size := range sizes {
		if elbo[k] >= best-adviClose*math.Sqrt(float64(a.f.dim)) {
			a.StepSize = size
			break
		}
	}
	return nil
}

// set sets the parameters.
func (a *ascent) set(theta []float64) error {
	copy(a.q.params(), theta)
	return a.q.update()
}

// climb makes the ascent.
func (a *ascent) climb(ctx context.Context) error {
	theta := a.q.params()
	average := slices.Clone(theta)
	last, err := a.bound(ctx, a.ELBOSamples)
	if err != nil {
		return err
	}
	changes := make([]float64, 0, max(2, a.Iterations/adviEvery/10))
	converged, change := false, math.Inf(1)
	limit := a.Tolerance * math.Sqrt(float64(a.f.dim))
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
		elbo, err := a.boundAt(ctx, a.ELBOSamples, average)
		if err != nil {
			return err
		}
		if len(changes) == cap(changes) {
			changes = changes[:copy(changes, changes[1:])]
		}
		changes = append(changes, math.Abs(elbo-last))
		last = elbo
		change = min(stat.Mean(changes, nil), quantile(slices.Sorted(slices.Values(changes)), 0.5))
		converged = change < limit
		a.f.advance(adviEvery, a.Iterations, elbo)
	}
	if !(change < 10*limit) {
		a.f.warnings = append(a.f.warnings, fmt.Sprintf("the bound still changes after %d iterations, by %.2g in %d.", a.Iterations, change, adviEvery))
	}
	best, at := math.Inf(-1), a.begin
	for _, theta := range [][]float64{average, slices.Clone(theta), a.begin} {
		elbo, err := a.boundAt(ctx, max(a.ELBOSamples, a.f.Draws), theta)
		if err != nil {
			return err
		}
		// Bounds that are close do not tell which is the better.
		if elbo > best+adviClose/10*math.Sqrt(float64(a.f.dim)) || math.IsInf(best, -1) {
			best, at = elbo, theta
		}
	}
	return a.set(at)
}
