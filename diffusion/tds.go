package diffusion

import (
	"context"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
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
		f := &tds{TDS: s, eta: eta, mean: w.scratch(), g: w.scratch(), before: w.scratch(), logp: make([]float64, w.r), next: make([]float64, w.r)}
		f.size = blockRows(w.n)
		f.blocks = make([]tdsBlock, (w.r+f.size-1)/f.size)
		for i := range f.blocks {
			rows := min(f.size, w.r-i*f.size)
			f.blocks[i] = tdsBlock{point: newPoint(s.guide.model()), src: new(rng.Source), z: mat.NewDense(rows, w.n, nil)}
		}
		return f
	})
}

type tds struct {
	*TDS
	eta          float64
	mean, before *mat.Dense // denoised means of the particles, and of the step before
	g            *mat.Dense // the guidance at the particles
	logp, next   []float64  // the twist there, and after the step

	seed   uint64 // of the step
	size   int    // of a block
	blocks []tdsBlock
	work   func(lo, hi int) error // moves a block
}

// tdsBlock has what a block of particles needs for itself.
type tdsBlock struct {
	point              *point
	src                *rng.Source
	z                  *mat.Dense
	x, mean, before, g mat.Dense // rows of the particles' matrices
}

// block returns that of the particles lo, ..., hi-1.
func (f *tds) block(s *swarm, lo, hi int) *tdsBlock {
	b := &f.blocks[lo/f.size]
	rows(&b.x, s.x, lo, hi)
	rows(&b.mean, f.mean, lo, hi)
	rows(&b.before, f.before, lo, hi)
	rows(&b.g, f.g, lo, hi)
	return b
}

func (f *tds) start(s *swarm) error {
	s.walk.start(f.Start)
	err := s.blocks(func(lo, hi int) error {
		f.evaluate(s, f.block(s, lo, hi), 0, f.logp[lo:hi])
		return nil
	})
	copy(s.logw, f.logp)
	f.work = func(lo, hi int) error {
		f.move(s, lo, hi)
		return nil
	}
	return err
}

// evaluate finds the denoised means, the guidance and, in logp, the twist of a
// block at level k.
func (f *tds) evaluate(s *swarm, b *tdsBlock, k int, logp []float64) {
	b.g.Zero()
	f.guide.twist(&b.g, logp, &b.x, s.t[k], b.point)
	b.mean.Copy(&b.point.mean)
}

func (f *tds) step(s *swarm) error {
	if ancestor := s.resample(); ancestor != nil {
		if err := s.gather(s.x, f.mean, f.before, f.g); err != nil {
			return err
		}
		for i, a := range ancestor {
			f.next[i] = f.logp[a]
		}
		copy(f.logp, f.next)
	}
	f.seed = s.src.Uint64()
	return s.blocks(f.work)
}

// move moves the particles lo, ..., hi-1 and updates their weights.
func (f *tds) move(s *swarm, lo, hi int) {
	b, logw, logp, next := f.block(s, lo, hi), s.logw[lo:hi], f.logp[lo:hi], f.next[lo:hi]
	x, d, v := s.ancestral(f.eta)
	s.forecast(b.z, &b.mean, &b.before)
	combine(&b.x, x, &b.x, d, b.z)
	b.before.Copy(&b.mean)
	if v > 0 {
		// The shift dσ²/α of the mean by the guidance costs the weight
		// N(x'; mean, v²)/N(x'; mean + shift, v²).
		shift := d * s.sigma[s.k] * s.sigma[s.k] / s.alpha[s.k]
		rng.Reseed(b.src, f.seed, uint64(lo))
		noise(b.z, b.src)
		for i := range logw {
			g, z := b.g.RawRowView(i), b.z.RawRowView(i)
			logw[i] -= shift*kernel.Dot(g, z)/v + 0.5*shift*shift*kernel.SumSquares(g)/(v*v)
		}
		addScaled(&b.x, shift, &b.g)
		addScaled(&b.x, v, b.z)
	}
	if s.k+1 == s.steps() {
		f.lik.Scores(&b.g, next, &b.x)
	} else {
		f.evaluate(s, b, s.k+1, next)
	}
	for i, l := range next {
		logw[i] += l - logp[i]
	}
	copy(logp, next)
}
