package diffusion

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
)

// DPSStep is the sampler of the DPS paper (Chung et al. 2023, algorithm 1): an
// ancestral step of the prior, and then a step of length Zeta down the
// gradient of the norm of the residual,
//
//	x' ← x' - ζ ∇ ‖y - A(D(x_t))‖,
//
// for each draw by itself; the authors' program takes the norm over the whole
// batch, so that its step depends on the size of the batch. As the step does
// not know the noise of the data, ζ has to be tuned, and the result is not a
// sample of a posterior. The Score of the Reverse is the prior's, a [Score],
// and the operator of Lik any with a derivative.
type DPSStep struct {
	Lik  *likelihood.Gaussian
	Zeta float64 // 0.3 if 0, as the paper has it for deblurring
	Eta  float64 // of the ancestral step, see DDIM; 1 if 0
}

func (d DPSStep) check(p *path) error {
	if d.Lik == nil {
		return errors.New("diffusion: DPSStep: Lik is nil")
	}
	if _, ok := p.score.(Score); !ok {
		return fmt.Errorf("diffusion: DPSStep: the score %T is not a diffusion.Score; use NewScore", p.score)
	}
	if n := d.Lik.Dim(); n != p.n {
		return fmt.Errorf("diffusion: DPSStep: the likelihood has dimension %d, the score %d", n, p.n)
	}
	if !(d.Zeta >= 0) {
		return fmt.Errorf("diffusion: DPSStep: Zeta is %g, want a number that is not negative", d.Zeta)
	}
	if err := d.Lik.Differentiable(); err != nil {
		return fmt.Errorf("diffusion: DPSStep: %w", err)
	}
	return DDIM{d.Eta}.check(p)
}

func (DPSStep) levels() (Grid, bool) { return nil, true }
func (DPSStep) remedy() string       { return "take more steps, or lower Zeta" }

func (d DPSStep) begin(w *walk) stepper {
	if d.Zeta == 0 {
		d.Zeta = 0.3
	}
	if d.Eta == 0 {
		d.Eta = 1
	}
	lin, err := forward.Linearize(d.Lik.Operator())
	if err != nil {
		panic(err) // unreachable: Differentiable was asked
	}
	m, _ := d.Lik.Operator().Dims()
	return &dpsStep{
		ddim: ddim{d.Eta, w.scratch(), w.scratch()}, o: d, op: lin,
		p: newPoint(w.score.(Score)), r: mat.NewDense(w.r, m, nil), back: w.scratch(), pulled: w.scratch(),
	}
}

type dpsStep struct {
	ddim
	o               DPSStep
	op              inverse.Linearization
	p               *point
	r, back, pulled *mat.Dense
}

func (d *dpsStep) step(w *walk) {
	d.p.at(w.score.(Score), w.x, w.t[w.k])
	d.op.Apply(d.r, &d.p.mean)
	for i := range w.r {
		row := d.r.RawRowView(i)
		floats.SubTo(row, d.o.Lik.Data(), row)
		if norm := floats.Norm(row, 2); norm > 0 {
			floats.Scale(1/norm, row)
		}
	}
	d.op.VJP(d.back, d.r)
	d.p.pull(d.pulled, d.back)
	d.to(w, &d.p.mean)
	addScaled(w.x, d.o.Zeta, d.pulled)
}
