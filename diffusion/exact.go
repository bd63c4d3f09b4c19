package diffusion

import (
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

// exact is the guidance of [NewExact].
type exact struct {
	*guide
	post *Diffused
}

// NewExact returns the exact guidance of a Gaussian or mixture prior and a
// Gaussian likelihood of a linear operator: the score of the posterior, which
// is again Gaussian or a mixture, minus that of the prior. The prior of score
// is a *prior.Gaussian or a *prior.Mixture. The matrix of the operator is
// formed.
func NewExact(score *Diffused, lik *likelihood.Gaussian) (Guidance, error) {
	if score == nil {
		return nil, fmt.Errorf("diffusion: the score is nil")
	}
	lin, g, err := linearGuide("Exact", score, lik)
	if err != nil {
		return nil, err
	}
	var post prior.Diffusible
	switch p := score.prior.(type) {
	case *prior.Mixture:
		post, err = posterior.NewMixture(p, lik)
	case *posterior.Mixture:
		post, err = posterior.NewMixture(p.Mixture, lik)
	case *prior.Gaussian:
		cov := mat.NewSymDense(lin.m, nil)
		lik.AddCovariance(cov)
		post, _, err = p.Condition(matrixT(lin.a).T(), lik.Data(), cov)
	default:
		err = fmt.Errorf("the prior %T is neither *prior.Gaussian nor *prior.Mixture; use MMPS", p)
	}
	if err != nil {
		return nil, fmt.Errorf("diffusion: Exact: %w", err)
	}
	e := &exact{guide: g, post: &Diffused{post, score.schedule}}
	g.add = e.add
	return e, nil
}

// ScoreSum sets dst to the score of the posterior.
func (g *exact) ScoreSum(dst, x *mat.Dense, t float64) { g.post.Score(dst, x, t) }

func (g *exact) add(dst *mat.Dense, logp []float64, p *point) {
	rows, n := p.x.Dims()
	s := resize(&p.full[0], rows, n)
	g.post.Score(s, p.x, p.t)
	addScaled(dst, 1, s)
	addScaled(dst, -1, &p.score)
	if logp == nil {
		return
	}
	// log p(y|x_t) = log p_t(x_t|y) - log p_t(x_t) + log p(y)
	g.post.LogProb(logp, p.x, p.t)
	before := p.numbers(0, rows)
	g.score.(*Diffused).LogProb(before, p.x, p.t)
	floats.Sub(logp, before)
}
