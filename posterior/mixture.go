package posterior

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// Mixture is the exact posterior of a Gaussian mixture prior and linear data
// with Gaussian noise: again a mixture, with weights by the evidence of each
// component. It has all methods of prior.Mixture, its diffused density and
// score among them: those are the exact posterior score at every diffusion
// time.
type Mixture struct {
	// Src is the source of Sample's draws. If it is nil, it is freshly seeded.
	Src rand.Source

	*prior.Mixture
	logEvidence float64
}

var _ inverse.Sampler = (*Mixture)(nil)

// NewMixture returns the posterior of a mixture prior and a Gaussian
// likelihood whose operator is Linear. The matrix of the operator is formed.
func NewMixture(p *prior.Mixture, lik *likelihood.Gaussian) (*Mixture, error) {
	switch {
	case p == nil:
		return nil, errors.New("posterior: prior is nil")
	case lik == nil:
		return nil, errors.New("posterior: likelihood is nil")
	case p.Dim() != lik.Dim():
		return nil, fmt.Errorf("posterior: the prior has dimension %d, the likelihood %d", p.Dim(), lik.Dim())
	}
	a, err := linear(lik)
	if err != nil {
		return nil, err
	}
	post, logEvidence, err := p.Condition(matrixOf(a), lik.Data(), covarianceOf(lik))
	if err != nil {
		return nil, fmt.Errorf("posterior: %w", err)
	}
	return &Mixture{Mixture: post, logEvidence: logEvidence}, nil
}

// linear returns the operator of a likelihood, or an error if it is not
// inverse.Linear.
func linear(lik *likelihood.Gaussian) (inverse.Linear, error) {
	a, ok := lik.Operator().(inverse.Linear)
	if !ok {
		return nil, fmt.Errorf("posterior: the operator %T is not inverse.Linear; use New and a sampler", lik.Operator())
	}
	return a, nil
}

// covarianceOf returns the covariance matrix of the noise, diagonal where the
// noise is white.
func covarianceOf(lik *likelihood.Gaussian) mat.Symmetric {
	m := len(lik.Data())
	if sigma, ok := lik.Sigma(); ok {
		d := mat.NewDiagDense(m, nil)
		for i := range m {
			d.SetDiag(i, sigma*sigma)
		}
		return d
	}
	cov := mat.NewSymDense(m, nil)
	lik.AddCovariance(cov)
	return cov
}

// LogEvidence returns log p(y).
func (m *Mixture) LogEvidence() float64 { return m.logEvidence }

// Sample fills the rows of dst with independent exact draws from Src.
func (m *Mixture) Sample(ctx context.Context, dst *mat.Dense) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.Draw(dst, rng.Or(m.Src))
	return nil
}
