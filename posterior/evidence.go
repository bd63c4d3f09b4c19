package posterior

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// MaximizeEvidence chooses a positive hyperparameter θ in [lo, hi], such as
// the precision of a prior or the level of the noise, by maximising the log
// evidence of the posterior that f makes of it (type II maximum likelihood,
// MacKay, 1992). It returns the best θ, to a relative 1e-3, and its
// posterior.
//
// The evidence is taken to have one maximum in log θ; a θ at the end of the
// interval means that it lies outside. It is an error if f fails or its
// posterior's evidence is intractable.
func MaximizeEvidence(lo, hi float64, f func(theta float64) (*Gaussian, error)) (theta float64, post *Gaussian, err error) {
	if !(lo > 0) || !(hi > lo) || math.IsInf(hi, 1) {
		return 0, nil, fmt.Errorf("posterior: interval [%g, %g], want 0 < lo < hi", lo, hi)
	}
	best := math.Inf(-1)
	evidence := func(u float64) float64 {
		if err != nil {
			return math.Inf(-1)
		}
		var p *Gaussian
		if p, err = f(math.Exp(u)); err != nil {
			err = fmt.Errorf("posterior: at θ = %g: %w", math.Exp(u), err)
			return math.Inf(-1)
		}
		var e float64
		if e, err = p.LogEvidence(); err != nil {
			return math.Inf(-1)
		}
		if e > best {
			best, theta, post = e, math.Exp(u), p
		}
		return e
	}
	// Golden-section search of log θ.
	const ratio = 1 / math.Phi
	a, b := math.Log(lo), math.Log(hi)
	c, d := b-ratio*(b-a), a+ratio*(b-a)
	ec, ed := evidence(c), evidence(d)
	for b-a > 1e-3 && err == nil {
		if ec > ed {
			b, d, ed = d, c, ec
			c = b - ratio*(b-a)
			ec = evidence(c)
		} else {
			a, c, ec = c, d, ed
			d = a + ratio*(b-a)
			ed = evidence(d)
		}
	}
	if err == nil && post == nil {
		err = fmt.Errorf("posterior: the evidence is not finite anywhere in [%g, %g]", lo, hi)
	}
	if err != nil {
		return 0, nil, err
	}
	return theta, post, nil
}

// MaximizePrecision chooses the factor τ of a prior's precision τQ by
// maximising the evidence without computing it, for posteriors that are
// solved by conjugate gradients. It iterates MacKay's (1992) condition for a
// maximum,
//
//	τ (m - μ)ᵀQ(m - μ) = γ = tr(H⁻¹AᵀΣ⁻¹A),
//
// from tau on, until τ changes by less than 1 %. The number γ of parameters
// that the data determine is taken from eight draws, with the same random
// numbers in each iteration, to a relative standard error of 1/(2 sqrt γ).
// The function f returns the posterior for τ; src seeds the draws, afresh if
// nil.
func MaximizePrecision(ctx context.Context, tau float64, f func(tau float64) (*Gaussian, error), src rand.Source) (float64, *Gaussian, error) {
	const (
		maxIter = 50
		draws   = 8
	)
	if !(tau > 0) || math.IsInf(tau, 1) {
		return 0, nil, fmt.Errorf("posterior: tau is %g, want a positive number", tau)
	}
	seed := rng.Seed(src)
	for range maxIter {
		g, err := f(tau)
		if err != nil {
			return 0, nil, fmt.Errorf("posterior: at τ = %g: %w", tau, err)
		}
		m, n := g.lik.Operator().Dims()
		d := mat.NewDense(draws, n, nil)
		caller := g.Src
		g.Src = rng.New(seed, 0)
		err = g.Sample(ctx, d)
		g.Src = caller
		if err != nil {
			return 0, nil, err
		}
		for i := range draws {
			floats.Sub(d.RawRowView(i), g.m)
		}
		ad := mat.NewDense(draws, m, nil)
		g.lik.Operator().Apply(ad, d)
		g.lik.Whiten(ad, ad)
		norm := mat.Norm(ad, 2)
		gamma := norm * norm / draws

		shift := mat.NewDense(1, n, g.Mean(nil))
		floats.Sub(shift.RawRowView(0), g.prior.Mean(nil))
		q := mat.NewDense(1, n, nil)
		g.prior.MulPrecision(q, shift)
		factor := gamma / floats.Dot(shift.RawRowView(0), q.RawRowView(0))
		if !(factor > 0) || math.IsInf(factor, 1) {
			return 0, nil, fmt.Errorf("posterior: no maximum of the evidence near τ = %g: the data do not inform it", tau)
		}
		if math.Abs(factor-1) < .01 {
			return tau, g, nil
		}
		tau *= factor
	}
	return 0, nil, fmt.Errorf("posterior: τ still changes after %d iterations, at %g", maxIter, tau)
}
