package posterior

import (
	"fmt"
	"math"
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
