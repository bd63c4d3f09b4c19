package diffusion

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/prior"
)

// Score is the score of a diffused density that knows its schedule: what
// guidances and samplers are made from. [Diffuse] makes one from a prior in
// closed form, [Train] from data, [NewScore] from any inverse.ScoreFunc.
type Score interface {
	inverse.ScoreLinearizer
	// Schedule returns what t means.
	Schedule() Schedule
	// Denoise sets the rows of dst to the denoised means E[x₀|x_t] at the
	// rows of x, which are (x + σ²∇ log p_t)/α (Tweedie's formula).
	Denoise(dst, x *mat.Dense, t float64)
}

// Diffused is the exact score of a prior that can be diffused in closed form.
type Diffused struct {
	prior    prior.Diffusible
	schedule Schedule
}

var _ Score = (*Diffused)(nil)

// Diffuse returns the score of p under a schedule. For an exact posterior,
// such as a posterior.Mixture, it is the posterior score.
func Diffuse(p prior.Diffusible, s Schedule) (*Diffused, error) {
	if p == nil {
		return nil, errors.New("diffusion: the prior is nil")
	}
	if err := checkSchedule(s); err != nil {
		return nil, err
	}
	return &Diffused{p, s}, nil
}

// Dim returns the dimension n.
func (d *Diffused) Dim() int { return d.prior.Dim() }

// Schedule returns the schedule.
func (d *Diffused) Schedule() Schedule { return d.schedule }

// Score sets the rows of dst to ∇ log p_t.
func (d *Diffused) Score(dst, x *mat.Dense, t float64) {
	alpha, sigma := d.schedule.At(t)
	d.prior.DiffusedScore(dst, x, alpha, sigma)
}

// Denoise sets the rows of dst to E[x₀|x_t].
func (d *Diffused) Denoise(dst, x *mat.Dense, t float64) {
	alpha, sigma := d.schedule.At(t)
	d.prior.Denoise(dst, x, alpha, sigma)
}

// LogProb sets dst[i] to log p_t at row i of x.
func (d *Diffused) LogProb(dst []float64, x *mat.Dense, t float64) {
	alpha, sigma := d.schedule.At(t)
	d.prior.DiffusedLogProb(dst, x, alpha, sigma)
}

// LinearizeScore returns a workspace with the exact Hessian of log p_t.
func (d *Diffused) LinearizeScore() inverse.ScoreLinearization {
	if p, ok := d.prior.(prior.DiffusedLinearizer); ok {
		return &linearizedAt{d.schedule, p.LinearizeDiffused()}
	}
	return &diffusedAt{Diffused: d}
}

type linearizedAt struct {
	schedule Schedule
	prior.DiffusedLinearization
}

func (l *linearizedAt) Score(dst, x *mat.Dense, t float64) {
	alpha, sigma := l.schedule.At(t)
	l.DiffusedLinearization.Score(dst, x, alpha, sigma)
}

type diffusedAt struct {
	*Diffused
	x            mat.Dense
	alpha, sigma float64
}

func (l *diffusedAt) Score(dst, x *mat.Dense, t float64) {
	keep(&l.x, x)
	l.alpha, l.sigma = l.schedule.At(t)
	l.prior.DiffusedScore(dst, x, l.alpha, l.sigma)
}

func (l *diffusedAt) VJP(dst, v *mat.Dense) { l.prior.DiffusedVJP(dst, &l.x, v, l.alpha, l.sigma) }

// NewScore joins a ScoreFunc with its schedule. Its Denoise and Hessian are
// f's own where f has a Denoise method as in [Score] or is an
// inverse.ScoreLinearizer. Otherwise the denoised mean is Tweedie's, and the
// Hessian, which is symmetric, is applied by a central difference of the
// score along the direction: it costs two evaluations of the score for each
// product and has about nine correct digits if f is computed in float64, and
// few if f is computed in float32.
func NewScore(f inverse.ScoreFunc, s Schedule) (Score, error) {
	if f == nil {
		return nil, errors.New("diffusion: the score is nil")
	}
	if n := f.Dim(); n <= 0 {
		return nil, fmt.Errorf("diffusion: the score has dimension %d", n)
	}
	if err := checkSchedule(s); err != nil {
		return nil, err
	}
	return &userScore{ScoreFunc: f, schedule: s}, nil
}

type userScore struct {
	inverse.ScoreFunc
	schedule Schedule
}

func (u *userScore) Schedule() Schedule { return u.schedule }

func (u *userScore) Denoise(dst, x *mat.Dense, t float64) {
	if d, ok := u.ScoreFunc.(denoiser); ok {
		d.Denoise(dst, x, t)
		return
	}
	u.Score(dst, x, t)
	alpha, sigma := u.schedule.At(t)
	tweedie(dst, x, dst, alpha, sigma)
}

func (u *userScore) LinearizeScore() inverse.ScoreLinearization {
	if l, ok := u.ScoreFunc.(inverse.ScoreLinearizer); ok {
		return l.LinearizeScore()
	}
	return &differences{userScore: u}
}

// denoiser is a score with a Denoise method of its own.
type denoiser interface {
	Denoise(dst, x *mat.Dense, t float64)
}

// tweedie sets dst to (x + σ²s)/α; dst may be x or s.
func tweedie(dst, x, s *mat.Dense, alpha, sigma float64) {
	combine(dst, 1/alpha, x, sigma*sigma/alpha, s)
}

// differences applies the Hessian of log p_t by central differences.
type differences struct {
	*userScore
	x, shifted, minus mat.Dense
	steps             []float64
	t, sigma          float64
}

func (l *differences) Score(dst, x *mat.Dense, t float64) {
	keep(&l.x, x)
	_, l.sigma = l.schedule.At(t)
	l.t = t
	l.userScore.Score(dst, x, t)
}

// VJP sets dst to (s(x + hu) - s(x - hu)) ‖v‖/2h for u = v/‖v‖. As p_t is
// smooth on the scale of σ, so is h, unless x is too large for that.
func (l *differences) VJP(dst, v *mat.Dense) {
	const relative = 6e-6 // cube root of the machine epsilon
	r, n := v.Dims()
	resize(&l.shifted, r, n)
	resize(&l.minus, r, n)
	if len(l.steps) < r {
		l.steps = make([]float64, r)
	}
	for i := range r {
		h := 0.0
		if norm := floats.Norm(v.RawRowView(i), 2); norm > 0 {
			rms := floats.Norm(l.x.RawRowView(i), 2) / math.Sqrt(float64(n))
			h = relative * math.Max(l.sigma, 1e-3*rms) / norm
		}
		l.steps[i] = h
	}
	l.shift(v, -1)
	l.userScore.Score(&l.minus, &l.shifted, l.t)
	l.shift(v, 1)
	l.userScore.Score(dst, &l.shifted, l.t)
	for i := range r {
		row := dst.RawRowView(i)
		if l.steps[i] == 0 {
			clear(row)
			continue
		}
		floats.Sub(row, l.minus.RawRowView(i))
		floats.Scale(0.5/l.steps[i], row)
	}
}

func (l *differences) shift(v *mat.Dense, sign float64) {
	r, _ := v.Dims()
	for i := range r {
		floats.AddScaledTo(l.shifted.RawRowView(i), l.x.RawRowView(i), sign*l.steps[i], v.RawRowView(i))
	}
}

// resize makes d an r×n matrix of unspecified content on its own memory.
func resize(d *mat.Dense, r, n int) *mat.Dense {
	raw := d.RawMatrix()
	if raw.Rows == r && raw.Cols == n {
		return d
	}
	data := raw.Data
	if cap(data) < r*n {
		data = make([]float64, r*n)
	}
	d.SetRawMatrix(blas64.General{Rows: r, Cols: n, Stride: n, Data: data[:r*n]})
	return d
}

// keep makes d a copy of x.
func keep(d, x *mat.Dense) {
	r, n := x.Dims()
	resize(d, r, n).Copy(x)
}

// combine sets dst to ax + by; dst may be x or y.
func combine(dst *mat.Dense, a float64, x *mat.Dense, b float64, y *mat.Dense) {
	to, v, w := dst.RawMatrix(), x.RawMatrix(), y.RawMatrix()
	if to.Stride == to.Cols && v.Stride == to.Cols && w.Stride == to.Cols {
		n := to.Rows * to.Cols
		combineRow(to.Data[:n], a, v.Data[:n], b, w.Data[:n])
		return
	}
	for i := range to.Rows {
		combineRow(dst.RawRowView(i), a, x.RawRowView(i), b, y.RawRowView(i))
	}
}

func combineRow(dst []float64, a float64, x []float64, b float64, y []float64) {
	switch {
	case len(dst) == 0:
	case &x[0] == &y[0]:
		kernel.Scale(dst, a+b, x)
	case a == 1 && &dst[0] == &x[0]:
		kernel.Axpy(dst, b, y)
	default:
		kernel.Combine(dst, a, x, b, y)
	}
}

// addScaled adds ax to dst.
func addScaled(dst *mat.Dense, a float64, x *mat.Dense) { combine(dst, 1, dst, a, x) }
