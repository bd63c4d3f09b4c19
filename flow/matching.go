package flow

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// Matching is a continuous flow trained by conditional flow matching (Lipman
// et al. 2023, Tong et al. 2024): the velocity of particles on their way from
// x at t = 0 to z at t = 1 is regressed on those of straight lines between
// rows x and noise z,
//
//	E |v((1-t)x + t z, t, c) - (z - x)|²,   t ~ U(0, 1),  z ~ N(0, I)
//
// No equation is integrated in training, whose steps are many times cheaper
// than those of COT, but more are needed, and the paths of the flow are curved
// unless Transport is set. A residual network F corrects the
// velocity that would be right if x were standard normal,
//
//	v(x, t, c) = ((2t - 1) x/s + F(x/s, t, c))/s,   s² = (1-t)² + t²
//
// and is regressed on ((1-t)z - t x)/s, which has the same scale at all times.
// The result are exponential averages of the weights. Densities use the exact
// divergence. The curve of [Report] has the regression's loss.
//
// As for COT, g and its inverse are inverse up to the error of integration.
type Matching struct {
	// Width is the number of units of the hidden layers. If it is 0, it will be
	// defaulted to 128.
	Width int
	// Blocks is the number of residual blocks of two layers. If it is 0, it
	// will be defaulted to 2.
	Blocks int
	// EvalSteps is the number of steps of the classical method of Runge and
	// Kutta in the trained flow. If it is 0, it will be defaulted to 32.
	EvalSteps int
	// Tolerance, if positive, is the error that each step of the trained flow
	// may make, as in COT.
	Tolerance float64
	// Transport, if positive, pairs rows (c, x) with noise (c', z), where the
	// c' are those of the rows of the block in which a worker handles a part of
	// a batch, so that the sum of |c - c'|² + Transport |x - z|² is the least
	// (Kerrigan et al. 2024), and c moves to c' along the line. A small value
	// makes the paths straighter. A large one pairs x and z whatever c is: the
	// flow then loses the condition. If it is 0, x and z are independent.
	Transport float64
}

var _ Architecture = Matching{}

func (Matching) kind() string { return "matching" }

func (a Matching) resolve(dx, dc int) (Architecture, error) {
	err := errors.Join(
		count("Matching", "Width", &a.Width, 128, 1),
		count("Matching", "Blocks", &a.Blocks, 2, 1),
		count("Matching", "EvalSteps", &a.EvalSteps, 32, 1),
		checkTolerance("Matching", a.Tolerance),
	)
	if !(a.Transport >= 0) || math.IsInf(a.Transport, 0) {
		err = errors.Join(err, fmt.Errorf("flow: Matching: Transport is %g, want a finite number of at least 0", a.Transport))
	}
	return a, err
}

func (Matching) training() training {
	return training{batch: 256, validEvery: 100, patience: 20, drops: 2, rate: 1e-3, clip: 5, ema: 0.999}
}

func (a Matching) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildMatching(p, a, dx, dc)
}

func (a Matching) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildMatching(p, a, dx, dc)
}

func buildMatching[T kernel.Float](p *nn.Params[T], a Matching, dx, dc int) network[T] {
	f := &matching[T]{field: newField(p, dx, dc, a.Width, a.Blocks), transport: a.Transport}
	f.paths = velocityPaths[T]{field: &f.field, velocity: lineVelocity[T]{}, integration: integration{a.EvalSteps, a.Tolerance}}
	return f
}

type matching[T kernel.Float] struct {
	field[T]
	paths     velocityPaths[T]
	transport float64
	runs      sync.Pool // of *matchingRun
}

var _ network[float32] = (*matching[float32])(nil)

// lineVelocity is the velocity of lines, v = ((2t - 1) x/s + F(x/s, t, c))/s.
type lineVelocity[T kernel.Float] struct{}

func (lineVelocity[T]) at(t T) (in, feature, skip, out T) {
	cos, sin := direction(t)
	in = cos + sin // 1/s, for (1-t) + t = 1
	return in, t, (sin - cos) * in, in
}

// direction returns (1-t)/s and t/s with s² = (1-t)² + t².
func direction[T kernel.Float](t T) (cos, sin T) {
	s := T(math.Sqrt(float64((1-t)*(1-t) + t*t)))
	return (1 - t) / s, t / s
}

func (f *matching[T]) prepare(p *nn.Params[T]) { f.paths.params = p.Values }

func (f *matching[T]) invert(_ *workspace[T], z, logDet, x, c []T) { f.paths.invert(z, logDet, x, c) }

func (f *matching[T]) generate(_ *workspace[T], z, c []T) { f.paths.between(z, c, 1, 0) }

func (f *matching[T]) between(_ *workspace[T], z, c []T, from, to float64) {
	f.paths.between(z, c, from, to)
}

// matchingRun is the memory of one block of rows.
type matchingRun[T kernel.Float] struct {
	times []T
	z, to []T // rows×d: noise, before and after it is paired
	pairs assignment
	cost  []float64
}

// validDraws is the number of draws of t and z for each row of validation,
// which are the same in all validations.
const validDraws = 8

func (f *matching[T]) loss(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var) autodiff.Var {
	if !b.Valid {
		return f.draw(t, b, x, c, 0)
	}
	sum := f.draw(t, b, x, c, 0)
	for k := 1; k < validDraws; k++ {
		sum = t.Add(sum, f.draw(t, b, x, c, float64(k)/validDraws))
	}
	return t.Scale(1./validDraws, sum)
}

// draw records the loss for one t and z for each row. The times of the rows
// are stratified, beginning at shift.
func (f *matching[T]) draw(t *autodiff.Tape[T], b *optim.Block, x, c autodiff.Var, shift float64) autodiff.Var {
	r, ok := f.runs.Get().(*matchingRun[T])
	if !ok {
		r = new(matchingRun[T])
	}
	defer f.runs.Put(r)
	rows, d := len(b.Rows), f.d
	r.z, r.times = resize(r.z, rows*d), resize(r.times, rows)
	rnd := rand.New(b.Src)
	for i := range r.z {
		r.z[i] = T(rnd.NormFloat64())
	}
	for i := range r.times {
		u := (float64(i)+rnd.Float64())/float64(rows) + shift
		r.times[i] = T(u - math.Floor(u))
	}
	xs := t.Value(x)
	if f.transport > 0 {
		c = f.pair(r, t, xs, c)
	}
	at, times, want := t.Input(rows, d), t.Input(rows, 1), t.Input(rows, d)
	copy(t.Value(times), r.times)
	for i, time := range r.times {
		cos, sin := direction(time)
		for j := i * d; j < (i+1)*d; j++ {
			t.Value(at)[j] = cos*xs[j] + sin*r.z[j]
			t.Value(want)[j] = cos*r.z[j] - sin*xs[j]
		}
	}
	return t.RowSums(t.Square(t.Sub(f.record(t, autodiff.Dual{Val: at}, times, c).Val, want)))
}

// pair puts the noise into the order of the rows that it is paired with, and
// returns the conditions on the way from c to those of the noise.
func (f *matching[T]) pair(r *matchingRun[T], t *autodiff.Tape[T], x []T, c autodiff.Var) autodiff.Var {
	rows, d := len(r.times), f.d
	r.cost = resize(r.cost, rows*rows)
	var cs []T
	dc := 0
	if c != 0 {
		cs = t.Value(c)
		dc = len(cs) / rows
	}
	square := func(a, b []T) (s float64) {
		for i, v := range a {
			s += float64(v-b[i]) * float64(v-b[i])
		}
		return s
	}
	for i := range rows {
		for j := range rows {
			r.cost[i*rows+j] = square(cs[i*dc:(i+1)*dc], cs[j*dc:(j+1)*dc]) +
				f.transport*square(x[i*d:(i+1)*d], r.z[j*d:(j+1)*d])
		}
	}
	to := r.pairs.solve(r.cost, rows)
	r.to = resize(r.to, rows*d)
	for i, j := range to {
		copy(r.to[i*d:(i+1)*d], r.z[j*d:(j+1)*d])
	}
	r.z, r.to = r.to, r.z
	if c == 0 {
		return 0
	}
	there, here := t.Input(rows, 1), t.Input(rows, 1)
	copy(t.Value(there), r.times)
	for i, at := range r.times {
		t.Value(here)[i] = 1 - at
	}
	return t.Add(t.Mul(c, here), t.Mul(t.GatherRows(c, to), there))
}
