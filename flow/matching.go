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
// et al. 2023, Tong et al. 2024): the velocity -∇ₓΦ of a potential like that
// of [COT] is regressed on the velocities of straight lines from the rows x to
// noise z,
//
//	E |∇ₓΦ((1-t)x + t z, t, c) + z - x|²,   t ~ U(0, 1),  z ~ N(0, I)
//
// No equation is integrated in training, whose steps are many times cheaper
// than those of COT, but more are needed, and the paths of the flow are curved
// unless Transport is set. Densities use the exact divergence. The curve of
// [Report] has the regression's loss.
//
// As for COT, g and its inverse are inverse up to the error of integration.
type Matching struct {
	// Width is the number of units of the network. If it is 0, it will be
	// defaulted to 128.
	Width int
	// Rank is the rank of the quadratic part of the potential. If it is 0, it
	// will be defaulted to 10 or, if less, the number of variables.
	Rank int
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
		count("Matching", "Rank", &a.Rank, min(10, dx+1+dc), 1),
		count("Matching", "EvalSteps", &a.EvalSteps, 32, 1),
		checkTolerance("Matching", a.Tolerance),
	)
	if !(a.Transport >= 0) || math.IsInf(a.Transport, 0) {
		err = errors.Join(err, fmt.Errorf("flow: Matching: Transport is %g, want a finite number of at least 0", a.Transport))
	}
	return a, err
}

func (Matching) training() training {
	return training{batch: 256, patience: 20, drops: 3, rate: 5e-3, clip: 5}
}

func (a Matching) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildMatching(p, a, dx, dc)
}

func (a Matching) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildMatching(p, a, dx, dc)
}

func buildMatching[T kernel.Float](p *nn.Params[T], a Matching, dx, dc int) network[T] {
	phi := newPotential(p, dx, dc, a.Width, a.Rank)
	return &matching[T]{
		potentialFlow: potentialFlow[T]{potential: phi, steps: a.EvalSteps, tolerance: a.Tolerance},
		transport:     a.Transport,
	}
}

type matching[T kernel.Float] struct {
	potentialFlow[T]
	transport float64
	runs      sync.Pool // of *matchingRun
}

var _ network[float32] = (*matching[float32])(nil)

// matchingRun is the memory of one block of rows, and the reverse of its loss.
type matchingRun[T kernel.Float] struct {
	owner   *matching[T]
	vars    potentialVars
	c       []T
	f       factors[T]
	offsets offsets[T]
	adj     adjoint[T]
	e       evaluation[T]
	v       []T // rows×m
	times   []T
	z, off  []T // rows×d: noise, and ∇ₓΦ + z - x
	gamma   []T // rows×(d+1)
	sbar    []T
	pairs   assignment
	cost    []float64
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
		r = &matchingRun[T]{owner: f}
	}
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
		c = r.pair(t, xs, c)
	}
	r.vars, r.c = varsOf(t, &f.potential, c), nil
	if c != 0 {
		r.c = t.Value(c)
	}
	v := &r.vars
	y := t.Record(r, rows, 1, v.k0, v.b0, v.k1, v.b1, v.w, v.a, v.b, v.c)
	params := t.Params()
	r.f.set(&f.potential, params, false)
	r.offsets.set(&r.f, of(params, f.b0), r.c, rows)
	r.e.resize(&f.potential, rows, false)
	r.v, r.off = resize(r.v, rows*f.m), resize(r.off, rows*d)
	for i := range rows {
		s, at := r.e.s[i*(d+1):(i+1)*(d+1)], r.times[i]
		for j, v := range xs[i*d : (i+1)*d] {
			s[j] = (1-at)*v + at*r.z[i*d+j]
		}
		s[d] = at
	}
	r.e.gradient(&r.f, &r.offsets, r.v, rows)
	dst := t.Value(y)
	for i := range rows {
		off := r.off[i*d : (i+1)*d]
		for j := range off {
			off[j] = r.e.g[i*(d+1)+j] + r.z[i*d+j] - xs[i*d+j]
		}
		dst[i] = kernel.SumSquares(off)
	}
	if !t.Recording() {
		f.runs.Put(r)
	}
	return y
}

// Backward is the adjoint of draw.
func (r *matchingRun[T]) Backward(t *autodiff.Tape[T], dy []T) {
	d, rows := r.f.d, len(dy)
	r.gamma, r.sbar = resize(r.gamma, rows*(d+1)), resize(r.sbar, rows*(d+1))
	r.adj.reset(&r.f, rows, false)
	for i, w := range dy {
		kernel.Scale(r.gamma[i*(d+1):i*(d+1)+d], 2*w, r.off[i*d:(i+1)*d])
		r.gamma[i*(d+1)+d] = 0
	}
	r.adj.add(&r.f, &r.e, r.sbar, r.gamma, 0)
	r.adj.finish(&r.f, t, &r.vars, r.c, 1)
	r.owner.runs.Put(r)
}

// pair puts the noise into the order of the rows that it is paired with, and
// returns the conditions on the way from c to those of the noise.
func (r *matchingRun[T]) pair(t *autodiff.Tape[T], x []T, c autodiff.Var) autodiff.Var {
	rows, d := len(r.times), r.owner.d
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
				r.owner.transport*square(x[i*d:(i+1)*d], r.z[j*d:(j+1)*d])
		}
	}
	to := r.pairs.solve(r.cost, rows)
	z := append(r.off[:0], r.z...)
	for i, j := range to {
		copy(r.z[i*d:(i+1)*d], z[j*d:(j+1)*d])
	}
	r.off = z
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
