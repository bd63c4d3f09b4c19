package flow

import (
	"errors"
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
	// Tolerance, if positive, is the error that each step of the trained flow
	// may make, as in COT.
	Tolerance float64
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
		checkTolerance("Diffusion", a.Tolerance),
	)
	if !(a.StdLog > 0) || math.IsInf(a.StdLog, 0) || math.IsNaN(a.MeanLog) || math.IsInf(a.MeanLog, 0) {
		err = errors.Join(err, errors.New("flow: Diffusion: MeanLog and StdLog are not finite, or StdLog is negative"))
	}
	return a, err
}

func (Diffusion) training() training {
	return training{batch: 256, validEvery: 100, patience: 10, drops: 1, rate: 1e-3, clip: 5, ema: 0.999}
}

func (a Diffusion) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildDiffusion(p, a, dx, dc)
}

func (a Diffusion) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildDiffusion(p, a, dx, dc)
}

func buildDiffusion[T kernel.Float](p *nn.Params[T], a Diffusion, dx, dc int) network[T] {
	f := &diffusion[T]{a: a, field: newField(p, dx, dc, a.Width, a.Blocks)}
	f.paths = velocityPaths[T]{field: &f.field, velocity: levelVelocity[T]{}, integration: integration{a.EvalSteps, a.Tolerance}}
	return f
}

type diffusion[T kernel.Float] struct {
	a Diffusion
	field[T]
	paths velocityPaths[T]
}

var (
	_ network[float32]    = (*diffusion[float32])(nil)
	_ continuous[float32] = (*diffusion[float32])(nil)
)

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
	point, target, feature := t.Input(rows, d), t.Input(rows, d), t.Input(rows, 1)
	xs, v, y := t.Value(x), t.Value(point), t.Value(target)
	for i := range rows {
		u := (float64(i)+rnd.Float64())/float64(rows) + shift
		u -= math.Floor(u)
		logLevel := f.a.MeanLog + f.a.StdLog*math.Sqrt2*math.Erfinv(math.Max(-1+1e-9, 2*u-1))
		t.Value(feature)[i] = T(levelScale * logLevel)
		sin, cos := math.Sincos(math.Atan(math.Exp(logLevel)))
		for k := i * d; k < (i+1)*d; k++ {
			z := rnd.NormFloat64()
			v[k] = T(cos*float64(xs[k]) + sin*z)
			y[k] = T(sin*float64(xs[k]) - cos*z)
		}
	}
	out := f.record(t, autodiff.Dual{Val: point}, feature, c).Val
	return t.Scale(1/T(d), t.RowSums(t.Square(t.Sub(out, target))))
}

func (f *diffusion[T]) prepare(p *nn.Params[T]) { f.paths.params = p.Values }

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

// levelScale is the factor of log σ in the network's input.
const levelScale = 0.25

// levelVelocity is dv/dt = -dφ/dt F(v, log σ, c).
type levelVelocity[T kernel.Float] struct{}

func (levelVelocity[T]) at(t T) (in, feature, skip, out T) {
	level, speed := levelAt(float64(t))
	return 1, T(levelScale * math.Log(level)), 0, T(-speed)
}

// shrink is cos φ at the least noise level, where x = v/shrink.
var shrink = 1 / math.Sqrt(1+leastLevel*leastLevel)

func (f *diffusion[T]) invert(_ *workspace[T], z, logDet, x, c []T) {
	kernel.Scale(z, T(shrink), x)
	f.paths.invert(z, logDet, z, c)
	for i := range logDet {
		logDet[i] += T(float64(f.d) * math.Log(shrink))
	}
}

func (f *diffusion[T]) generate(w *workspace[T], z, c []T) { f.between(w, z, c, 1, 0) }

// between has time 1 for noise and 0 for x.
func (f *diffusion[T]) between(_ *workspace[T], z, c []T, from, to float64) {
	if from == 0 {
		kernel.Scale(z, T(shrink), z)
	}
	f.paths.between(z, c, from, to)
	if to == 0 {
		kernel.Scale(z, T(1/shrink), z)
	}
}
