package diffusion

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// Likelihood is what DPS needs of p(y|x): a *likelihood.Likelihood or
// *likelihood.Gaussian, of any operator with a derivative.
type Likelihood interface {
	Dim() int
	// Scores sets the rows of dst to ∇ log p(y|x_i) and, if it is not nil,
	// logProb[i] to log p(y|x_i).
	Scores(dst *mat.Dense, logProb []float64, x *mat.Dense)
	// Differentiable returns nil, or why there is no score.
	Differentiable() error
}

// DPS is diffusion posterior sampling (Chung et al. 2023): the likelihood of
// the denoised mean,
//
//	∇ log p(y|x_t) ≈ Jᵀ ∇_D log p(y|D),  D = E[x₀|x_t],  J = ∂D/∂x_t,
//
// with the weight of Bayes' rule, for any likelihood, linear or not. It takes
// x₀ for known given x_t and so is exact only in the limit t → 0: it follows
// the data too closely, is too narrow, and loses small modes. Where the noise
// of the data is small it is stiff, and diverges if the steps are too long.
//
// For the authors' step, which divides by the norm of the residual, see
// [DPSStep]. The zero values of the fields are the method of the paper.
type DPS struct {
	// Weight multiplies the guidance; 1 if 0.
	Weight float64
	// Until switches the guidance off for times t > Until; 0 means never.
	// Late guidance leaves modes that the data exclude.
	Until float64
	// NoJacobian replaces J by I/α, a simplification that saves the backward
	// pass. It is right for t → 0 and too large by far where α is small.
	NoJacobian bool

	*guide
	lik Likelihood
}

var _ Guidance = (*DPS)(nil)

// NewDPS returns the guidance of a likelihood.
func NewDPS(score Score, lik Likelihood) (*DPS, error) {
	if err := checkLikelihood(lik); err != nil {
		return nil, err
	}
	g, err := newGuide(score, lik.Dim())
	if err != nil {
		return nil, err
	}
	d := &DPS{guide: g, lik: lik}
	g.add = d.add
	return d, nil
}

func checkLikelihood(lik Likelihood) error {
	if lik == nil {
		return errors.New("diffusion: the likelihood is nil")
	}
	if err := lik.Differentiable(); err != nil {
		return fmt.Errorf("diffusion: %w", err)
	}
	return nil
}

func (d *DPS) add(dst *mat.Dense, logp []float64, p *point) {
	if d.Until != 0 && p.t > d.Until {
		for i := range logp {
			logp[i] = 0
		}
		return
	}
	weight := d.Weight
	if weight == 0 {
		weight = 1
	}
	r, n := p.x.Dims()
	g := resize(&p.full[0], r, n)
	d.lik.Scores(g, logp, &p.mean)
	for i := range logp {
		logp[i] *= weight
	}
	if d.NoJacobian {
		addScaled(dst, weight/p.alpha, g)
		return
	}
	pulled := resize(&p.full[1], r, n)
	p.pull(pulled, g)
	addScaled(dst, weight, pulled)
}
