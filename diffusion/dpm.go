package diffusion

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Heun is the stochastic second-order sampler of Karras et al. (2022,
// algorithm 2) in the coordinates x/α with noise level σ/α. Churn adds noise
// before each step; without it the sampler is deterministic. It evaluates the
// score twice a step, but once in the last.
type Heun struct {
	Churn    float64 // S_churn
	Min, Max float64 // S_tmin and S_tmax: levels σ/α where noise is added; a Max of 0 means no bound
	Noise    float64 // S_noise, 1 if 0
}

func (h Heun) check(*path) error {
	if !(h.Churn >= 0 && h.Min >= 0 && h.Max >= 0 && h.Noise >= 0) {
		return fmt.Errorf("diffusion: Heun: %+v has a negative field", h)
	}
	return nil
}

func (Heun) levels() (Grid, bool) { return Karras(7), true }
func (Heun) remedy() string       { return moreSteps }

func (h Heun) begin(w *walk) stepper {
	if h.Noise == 0 {
		h.Noise = 1
	}
	if h.Max == 0 {
		h.Max = math.Inf(1)
	}
	return &heun{h, w.scratch(), w.scratch(), w.scratch()}
}

type heun struct {
	o          Heun
	d, d2, mid *mat.Dense
}

func (h *heun) step(w *walk) {
	t, a := w.t[w.k], w.alpha[w.k]
	level := w.sigma[w.k] / a
	if gamma := math.Min(h.o.Churn/float64(w.steps()), math.Sqrt2-1); gamma > 0 && w.k > 0 && level >= h.o.Min && level <= h.o.Max {
		raised := level * (1 + gamma)
		w.noise(h.d)
		addScaled(w.x, a*h.o.Noise*math.Sqrt(raised*raised-level*level), h.d)
		level, t = raised, w.schedule.Time(-2*math.Log(raised))
		was := a
		a, _ = w.schedule.At(t)
		combine(w.x, a/was, w.x, 0, w.x)
	}
	next := w.sigma[w.k+1] / w.alpha[w.k+1]
	a2 := w.alpha[w.k+1]
	w.denoise(h.d, w.x, t)
	// In the coordinates x/α the slope is (x/α - D)/level.
	slope := (next - level) / level
	combine(h.d, 1/a, w.x, -1, h.d)
	combine(h.mid, a2/a, w.x, a2*slope, h.d)
	if next == 0 {
		w.x.Copy(h.mid)
		return
	}
	w.denoise(h.d2, h.mid, w.t[w.k+1])
	combine(h.d2, 1/a2, h.mid, -1, h.d2)
	combine(w.x, a2/a, w.x, a2*slope/2, h.d)
	addScaled(w.x, a2*(next-level)/next/2, h.d2)
}

// DPMSolver is DPM-Solver++ (Lu et al. 2022): an exponential integrator in
// the log signal-to-noise ratio for the denoised mean. It is the choice for
// few steps: 5 to 20 with a moment-matched Start and From where σ/α is three
// to seven standard deviations of the data.
type DPMSolver struct {
	// Order is 2 or 3 for the multistep methods 2M and 3M, which cost one
	// evaluation a step, or 1 for DDIM. If it is 0, it is defaulted to 2.
	// 3M pays off from eight steps on; its errors are smaller, though as the
	// authors define it they are of order 2 too.
	Order int
	// Single chooses the single-step method 2S, two evaluations a step.
	Single bool
	// Stochastic solves the reverse-time stochastic equation, by the method
	// SDE-DPM-Solver++(2M); Order 3 and Single are not available.
	Stochastic bool
}

func (d DPMSolver) check(*path) error {
	switch {
	case d.Order < 0 || d.Order > 3:
		return fmt.Errorf("diffusion: DPMSolver: Order is %d, want 1, 2 or 3", d.Order)
	case d.Order != 0 && d.Order != 2 && d.Single:
		return fmt.Errorf("diffusion: DPMSolver: Single has order 2, not %d", d.Order)
	case d.Stochastic && (d.Order == 3 || d.Single):
		return fmt.Errorf("diffusion: DPMSolver: Stochastic has no method of order 3 and no single-step method")
	}
	return nil
}

func (DPMSolver) levels() (Grid, bool) { return UniformLogSNR, true }
func (DPMSolver) remedy() string       { return moreSteps }

func (d DPMSolver) begin(w *walk) stepper {
	if d.Order == 0 {
		d.Order = 2
	}
	s := &dpm{o: d, z: w.scratch()}
	for i := range s.d {
		s.d[i] = w.scratch()
	}
	return s
}

type dpm struct {
	o DPMSolver
	d [3]*mat.Dense // denoised means, the newest first
	z *mat.Dense
}

// lambda returns log(α/σ) at level k.
func (w *walk) lambda(k int) float64 { return math.Log(w.alpha[k] / w.sigma[k]) }

func (d *dpm) step(w *walk) {
	d.d[0], d.d[1], d.d[2] = d.d[2], d.d[0], d.d[1]
	m := d.d
	w.denoise(m[0], w.x, w.t[w.k])
	a2, s, s2 := w.alpha[w.k+1], w.sigma[w.k], w.sigma[w.k+1]
	if s2 == 0 {
		combine(w.x, a2, m[0], 0, m[0])
		return
	}
	h := w.lambda(w.k+1) - w.lambda(w.k)
	phi := math.Expm1(-h)
	switch {
	case d.o.Single:
		d.single(w, h)
	case d.o.Stochastic:
		grow := -math.Expm1(-2 * h)
		combine(w.x, s2/s*math.Exp(-h), w.x, a2*grow, m[0])
		if d.o.Order == 2 && w.k > 0 {
			r := (w.lambda(w.k) - w.lambda(w.k-1)) / h
			addScaled(w.x, 0.5*a2*grow/r, m[0])
			addScaled(w.x, -0.5*a2*grow/r, m[1])
		}
		w.noise(d.z)
		addScaled(w.x, s2*math.Sqrt(grow), d.z)
	case d.o.Order == 3 && w.k > 1:
		h0, h1 := w.lambda(w.k)-w.lambda(w.k-1), w.lambda(w.k-1)-w.lambda(w.k-2)
		r0, r1 := h0/h, h1/h
		// D1 = p + r0/(r0+r1) (p - q), D2 = (p - q)/(r0+r1) with the divided
		// differences p = (m0 - m1)/r0 and q = (m1 - m2)/r1. The authors'
		// weight φ₃ of D2, kept here, is half of what order 3 would need; it
		// does better when steps are few.
		phi2 := phi/h + 1
		phi3 := phi2/h - 0.5
		c := a2*phi2*r0/(r0+r1) - a2*phi3/(r0+r1) // of p - q
		cp, cq := a2*phi2+c, -c
		combine(w.x, s2/s, w.x, -a2*phi+cp/r0, m[0])
		addScaled(w.x, -cp/r0+cq/r1, m[1])
		addScaled(w.x, -cq/r1, m[2])
	case d.o.Order >= 2 && w.k > 0:
		r := (w.lambda(w.k) - w.lambda(w.k-1)) / h
		combine(w.x, s2/s, w.x, -a2*phi*(1+0.5/r), m[0])
		addScaled(w.x, a2*phi*0.5/r, m[1])
	default:
		combine(w.x, s2/s, w.x, -a2*phi, m[0])
	}
}

// single is DPM-Solver++(2S) with the inner point in the middle of the step.
func (d *dpm) single(w *walk, h float64) {
	a2, s, s2 := w.alpha[w.k+1], w.sigma[w.k], w.sigma[w.k+1]
	middle := w.schedule.Time(2*w.lambda(w.k) + h)
	am, sm := w.schedule.At(middle)
	combine(d.z, sm/s, w.x, -am*math.Expm1(-h/2), d.d[0])
	w.denoise(d.d[1], d.z, middle)
	combine(w.x, s2/s, w.x, -a2*math.Expm1(-h), d.d[1])
}
