package diffusion

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
)

// REDDiff is regularisation by denoising diffusion (Mardani et al. 2024): at
// each level of noise, Adam takes a step on μ along
//
//	J(μ)ᵀ(A(μ) - y) + λ (σ/α) (ε(αμ + σe) - e),  e ~ N(0, I),
//
// where ε(x) = (x - αD(x))/σ. It seeks a mode: each draw is a point estimate
// from another start, and their spread is not that of the posterior. The Score
// of the Reverse is the prior's; no derivative of it is needed, and the operator
// is any with a derivative. Take a few hundred steps or more.
type REDDiff struct {
	Lik    *likelihood.Gaussian
	Rate   float64 // of Adam, 0.1 if 0
	Lambda float64 // 0.25 if 0
}

func (d REDDiff) check(p *path) error {
	if d.Lik == nil {
		return errors.New("diffusion: REDDiff: Lik is nil")
	}
	if n := d.Lik.Dim(); n != p.n {
		return fmt.Errorf("diffusion: REDDiff: the likelihood has dimension %d, the score %d", n, p.n)
	}
	if !(d.Rate >= 0 && d.Lambda >= 0) {
		return fmt.Errorf("diffusion: REDDiff: Rate is %g and Lambda %g, want numbers that are not negative", d.Rate, d.Lambda)
	}
	if m, _ := d.Lik.Operator().Dims(); m != len(d.Lik.Data()) {
		return fmt.Errorf("diffusion: REDDiff: the likelihood has %d data for %d outputs of the operator", len(d.Lik.Data()), m)
	}
	if err := d.Lik.Differentiable(); err != nil {
		return fmt.Errorf("diffusion: REDDiff: %w", err)
	}
	return nil
}

func (REDDiff) levels() (Grid, bool) { return nil, true }
func (REDDiff) remedy() string       { return "lower Rate" }

func (d REDDiff) begin(w *walk) stepper {
	if d.Rate == 0 {
		d.Rate = 0.1
	}
	if d.Lambda == 0 {
		d.Lambda = 0.25
	}
	op, err := forward.Linearize(d.Lik.Operator())
	if err != nil {
		panic(err) // unreachable: Differentiable was asked
	}
	return &redDiff{
		o: d, op: op, r: mat.NewDense(w.r, len(d.Lik.Data()), nil),
		grad: w.scratch(), e: w.scratch(), x: w.scratch(), d: w.scratch(), m: w.scratch(), v: w.scratch(),
	}
}

type redDiff struct {
	o            REDDiff
	op           inverse.Linearization
	r, grad      *mat.Dense
	e, x, d      *mat.Dense
	m, v         *mat.Dense // moments of Adam
	beta1, beta2 float64    // powers of its constants
}

func (s *redDiff) step(w *walk) {
	a, sd := w.alpha[w.k], w.sigma[w.k]
	s.op.Apply(s.r, w.x)
	for i := range w.r {
		floats.Sub(s.r.RawRowView(i), s.o.Lik.Data())
	}
	s.op.VJP(s.grad, s.r)
	w.noise(s.e)
	combine(s.x, a, w.x, sd, s.e)
	w.denoise(s.d, s.x, w.t[w.k])
	// λ (σ/α)(ε - e) = λ (μ - D), since ε = (αμ + σe - αD)/σ.
	addScaled(s.grad, s.o.Lambda, w.x)
	addScaled(s.grad, -s.o.Lambda, s.d)

	const beta1, beta2 = 0.9, 0.99
	if w.k == 0 {
		s.beta1, s.beta2 = 1, 1
	}
	s.beta1, s.beta2 = s.beta1*beta1, s.beta2*beta2
	for i := range w.r {
		x, g, m, v := w.x.RawRowView(i), s.grad.RawRowView(i), s.m.RawRowView(i), s.v.RawRowView(i)
		for j, u := range g {
			m[j] = beta1*m[j] + (1-beta1)*u
			v[j] = beta2*v[j] + (1-beta2)*u*u
			x[j] -= s.o.Rate * m[j] / (1 - s.beta1) / (math.Sqrt(v[j]/(1-s.beta2)) + 1e-8)
		}
	}
}
