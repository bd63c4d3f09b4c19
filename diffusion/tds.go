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
		f := &tds{
			TDS: s, eta: eta, mean: w.scratch(), g: w.scratch(), z: w.scratch(), d: w.scratch(), before: w.scratch(),
			logp: make([]float64, w.r), next: make([]float64, w.r),
		}
		size := blockRows(w.n)
		blocks := make([]evaluator, (w.r+size-1)/size)
		for i := range blocks {
			lo, hi := i*size, min(w.r, (i+1)*size)
			e := &blocks[i]
			e.p = newPoint(s.guide.model())
			rows(&e.x, w.x, lo, hi)
			rows(&e.g, f.g, lo, hi)
			rows(&e.mean, f.mean, lo, hi)
		}
		f.work = func(lo, hi int) error {
			e := &blocks[lo/size]
			e.g.Zero()
			s.guide.twist(&e.g, f.next[lo:hi], &e.x, w.t[f.level], e.p)
			e.mean.Copy(&e.p.mean)
			return nil
		}
		return f
	})
}

type tds struct {
	*TDS
	eta        float64
	mean       *mat.Dense // denoised means of the particles
	g, z       *mat.Dense
	d, before  *mat.Dense             // forecast, and denoised means of the step before
	logp, next []float64              // the twist at the particles
	level      int                    // of work
	work       func(lo, hi int) error // evaluates a block of particles
}

// evaluator has what a block of particles needs for the guidance.
type evaluator struct {
	p          *point
	x, g, mean mat.Dense // rows of the particles' matrices
}

func (f *tds) start(s *swarm) error {
	s.walk.start(f.Start)
	err := f.evaluate(s, 0)
	copy(f.logp, f.next)
	copy(s.logw, f.next)
	return err
}

// evaluate finds the denoised means, the guidance and, in f.next, the twist
// at level k.
func (f *tds) evaluate(s *swarm, k int) error {
	f.level = k
	return s.blocks(f.work)
}

func (f *tds) step(s *swarm) error {
	if ancestor := s.resample(); ancestor != nil {
		for _, m := range []*mat.Dense{s.x, f.mean, f.before, f.g} {
			s.gather(m, ancestor)
		}
		for i, a := range ancestor {
			f.next[i] = f.logp[a]
		}
		copy(f.logp, f.next)
	}
	x, d, v := s.ancestral(f.eta)
	s.forecast(f.d, f.mean, f.before)
	combine(s.x, x, s.x, d, f.d)
	f.before.Copy(f.mean)
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
	} else if err := f.evaluate(s, s.k+1); err != nil {
		return err
	}
	for i := range s.logw {
		s.logw[i] += f.next[i] - f.logp[i]
	}
	copy(f.logp, f.next)
	return nil
}
