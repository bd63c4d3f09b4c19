package flow

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// Diffusion is a continuous flow whose velocity is learned by denoising score
// matching (Vincent 2011), with the preconditioning of Karras et al. (2022): of
// x and noise z ~ N(0, I), the point
//
//	v = cos φ x + sin φ z,  tan φ = σ,
//
// has unit variance at every noise level σ, and a residual network F learns
//
//	E |F(v, φ, c) - (sin φ x - cos φ z)|²,  log σ ~ N(MeanLog, StdLog²).
//
// Draws follow the probability flow dv/dφ = -F from noise to x (Song et al.
// 2021), and densities integrate its exact divergence. As a posterior it is
// that of neural posterior score estimation. The curve of [Report] has the
// regression's loss, a number for each variable.
//
// As for COT, g and its inverse are inverse up to the error of integration; x
// is blurred by a thousandth of its standard deviation.
type Diffusion struct {
	// Width is the number of units of the hidden layers. If it is 0, it will be
	// defaulted to 128.
	Width int
	// Blocks is the number of residual blocks of two layers. If it is 0, it
	// will be defaulted to 3.
	Blocks int
	// MeanLog and StdLog are of log σ in training. If StdLog is 0, they will be
	// defaulted to -1.2 and 1.8.
	MeanLog, StdLog float64
	// EvalSteps is the number of steps of the classical method of Runge and
	// Kutta in the trained flow. If it is 0, it will be defaulted to 16.
	EvalSteps int
}

var _ Architecture = Diffusion{}

func (Diffusion) kind() string { return "diffusion" }

func (a Diffusion) resolve(dx, dc int) (Architecture, error) {
	if a.StdLog == 0 {
		a.MeanLog, a.StdLog = -1.2, 1.8
	}
	err := errors.Join(
		count("Diffusion", "Width", &a.Width, 128, 1),
		count("Diffusion", "Blocks", &a.Blocks, 3, 1),
		count("Diffusion", "EvalSteps", &a.EvalSteps, 16, 1),
	)
	if !(a.StdLog > 0) || math.IsInf(a.StdLog, 0) || math.IsNaN(a.MeanLog) || math.IsInf(a.MeanLog, 0) {
		err = errors.Join(err, errors.New("flow: Diffusion: MeanLog and StdLog are not finite, or StdLog is negative"))
	}
	return a, err
}

func (Diffusion) training() training {
	return training{batch: 256, validEvery: 100, patience: 20, drops: 2, rate: 1e-3, clip: 5, ema: 0.999}
}

func (a Diffusion) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildDiffusion(p, a, dx, dc)
}

func (a Diffusion) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildDiffusion(p, a, dx, dc)
}

type diffusion[T kernel.Float] struct {
	a       Diffusion
	d, dc   int
	fourier *nn.Fourier[T]
	state   *nn.Linear[T] // of v
	given   *nn.Linear[T] // of the noise level and the context
	up      []*nn.Linear[T]
	down    []*nn.Linear[T]
	last    *nn.Linear[T]
}

var (
	_ network[float32]    = (*diffusion[float32])(nil)
	_ continuous[float32] = (*diffusion[float32])(nil)
)

// levelFeatures is the number of features of the noise level.
const levelFeatures = 16

func buildDiffusion[T kernel.Float](p *nn.Params[T], a Diffusion, dx, dc int) network[T] {
	f := &diffusion[T]{a: a, d: dx, dc: dc, fourier: nn.NewFourier[T](levelFeatures, 0.5, 32)}
	f.state = nn.NewLinear(p, "state", dx, a.Width, kernel.Identity)
	f.given = nn.NewLinear(p, "given", levelFeatures+dc, a.Width, kernel.Identity)
	for i := range a.Blocks {
		name := fmt.Sprintf("blocks.%d", i)
		f.up = append(f.up, nn.NewLinear(p, name+".up", a.Width, a.Width, kernel.SiLU))
		f.down = append(f.down, nn.NewLinear(p, name+".down", a.Width, a.Width, kernel.Identity))
	}
	f.last = nn.NewZeroLinear(p, "last", a.Width, dx, kernel.Identity)
	return f
}

// field records F for points v, the logarithms of their noise levels (r×1) and
// contexts.
func (f *diffusion[T]) field(t *autodiff.Tape[T], v autodiff.Dual, logLevel, c autodiff.Var) autodiff.Dual {
	given := f.fourier.Forward(t, t.Scale(0.25, logLevel))
	if c != 0 {
		given = t.ConcatCols(given, c)
	}
	h := t.AddDual(f.state.ForwardDual(t, v), autodiff.Dual{Val: f.given.Forward(t, given)})
	for i := range f.up {
		u := f.up[i].ForwardDual(t, t.ActivateDual(kernel.SiLU, h))
		h = t.AddDual(h, f.down[i].ForwardDual(t, u))
	}
	return f.last.ForwardDual(t, t.ActivateDual(kernel.SiLU, h))
}

func (f *diffusion[T]) loss(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var) autodiff.Var {
	if !b.Valid {
		return f.draw(t, b, x, c, 0)
	}
	sum := f.draw(t, b, x, c, 0)
	for k := 1; k < validDraws; k++ {
		sum = t.Add(sum, f.draw(t, b, x, c, float64(k)/validDraws))
	}
	return t.Scale(1./validDraws, sum)
}

// draw records the loss for one noise level and z for each row. The levels of
// the rows are stratified, beginning at shift.
func (f *diffusion[T]) draw(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var, shift float64) autodiff.Var {
	rows, d := len(b.Rows), f.d
	rnd := rand.New(b.Src)
	point, target, level := t.Input(rows, d), t.Input(rows, d), t.Input(rows, 1)
	xs, v, y := t.Value(x), t.Value(point), t.Value(target)
	for i := range rows {
		u := (float64(i)+rnd.Float64())/float64(rows) + shift
		u -= math.Floor(u)
		logLevel := f.a.MeanLog + f.a.StdLog*math.Sqrt2*math.Erfinv(math.Max(-1+1e-9, 2*u-1))
		t.Value(level)[i] = T(logLevel)
		sin, cos := math.Sincos(math.Atan(math.Exp(logLevel)))
		for k := i * d; k < (i+1)*d; k++ {
			z := rnd.NormFloat64()
			v[k] = T(cos*float64(xs[k]) + sin*z)
			y[k] = T(sin*float64(xs[k]) - cos*z)
		}
	}
	out := f.field(t, autodiff.Dual{Val: point}, level, c).Val
	return t.Scale(1/T(d), t.RowSums(t.Square(t.Sub(out, target))))
}

func (f *diffusion[T]) prepare(*nn.Params[T]) {}

// The noise levels that a flow begins and ends at, and the power of σ that its
// steps are equal in (Karras et al. 2022, eq. 5).
const (
	leastLevel    = 1e-3
	greatestLevel = 80
	levelPower    = 7
)

// levelAt returns σ at time 0 ≤ t ≤ 1, and dφ/dt.
func levelAt(t float64) (level, speed float64) {
	lo, hi := math.Pow(leastLevel, 1./levelPower), math.Pow(greatestLevel, 1./levelPower)
	s := lo + (hi-lo)*t
	level = math.Pow(s, levelPower)
	return level, (hi - lo) * levelPower * math.Pow(s, levelPower-1) / (1 + level*level)
}

// rate sets dv to dv/dt, and divergence, unless it is nil, to its divergence.
func (f *diffusion[T]) rate(w *workspace[T], dv, divergence, v, c []T, time float64) {
	t, rows := w.begin(), len(v)/f.d
	level, speed := levelAt(time)
	at := autodiff.Dual{Val: w.input(v, rows)}
	if divergence != nil {
		at = t.Seed(at.Val, 0, f.d)
	}
	out := f.field(t, at, t.Fill(rows, 1, T(math.Log(level))), w.input(c, rows))
	kernel.Scale(dv, -T(speed), t.Value(out.Val))
	if divergence != nil {
		kernel.Scale(divergence, -T(speed), t.Value(t.Trace(out)))
	}
}

// integrate replaces v by its place at time to, from that at time from, and
// adds the integral of the divergence to logDet unless that is nil.
func (f *diffusion[T]) integrate(w *workspace[T], v, logDet, c []T, from, to float64, steps int) {
	n, rows := len(v), len(v)/f.d
	mid, total := make([]T, n), make([]T, n)
	dv := make([]T, n)
	var div, sum []T
	if logDet != nil {
		div, sum = make([]T, rows), make([]T, rows)
	}
	h := (to - from) / float64(steps)
	for k := range steps {
		start := from + float64(k)*h
		clear(total)
		clear(sum)
		copy(mid, v)
		for s, stage := range [4]struct{ at, next, weight float64 }{{0, 0.5, 1. / 6}, {0.5, 0.5, 1. / 3}, {0.5, 1, 1. / 3}, {1, 0, 1. / 6}} {
			f.rate(w, dv, div, mid, c, start+stage.at*h)
			kernel.Axpy(total, T(stage.weight*h), dv)
			if div != nil {
				kernel.Axpy(sum, T(stage.weight*h), div)
			}
			if s < 3 {
				copy(mid, v)
				kernel.Axpy(mid, T(stage.next*h), dv)
			}
		}
		kernel.Add(v, v, total)
		if logDet != nil {
			kernel.Add(logDet, logDet, sum)
		}
	}
}

// shrink is cos φ at the least noise level, where x = v/shrink.
var shrink = 1 / math.Sqrt(1+leastLevel*leastLevel)

func (f *diffusion[T]) invert(w *workspace[T], z, logDet, x, c []T) {
	kernel.Scale(z, T(shrink), x)
	for i := range logDet {
		logDet[i] = T(float64(f.d) * math.Log(shrink))
	}
	f.integrate(w, z, logDet, c, 0, 1, f.a.EvalSteps)
	for i, l := range logDet {
		if l != l {
			logDet[i] = T(math.Inf(-1))
		}
	}
}

func (f *diffusion[T]) generate(w *workspace[T], z, c []T) {
	f.integrate(w, z, nil, c, 1, 0, f.a.EvalSteps)
	kernel.Scale(z, T(1/shrink), z)
}

// between has time 1 for noise and 0 for x.
func (f *diffusion[T]) between(w *workspace[T], z, c []T, from, to float64) {
	if from == 0 {
		kernel.Scale(z, T(shrink), z)
	}
	steps := max(1, int(math.Ceil(math.Abs(to-from)*float64(f.a.EvalSteps))))
	f.integrate(w, z, nil, c, from, to, steps)
	if to == 0 {
		kernel.Scale(z, T(1/shrink), z)
	}
}
