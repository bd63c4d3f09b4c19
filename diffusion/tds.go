package diffusion

import (
	"context"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// TDS is the twisted diffusion sampler (Wu et al. 2023): particles follow the
// ancestral steps of the prior, shifted by a guidance, and are weighted so
// that what the guidance gets wrong is corrected. With p̃ the guidance's own
// p(y|x_t), the twist, weights change from level t to level t' by
//
//	p(x'|x) p̃(y|x') / (q(x'|x) p̃(y|x)),
//
// and the last twist is the likelihood. Any guidance is right as the number
// of particles grows, and the better it is, the fewer are needed.
type TDS struct {
	Filter
	guide Guidance
	lik   Likelihood
}

var _ inverse.Sampler = (*TDS)(nil)

// NewTDS returns the sampler of the posterior of a guidance's prior and a
// likelihood, which is that of the guidance.
func NewTDS(guide Guidance, lik Likelihood) (*TDS, error) {
	if guide == nil {
		return nil, errors.New("diffusion: the guidance is nil")
	}
	if err := checkLikelihood(lik); err != nil {
		return nil, err
	}
	if n := guide.Dim(); n != lik.Dim() {
		return nil, fmt.Errorf("diffusion: the guidance has dimension %d, the likelihood %d", n, lik.Dim())
	}
	return &TDS{guide: guide, lik: lik}, nil
}

// Dim returns the dimension n of a draw.
func (s *TDS) Dim() int { return s.guide.Dim() }

// Sample fills the rows of dst with draws, see [Filter].
func (s *TDS) Sample(ctx context.Context, dst *mat.Dense) error {
	_, err := s.Run(ctx, dst)
	return err
}

// Run is Sample with a report.
func (s *TDS) Run(ctx context.Context, dst *mat.Dense) (*FilterReport, error) {
	eta := s.Eta
	if eta == 0 {
		eta = 1
	}
	return s.run(ctx, dst, s.guide.model(), func(w *walk) filterKind {
		return &tds{TDS: s, eta: eta, p: newPoint(s.guide.model()), g: w.scratch(), z: w.scratch(), d: w.scratch(), before: w.scratch(), logp: make([]float64, w.r), next: make([]float64, w.r)}
	})
}

type tds struct {
	*TDS
	eta        float64
	p          *point // at the particles
	g, z       *mat.Dense
	d, before  *mat.Dense // forecast, and denoised means of the step before
	logp, next []float64  // the twist at the particles
}

func (f *tds) start(s *swarm) {
	s.walk.start(f.Start)
	f.evaluate(s, 0, s.logw)
	copy(f.logp, s.logw)
}

// evaluate finds the prior's score, the guidance and the twist at level k.
func (f *tds) evaluate(s *swarm, k int, logp []float64) {
	f.g.Zero()
	f.guide.twist(f.g, logp, s.x, s.t[k], f.p)
}

func (f *tds) step(s *swarm) {
	if ancestor := s.resample(); ancestor != nil {
		for _, m := range []*mat.Dense{s.x, &f.p.mean, f.before, f.g} {
			s.gather(m, ancestor)
		}
		for i, a := range ancestor {
			f.next[i] = f.logp[a]
		}
		copy(f.logp, f.next)
	}
	x, d, v := s.ancestral(f.eta)
	s.forecast(f.d, &f.p.mean, f.before)
	combine(s.x, x, s.x, d, f.d)
	f.before.Copy(&f.p.mean)
	last := s.k+1 == s.steps()
	if v > 0 {
		// The shift dσ²/α of the mean by the guidance costs the weight
		// N(x'; mean, v²)/N(x'; mean + shift, v²).
		shift := d * s.sigma[s.k] * s.sigma[s.k] / s.alpha[s.k]
		s.noise(f.z)
		for i := range s.r {
			g, z := f.g.RawRowView(i), f.z.RawRowView(i)
			s.logw[i] -= shift*floats.Dot(g, z)/v + 0.5*shift*shift*floats.Dot(g, g)/(v*v)
		}
		addScaled(s.x, shift, f.g)
		addScaled(s.x, v, f.z)
	}
	if last {
		f.lik.Scores(f.g, f.next, s.x)
	} else {
		f.evaluate(s, s.k+1, f.next)
	}
	for i := range s.logw {
		s.logw[i] += f.next[i] - f.logp[i]
	}
	copy(f.logp, f.next)
}
