package flow

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// COT is the conditional optimal transport flow (Wang et al. 2023), without
// conditions OT-Flow (Onken et al. 2021). Particles x move to z along
//
//	dx/dt = -∇ₓΦ(x, t, c),   t from 0 to 1
//
// with a potential Φ that is a residual network plus a quadratic function.
// The weights minimise the mean over the training rows of
//
//	-log q(x|c) + α ∫ |∇ₓΦ|²/2 dt + β ∫ |∂ₜΦ - |∇ₓΦ|²/2| dt
//
// The second term is the cost of the transport, the third how far Φ is from
// the Hamilton-Jacobi-Bellman equation of that cost. Both make the paths
// straight, so that few steps integrate them. Log determinants use the exact
// divergence. The curve of [Report] has this sum for training and only its
// first term for validation.
//
// g and its inverse are the same equation in either direction, and so inverse
// to each other up to the error of its integration, which [InverseError]
// measures. Where the integration fails, draws are NaN and densities zero.
type COT struct {
	// Width is the number of units of the network. If it is 0, it will be
	// defaulted to 64.
	Width int
	// Rank is the rank of the quadratic part. If it is 0, it will be defaulted
	// to 10 or, if less, the number of variables of Φ.
	Rank int
	// Alpha is the weight α. If it is 0, it will be defaulted to 0.05; if it is
	// negative, the term is left out. The cost pulls the flow towards the
	// identity: of a Gaussian whose standard deviation is q, in standardised
	// units, it makes one of about q(1 + α(1 - q)/(2 + α)).
	Alpha float64
	// Beta is the weight β. If it is 0, it will be defaulted to 1; if it is
	// negative, the term is left out.
	Beta float64
	// Steps is the number of steps of the classical method of Runge and Kutta
	// in training. If it is 0, it will be defaulted to 8.
	Steps int
	// EvalSteps is the number of these steps in validation and in the trained
	// flow. If it is 0, it will be defaulted to 32.
	EvalSteps int
	// Tolerance, if positive, is the relative and absolute error that each
	// step of the trained flow may make; the steps are then those of the
	// method of Dormand and Prince, chosen for each row, and EvalSteps is for
	// validation only. In float32 it is taken to be at least 1e-5.
	Tolerance float64

	wrongSign bool // of the HJB term, for comparison
}

var _ Architecture = COT{}

func (COT) kind() string { return "cot" }

func (a COT) resolve(dx, dc int) (Architecture, error) {
	return a, errors.Join(
		count("COT", "Width", &a.Width, 64, 1),
		count("COT", "Rank", &a.Rank, min(10, dx+1+dc), 1),
		weight("COT", "Alpha", &a.Alpha, 0.05),
		weight("COT", "Beta", &a.Beta, 1),
		count("COT", "Steps", &a.Steps, 8, 1),
		count("COT", "EvalSteps", &a.EvalSteps, 32, 1),
		checkTolerance("COT", a.Tolerance),
	)
}

// weight sets *v to its default if it is 0, and to -1 if it is negative.
func weight(owner, name string, v *float64, to float64) error {
	switch {
	case math.IsNaN(*v) || math.IsInf(*v, 0):
		return fmt.Errorf("flow: %s: %s is %g, want a finite number", owner, name, *v)
	case *v == 0:
		*v = to
	case *v < 0:
		*v = -1
	}
	return nil
}

func checkTolerance(owner string, tol float64) error {
	if !(tol >= 0 && tol < 1) {
		return fmt.Errorf("flow: %s: Tolerance is %g, want at least 0 and below 1", owner, tol)
	}
	return nil
}

func (COT) training() training {
	return training{batch: 64, validEvery: 20, patience: 20, drops: 3, rate: 5e-3}
}

func (a COT) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildCOT(p, a, dx, dc)
}
func (a COT) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildCOT(p, a, dx, dc)
}

func buildCOT[T kernel.Float](p *nn.Params[T], a COT, dx, dc int) network[T] {
	phi := newPotential(p, dx, dc, a.Width, a.Rank)
	return &cot[T]{
		potentialFlow: potentialFlow[T]{potential: phi, integration: integration{a.EvalSteps, a.Tolerance}},
		training: transport[T]{
			potential: phi, steps: a.Steps, validSteps: a.EvalSteps,
			alpha: max(a.Alpha, 0), beta: max(a.Beta, 0), wrongSign: a.wrongSign,
		},
	}
}

type cot[T kernel.Float] struct {
	potentialFlow[T]
	training transport[T]
}

var (
	_ network[float32]   = (*cot[float32])(nil)
	_ projector[float32] = (*cot[float32])(nil)
)

func (f *cot[T]) loss(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var) autodiff.Var {
	return f.training.record(t, x, c, b.Valid)
}

// maxWeight bounds the weights of a potential, as in the authors' program.
const maxWeight = 1.5

func (f *cot[T]) project(weights []T) {
	for _, p := range f.potential.params() {
		w := of(weights, p)
		for i, v := range w {
			w[i] = min(max(v, -maxWeight), maxWeight)
		}
	}
}
