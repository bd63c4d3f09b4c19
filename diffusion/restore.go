package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

// DiffPIR is the solver of Zhu et al. (2023): the denoised mean D is moved to
// the minimiser of
//
//	(y - Ax)ᵀΣ⁻¹(y - Ax)/2 + λ (α²/σ²) ‖x - D‖²/2,
//
// and a step of DDIM with a share Zeta of new noise follows. It is a heuristic
// for restoring images: its draws are not those of the posterior.
type DiffPIR struct {
	Lik    *likelihood.Gaussian // of a linear operator, see NewPiGDM
	Lambda float64              // 7 if 0
	Zeta   float64              // 0.3 if 0
}

func (d DiffPIR) check(p *path) error {
	if !(d.Lambda >= 0 && d.Zeta >= 0 && d.Zeta <= 1) {
		return fmt.Errorf("diffusion: DiffPIR: Lambda is %g and Zeta %g, want Lambda ≥ 0 and Zeta in [0, 1]", d.Lambda, d.Zeta)
	}
	return p.prepare("DiffPIR", d.Lik)
}

func (DiffPIR) levels() (Grid, bool) { return nil, true }
func (DiffPIR) remedy() string       { return moreSteps }

func (d DiffPIR) begin(w *walk) stepper {
	if d.Lambda == 0 {
		d.Lambda = 7
	}
	if d.Zeta == 0 {
		d.Zeta = 0.3
	}
	return &diffPIR{d, &proximal{linearGaussian: w.lin}, w.scratch(), w.scratch()}
}

type diffPIR struct {
	o    DiffPIR
	prox *proximal
	d, z *mat.Dense
}

func (d *diffPIR) step(w *walk) {
	a, s, a2, s2 := w.alpha[w.k], w.sigma[w.k], w.alpha[w.k+1], w.sigma[w.k+1]
	w.denoise(d.d, w.x, w.t[w.k])
	d.prox.move(d.d, s*s/(a*a*d.o.Lambda))
	old := s2 * math.Sqrt(1-d.o.Zeta)
	combine(w.x, old/s, w.x, a2-old*a/s, d.d)
	w.noise(d.z)
	addScaled(w.x, s2*math.Sqrt(d.o.Zeta), d.z)
}

// innerPath returns a path for the steps from any level to t = 0.
func innerPath(p *path, steps int) *path {
	inner := *p
	inner.t = make([]float64, steps+1)
	inner.alpha, inner.sigma = make([]float64, steps+1), make([]float64, steps+1)
	return &inner
}

// from sets the times from t to 0, evenly spaced in the log signal-to-noise
// ratio down to the last level of the outer path.
func (p *path) from(t, last float64) {
	steps := p.steps()
	p.alpha[steps], p.sigma[steps], p.t[steps] = 1, 0, 0
	lo, hi := LogSNR(p.schedule, math.Max(last, 1e-3*t)), LogSNR(p.schedule, t)
	for k := range steps {
		p.t[k] = p.schedule.Time(hi + (lo-hi)*float64(k)/float64(steps))
		if k == 0 {
			p.t[k] = t
		}
		p.alpha[k], p.sigma[k] = p.schedule.At(p.t[k])
	}
}

// SplitGibbs is the split Gibbs sampler with a diffusion prior (Coeurdoux et
// al. 2024; Wu et al. 2024, PnP-DM): it alternates
//
//	z | x ∝ p(y|z) N(z; x, ρ²I)    exactly, for a linear operator and Gaussian noise,
//	x | z ∝ p(x) N(x; z, ρ²I)      by reverse diffusion from the level σ/α = ρ,
//
// while ρ falls to RhoMin, where it stays. For a fixed ρ this is a Markov chain
// whose x has the posterior of data with the noise covariance Σ + ρ²AAᵀ: the
// bias vanishes with ρ², and so does the speed of mixing. Each draw is the end
// of a chain of its own.
type SplitGibbs struct {
	Score Score
	Lik   *likelihood.Gaussian // of a linear operator, see NewPiGDM

	Rho, RhoMin float64 // first and last ρ, 10 and 0.1 if 0
	Decay       float64 // factor of ρ from one iteration to the next, 0.9 if 0
	Iterations  int     // after ρ has reached RhoMin, 20 if 0
	Inner       int     // steps of a reverse diffusion, 20 if 0

	Src      rand.Source           // nil means a freshly seeded one
	Workers  int                   // goroutines, GOMAXPROCS if 0
	Progress func(done, total int) // called with numbers of finished draws
}

var _ inverse.Sampler = (*SplitGibbs)(nil)

// Dim returns the dimension n of a draw.
func (g *SplitGibbs) Dim() int { return g.Score.Dim() }

// Sample fills the rows of dst with independent draws.
func (g *SplitGibbs) Sample(ctx context.Context, dst *mat.Dense) error {
	if g.Score == nil {
		return errors.New("diffusion: SplitGibbs: Score is nil")
	}
	o := *g
	if !(o.Rho >= 0 && o.RhoMin >= 0 && o.Decay >= 0 && o.Decay < 1) || o.Iterations < 0 || o.Inner < 0 {
		return fmt.Errorf("diffusion: SplitGibbs: Rho %g, RhoMin %g, Decay %g, Iterations %d, Inner %d: one is out of range", o.Rho, o.RhoMin, o.Decay, o.Iterations, o.Inner)
	}
	for _, c := range []struct {
		v  *float64
		to float64
	}{{&o.Rho, 10}, {&o.RhoMin, .1}, {&o.Decay, .9}} {
		if *c.v == 0 {
			*c.v = c.to
		}
	}
	if o.Iterations == 0 {
		o.Iterations = 20
	}
	if o.Inner == 0 {
		o.Inner = 20
	}
	p, _, err := (&Reverse{Score: o.Score}).path()
	if err != nil {
		return err
	}
	if err := p.prepare("SplitGibbs", o.Lik); err != nil {
		return err
	}
	rows, cols := dst.Dims()
	if cols != p.n {
		panic(fmt.Sprintf("diffusion: dst is %d×%d, the score has dimension %d", rows, cols, p.n))
	}
	lo, hi := p.schedule.Span()
	first := math.Min(o.Rho, math.Exp(-LogSNR(p.schedule, hi)/2))
	seed := rng.Seed(o.Src)
	progress := par.NewProgress(rows, o.Progress)
	size := blockRows(p.n)
	return par.For(ctx, o.Workers, rows, size, func(from, to int) error {
		w := newWalk(innerPath(p, o.Inner), dst, from, to, rng.New(seed, uint64(from/size)))
		prox, z, solver := &proximal{linearGaussian: p.lin}, w.scratch(), &ddim{1, w.scratch(), w.scratch()}
		w.x.Zero()
		w.limit = tooLarge * first
		left, iteration := o.Iterations, 0
		for rho := first; left > 0; iteration++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			prox.draw(w.x, z, rho, w.src)
			t := p.schedule.Time(-2 * math.Log(rho))
			w.path.from(t, lo)
			combine(w.x, w.alpha[0], w.x, 0, w.x)
			for w.k = 0; w.k < w.steps(); w.k++ {
				solver.step(w)
			}
			if err := w.diverged("check the score"); err != nil {
				return fmt.Errorf("diffusion: SplitGibbs: draw %d has diverged in iteration %d, where ρ = %.3g: check the score near t = %.3g", from+err.Row, iteration+1, rho, t)
			}
			if rho *= o.Decay; rho <= o.RhoMin {
				rho = o.RhoMin
				left--
			}
		}
		progress.Add(to - from)
		return nil
	})
}

// prepare keeps in p.lin a likelihood whose least squares can be solved.
func (p *path) prepare(method string, lik *likelihood.Gaussian) error {
	l, err := newLinearGaussian(method, lik)
	if err != nil {
		return err
	}
	if l.n != p.n {
		return fmt.Errorf("diffusion: %s: the likelihood has dimension %d, the score %d", method, l.n, p.n)
	}
	p.lin = l
	return l.decompose(method)
}

// proximal solves least squares about given points.
type proximal struct {
	*linearGaussian
	r, e, e2, back mat.Dense
}

// move moves the rows of x to the minimisers of
// (y - Az)ᵀΣ⁻¹(y - Az) + ‖z - x‖²/c.
func (p *proximal) move(x *mat.Dense, c float64) {
	p.residual(resize(&p.r, x.RawMatrix().Rows, p.m), x)
	p.correct(x, c)
}

// draw replaces the rows of x by draws from the density proportional to
// p(y|z) N(z; x, r²I): with x and y perturbed by draws of their noise, the
// minimiser is one. z is scratch.
func (p *proximal) draw(x, z *mat.Dense, r float64, src rand.Source) {
	rows := x.RawMatrix().Rows
	for i := range rows {
		rng.FillNormal(z.RawRowView(i), src)
	}
	addScaled(x, r, z)
	p.residual(resize(&p.r, rows, p.m), x)
	e := resize(&p.e, rows, p.m)
	for i := range rows {
		rng.FillNormal(e.RawRowView(i), src)
	}
	p.lik.Color(e, e)
	addScaled(&p.r, 1, e)
	p.correct(x, r*r)
}

// correct adds c Aᵀ(Σ + c AAᵀ)⁻¹r to x.
func (p *proximal) correct(x *mat.Dense, c float64) {
	rows := x.RawMatrix().Rows
	p.solve(&p.r, &p.e, &p.e2, c, nil)
	p.a.Adjoint(resize(&p.back, rows, p.n), &p.r)
	addScaled(x, c, &p.back)
}
