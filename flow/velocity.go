package flow

import (
	"sync"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/ode"
)

// velocity says how the velocity dx/dt of particles on their way from x at
// t = 0 to z at t = 1 follows from a field.
type velocity[T kernel.Float] interface {
	// at returns the factors in dx/dt = skip x + out F(in x, feature, c).
	at(t T) (in, feature, skip, out T)
}

// velocityPaths are the paths of a trained field's particles.
type velocityPaths[T kernel.Float] struct {
	field    *field[T]
	velocity velocity[T]
	integration
	params []T
	pool   sync.Pool // of *velocityPath
}

// velocityPath integrates a block of rows. Its state is x or, if divergence,
// (x, l), where dl/dt is the divergence of the velocity.
type velocityPath[T kernel.Float] struct {
	paths      *velocityPaths[T]
	divergence bool
	tape       autodiff.Tape[T]
	c, state   []T
	batch      ode.Batch[T]
}

var _ ode.Field[float32] = (*velocityPath[float32])(nil)

func (f *velocityPaths[T]) path(c []T, divergence bool) *velocityPath[T] {
	p, ok := f.pool.Get().(*velocityPath[T])
	if !ok {
		p = &velocityPath[T]{paths: f}
	}
	p.divergence = divergence
	p.c = append(p.c[:0], c...)
	return p
}

// Rate is the velocity and, if wanted, its divergence.
func (p *velocityPath[T]) Rate(rate, times, state []T, rows int) {
	f, t := p.paths.field, &p.tape
	d, n := f.d, len(state)/rows
	t.Reset(p.paths.params, nil)
	x, features, c := t.Input(rows, d), t.Input(rows, 1), autodiff.Var(0)
	for i := range rows {
		in, feature, _, _ := p.paths.velocity.at(times[i])
		kernel.Scale(t.Value(x)[i*d:(i+1)*d], in, state[i*n:i*n+d])
		t.Value(features)[i] = feature
	}
	if f.dc > 0 {
		c = t.Input(rows, f.dc)
		copy(t.Value(c), p.c)
	}
	at := autodiff.Dual{Val: x}
	if p.divergence {
		at = t.Seed(x, 0, d)
	}
	out := f.record(t, at, features, c)
	v := t.Value(out.Val)
	var trace []T
	if p.divergence {
		trace = t.Value(t.Trace(out))
	}
	for i := range rows {
		in, _, skip, out := p.paths.velocity.at(times[i])
		for j, u := range state[i*n : i*n+d] {
			rate[i*n+j] = skip*u + out*v[i*d+j]
		}
		if p.divergence {
			rate[i*n+d] = T(d)*skip + out*in*trace[i]
		}
	}
}

// Swap exchanges the conditions of two rows.
func (p *velocityPath[T]) Swap(i, j int) { swapRows(p.c, p.paths.field.dc, i, j) }

// invert sets z to where the rows of x are at t = 1, and logDet to the logs of
// the determinants of that map.
func (f *velocityPaths[T]) invert(z, logDet, x, c []T) {
	p := f.path(c, true)
	defer f.pool.Put(p)
	p.state = withDivergence(f.integration, &p.batch, p, p.state, z, logDet, x)
}

// between replaces the rows of z by where they are at time to.
func (f *velocityPaths[T]) between(z, c []T, from, to float64) {
	p := f.path(c, false)
	defer f.pool.Put(p)
	p.batch.Solve(p, z, f.field.d, from, to, settings[T](f.integration))
}
