package diffusion

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/likelihood"
)

// DDRM is the solver of denoising diffusion restoration models (Kawar et al.
// 2022), for operators with a singular value decomposition and white noise.
// In the coordinates Vᵀx/α it draws a coordinate about its datum y_i/s_i as
// long as the noise of the level is larger than that of the datum, and then
// mixes datum and denoised mean. The Score of the Reverse is the prior's; no
// derivative of it is needed.
//
// With EtaB = 1 the steps are those of DDNM+ (Wang et al. 2023), whose time
// travel is [Travel]. Neither converges to the posterior as steps become more:
// the draws become too narrow.
type DDRM struct {
	Lik  *likelihood.Gaussian
	Eta  float64 // share of new noise, 0.85 if 0
	EtaB float64 // weight of the datum, 1 if 0
}

func (d DDRM) check(p *path) error {
	l, err := newSpectralGaussian("DDRM", d.Lik)
	if err != nil {
		return err
	}
	if l.n != p.n {
		return fmt.Errorf("diffusion: DDRM: the likelihood has dimension %d, the score %d", l.n, p.n)
	}
	if !(d.Eta >= 0 && d.Eta <= 1 && d.EtaB >= 0 && d.EtaB <= 1) {
		return fmt.Errorf("diffusion: DDRM: Eta is %g and EtaB %g, want numbers between 0 and 1", d.Eta, d.EtaB)
	}
	p.lin = l
	return nil
}

func (DDRM) levels() (Grid, bool) { return nil, true }
func (DDRM) remedy() string       { return moreSteps }

func (d DDRM) begin(w *walk) stepper {
	if d.Eta == 0 {
		d.Eta = 0.85
	}
	if d.EtaB == 0 {
		d.EtaB = 1
	}
	l := w.lin
	s := l.spectral.SingularValues()
	coordinates := func() *mat.Dense { return mat.NewDense(w.r, len(s), nil) }
	r := &ddrm{
		op: l.spectral, y: l.modes(), noise: make([]float64, len(s)), eta: d.Eta, etaB: d.EtaB,
		d: w.scratch(), z: w.scratch(), xc: coordinates(), dc: coordinates(), zc: coordinates(),
	}
	for i, v := range s {
		r.noise[i] = l.sigma / v // +Inf where there is no datum
	}
	r.start(w)
	return r
}

type ddrm struct {
	op         inverse.Spectral
	y, noise   []float64 // y_i/s_i and its standard deviation σ_y/s_i
	eta, etaB  float64
	d, z       *mat.Dense
	xc, dc, zc *mat.Dense // coordinates of the state, of D and of new noise
}

// start moves a coordinate whose datum is better than the first level to the
// datum.
func (r *ddrm) start(w *walk) {
	a, s := w.alpha[0], w.sigma[0]
	level := s / a
	r.op.MulVT(r.xc, w.x)
	for j := range w.r {
		x := r.xc.RawRowView(j)
		for i, noise := range r.noise {
			if noise > level {
				x[i] = 0
				continue
			}
			free := x[i] / s
			x[i] = a*(r.y[i]+math.Sqrt(level*level-noise*noise)*free) - x[i]
		}
	}
	r.op.MulV(r.d, r.xc)
	addScaled(w.x, 1, r.d)
}

func (r *ddrm) step(w *walk) {
	w.denoise(r.d, w.x, w.t[w.k])
	w.noise(r.z)
	a, s, a2, s2 := w.alpha[w.k], w.sigma[w.k], w.alpha[w.k+1], w.sigma[w.k+1]
	keepNoise := math.Sqrt(1 - r.eta*r.eta)
	// What has no datum, as in DDIM.
	combine(w.x, keepNoise*s2/s, w.x, a2-keepNoise*s2*a/s, r.d)
	addScaled(w.x, r.eta*s2, r.z)
	r.op.MulVT(r.xc, w.x)
	r.op.MulVT(r.dc, r.d)
	r.op.MulVT(r.zc, r.z)
	level := s2 / a2
	for j := range w.r {
		x, d, z := r.xc.RawRowView(j), r.dc.RawRowView(j), r.zc.RawRowView(j)
		for i, noise := range r.noise {
			switch {
			case math.IsInf(noise, 1):
				x[i] = 0
			case level < noise:
				x[i] = a2*(d[i]+keepNoise*level*(r.y[i]-d[i])/noise+r.eta*level*z[i]) - x[i]
			default:
				sd := math.Sqrt(level*level - r.etaB*r.etaB*noise*noise)
				x[i] = a2*((1-r.etaB)*d[i]+r.etaB*r.y[i]+sd*z[i]) - x[i]
			}
		}
	}
	r.op.MulV(r.d, r.xc)
	addScaled(w.x, 1, r.d)
}

// Travel repeats each step of a solver: after it, the state is diffused back
// to the level before and steps again, Repeat times in all. That is the
// resampling of RePaint (Lugmayr et al. 2022), which replaces what is known as
// DDRM does for a mask and little noise, and the time travel of DDNM (Wang et
// al. 2023). It costs Repeat times the evaluations. The solver may
// not be one that remembers its last steps, as multistep methods do.
type Travel struct {
	Solver Solver
	Repeat int // 10 if 0, as in RePaint
}

func (t Travel) check(p *path) error {
	if t.Solver == nil {
		return errors.New("diffusion: Travel: Solver is nil")
	}
	if s, ok := t.Solver.(DPMSolver); ok && s.Order != 1 && !s.Single {
		return errors.New("diffusion: Travel: a multistep DPMSolver remembers its last steps")
	}
	if t.Repeat < 0 {
		return fmt.Errorf("diffusion: Travel: Repeat is %d", t.Repeat)
	}
	return t.Solver.check(p)
}

func (t Travel) levels() (Grid, bool) {
	if t.Solver == nil {
		return nil, true // check has the error
	}
	return t.Solver.levels()
}

func (t Travel) remedy() string { return t.Solver.remedy() }

func (t Travel) begin(w *walk) stepper {
	if t.Repeat == 0 {
		t.Repeat = 10
	}
	return &travel{t.Solver.begin(w), t.Repeat, w.scratch()}
}

type travel struct {
	s      stepper
	repeat int
	z      *mat.Dense
}

func (t *travel) step(w *walk) {
	for i := range t.repeat {
		if i > 0 {
			ratio := w.alpha[w.k] / w.alpha[w.k+1]
			s, s2 := w.sigma[w.k], w.sigma[w.k+1]
			w.noise(t.z)
			combine(w.x, ratio, w.x, math.Sqrt(math.Max(0, s*s-ratio*ratio*s2*s2)), t.z)
		}
		t.s.step(w)
	}
}
