package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Solver is a way to step back in time; a Reverse runs it. The solvers are
// [EulerMaruyama], [PredictorCorrector], [DDIM], [ProbabilityFlow], [Heun]
// and [DPMSolver], which follow any score, and [DDRM], [DiffPIR], [DAPS],
// [REDDiff] and [DPSStep], which follow a prior's score and know the likelihood. [Travel]
// repeats the steps of another.
//
// The first two and ProbabilityFlow end at the last noise level. The others
// end at t = 0: their last step denoises. By default the times are evenly
// spaced in t (but for the schedule [EDM], whose t is a noise level, on the
// grid of Karras), those of Heun on the grid of Karras, and those of DPMSolver
// in the log signal-to-noise ratio.
type Solver interface {
	// check says whether the solver can run on the path, and leaves there what
	// its blocks share.
	check(p *path) error
	// levels returns the grid that suits the solver, nil for one in t, and
	// whether its last step leads to t = 0.
	levels() (g Grid, toZero bool)
	// begin returns the state for a block of draws.
	begin(w *walk) stepper
	// remedy says what to do if a draw diverges.
	remedy() string
}

// stepper takes w.x from time w.t[w.k] to w.t[w.k+1].
type stepper interface{ step(w *walk) }

const moreSteps = "take more steps, or reduce the guidance"

// EulerMaruyama solves the reverse-time equation
//
//	dx = (f x - g² ∇ log p_t) dt + g dw
//
// with steps in t.
type EulerMaruyama struct{}

func (EulerMaruyama) check(*path) error     { return nil }
func (EulerMaruyama) levels() (Grid, bool)  { return nil, false }
func (EulerMaruyama) remedy() string        { return moreSteps }
func (EulerMaruyama) begin(w *walk) stepper { return &eulerMaruyama{w.scratch(), w.scratch()} }

type eulerMaruyama struct{ s, z *mat.Dense }

func (e *eulerMaruyama) step(w *walk) {
	t := w.t[w.k]
	h := t - w.t[w.k+1]
	f, g2 := drift(w.schedule, t)
	w.score.Score(e.s, w.x, t)
	w.noise(e.z)
	combine(e.s, g2*h, e.s, math.Sqrt(g2*h), e.z)
	combine(w.x, 1-f*h, w.x, 1, e.s)
}

// PredictorCorrector is EulerMaruyama with Langevin steps
//
//	x ← x + δ ∇ log p_t + √(2δ) z,  δ = 2 (SNR σ)²
//
// at each new level (Song et al. 2021, algorithm 3). Their step size divides
// the norm of the noise by that of the score; here it is its value for a
// typical draw, so that a draw does not depend on others and detailed balance
// holds as δ → 0.
type PredictorCorrector struct {
	SNR   float64 // 0.16 if 0
	Steps int     // Langevin steps at each level, 1 if 0
}

func (p PredictorCorrector) check(*path) error {
	if !(p.SNR >= 0) || p.Steps < 0 {
		return fmt.Errorf("diffusion: PredictorCorrector: SNR is %g and Steps %d, want numbers that are not negative", p.SNR, p.Steps)
	}
	return nil
}

func (PredictorCorrector) levels() (Grid, bool) { return nil, false }
func (PredictorCorrector) remedy() string       { return moreSteps + ", or lower SNR" }

func (p PredictorCorrector) begin(w *walk) stepper {
	if p.SNR == 0 {
		p.SNR = 0.16
	}
	if p.Steps == 0 {
		p.Steps = 1
	}
	return &corrected{eulerMaruyama{w.scratch(), w.scratch()}, p}
}

type corrected struct {
	eulerMaruyama
	o PredictorCorrector
}

func (c *corrected) step(w *walk) {
	c.eulerMaruyama.step(w)
	t, sigma := w.t[w.k+1], w.sigma[w.k+1]
	delta := 2 * c.o.SNR * c.o.SNR * sigma * sigma
	for range c.o.Steps {
		w.score.Score(c.s, w.x, t)
		w.noise(c.z)
		combine(c.s, delta, c.s, math.Sqrt(2*delta), c.z)
		addScaled(w.x, 1, c.s)
	}
}

// ProbabilityFlow solves the ordinary differential equation
//
//	dx/dt = f x - g²/2 ∇ log p_t
//
// which has the marginals of the reverse-time equation (Song et al. 2021, eq.
// 13), by Euler's method with steps in t, or by Heun's, which costs two
// evaluations a step.
type ProbabilityFlow struct{ Heun bool }

func (ProbabilityFlow) check(*path) error    { return nil }
func (ProbabilityFlow) levels() (Grid, bool) { return nil, false }
func (ProbabilityFlow) remedy() string       { return moreSteps }

func (p ProbabilityFlow) begin(w *walk) stepper {
	f := &flow{v: w.scratch()}
	if p.Heun {
		f.next, f.v2 = w.scratch(), w.scratch()
	}
	return f
}

type flow struct{ v, next, v2 *mat.Dense }

func (f *flow) step(w *walk) {
	t, to := w.t[w.k], w.t[w.k+1]
	h := to - t
	velocity(f.v, w, w.x, t)
	if f.v2 == nil {
		addScaled(w.x, h, f.v)
		return
	}
	combine(f.next, 1, w.x, h, f.v)
	velocity(f.v2, w, f.next, to)
	addScaled(w.x, h/2, f.v)
	addScaled(w.x, h/2, f.v2)
}

// velocity sets dst to dx/dt of the probability flow.
func velocity(dst *mat.Dense, w *walk, x *mat.Dense, t float64) {
	f, g2 := drift(w.schedule, t)
	w.score.Score(dst, x, t)
	combine(dst, f, x, -g2/2, dst)
}

// DDIM steps along the line through the denoised mean D and the noise
// ε = (x - αD)/σ, renewing a part of the noise (Song, Meng and Ermon 2021):
//
//	x' = α'D + √(σ'² - v²) ε + v z,  v = η σ' √(1 - (ασ'/α'σ)²)
//
// Eta 0 is deterministic, and Eta 1 is ancestral sampling (DDPM, Ho et al.
// 2020). Its last step returns D.
type DDIM struct{ Eta float64 }

func (d DDIM) check(*path) error {
	if !(d.Eta >= 0 && d.Eta <= 1) {
		return fmt.Errorf("diffusion: DDIM: Eta is %g, want a number between 0 and 1", d.Eta)
	}
	return nil
}

func (DDIM) levels() (Grid, bool)    { return nil, true }
func (DDIM) remedy() string          { return moreSteps }
func (d DDIM) begin(w *walk) stepper { return &ddim{d.Eta, w.scratch(), w.scratch()} }

type ddim struct {
	eta  float64
	d, z *mat.Dense
}

func (d *ddim) step(w *walk) {
	w.denoise(d.d, w.x, w.t[w.k])
	d.to(w, d.d)
}

// to makes the step that believes in x₀ = mean.
func (d *ddim) to(w *walk, mean *mat.Dense) {
	a, s, a2, s2 := w.alpha[w.k], w.sigma[w.k], w.alpha[w.k+1], w.sigma[w.k+1]
	keepEps, v := ddimNoise(a, s, a2, s2, d.eta)
	combine(w.x, keepEps/s, w.x, a2-keepEps*a/s, mean)
	if v > 0 {
		w.noise(d.z)
		addScaled(w.x, v, d.z)
	}
}

// ddimNoise returns the weights √(σ'² - v²) of the old noise and v of the new
// one.
func ddimNoise(a, s, a2, s2, eta float64) (old, v float64) {
	ratio := a * s2 / (a2 * s)
	v = eta * s2 * math.Sqrt(math.Max(0, 1-ratio*ratio))
	return math.Sqrt(math.Max(0, s2*s2-v*v)), v
}
