package flow

import (
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/ode"
)

// potentialFlow is a trained flow along dx/dt = -∇ₓΦ, from x at t = 0 to z at
// t = 1.
type potentialFlow[T kernel.Float] struct {
	potential
	integration
	params  []T
	factors factors[T]
	pool    sync.Pool // of *path
}

func (f *potentialFlow[T]) prepare(p *nn.Params[T]) {
	f.params = p.Values
	f.factors.set(&f.potential, f.params)
}

// path integrates a block of rows. Its state is x or, if divergence, (x, l)
// with dl/dt = -tr ∇ₓ²Φ.
type path[T kernel.Float] struct {
	flow       *potentialFlow[T]
	divergence bool
	offsets    offsets[T]
	e          evaluation[T]
	v, state   []T
	batch      ode.Batch[T]
}

var _ ode.Field[float32] = (*path[float32])(nil)

func (f *potentialFlow[T]) path(c []T, rows int, divergence bool) *path[T] {
	p, ok := f.pool.Get().(*path[T])
	if !ok {
		p = &path[T]{flow: f}
	}
	p.divergence = divergence
	p.offsets.set(&f.factors, of(f.params, f.b0), c, rows)
	return p
}

// Rate is the velocity and, if wanted, minus the divergence of ∇ₓΦ.
func (p *path[T]) Rate(rate, t, state []T, rows int) {
	f := &p.flow.factors
	d, m := f.d, f.m
	n := len(state) / rows
	p.e.resize(&f.potential, rows, p.divergence)
	for i := range rows {
		copy(p.e.s[i*(d+1):i*(d+1)+d], state[i*n:])
		p.e.s[i*(d+1)+d] = t[i]
	}
	p.v = resize(p.v, rows*m)
	p.e.gradient(f, &p.offsets, p.v, rows)
	if p.divergence {
		p.e.hessian(f, p.v, rows)
	}
	for i := range rows {
		for j, g := range p.e.g[i*(d+1) : i*(d+1)+d] {
			rate[i*n+j] = -g
		}
		if p.divergence {
			row := i * m
			rate[i*n+d] = -(kernel.Dot(p.v[row:row+m], f.kappa) + kernel.Dot(p.e.rho[row:row+m], f.w) + f.trace)
		}
	}
}

// Swap exchanges the conditions of two rows.
func (p *path[T]) Swap(i, j int) { p.offsets.swap(&p.flow.factors, i, j) }

func (f *potentialFlow[T]) invert(_ *workspace[T], z, logDet, x, c []T) {
	p := f.path(c, len(logDet), true)
	defer f.pool.Put(p)
	p.state = withDivergence(f.integration, &p.batch, p, p.state, z, logDet, x)
}

func (f *potentialFlow[T]) generate(w *workspace[T], z, c []T) { f.between(w, z, c, 1, 0) }

func (f *potentialFlow[T]) between(_ *workspace[T], z, c []T, from, to float64) {
	p := f.path(c, len(z)/f.d, false)
	defer f.pool.Put(p)
	p.batch.Solve(p, z, f.d, from, to, settings[T](f.integration))
}
