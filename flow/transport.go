package flow

import (
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// transport is the training loss of OT-Flow and COT-Flow and its derivative,
// discretised first and then optimised. A row is integrated by the classical
// method of Runge and Kutta from (x, 0, 0, 0) at t = 0 to 1:
//
//	dx/dt = -∇ₓΦ    dl/dt = -tr ∇ₓ²Φ    dv/dt = |∇ₓΦ|²/2    dr/dt = |∂ₜΦ - |∇ₓΦ|²/2|
//
// and its loss is J = C + α v(1) + β r(1) with C = -log N(x(1); 0, I) - l(1).
// The sign in r is that of the Hamilton-Jacobi-Bellman equation of the
// velocity -∇ₓΦ: where r vanishes, particles keep their velocity.
type transport[T kernel.Float] struct {
	potential
	steps, validSteps int
	alpha, beta       float64
	wrongSign         bool // integrate |∂ₜΦ + |∇ₓΦ|²/2| instead, for comparison
	runs              sync.Pool
}

// The stages of a step: their times, and their weights in the result.
var (
	rkNodes   = [4]float64{0, 0.5, 0.5, 1}
	rkWeights = [4]float64{1. / 6, 1. / 3, 1. / 3, 1. / 6}
)

// transportRun is the memory of one block of rows.
type transportRun[T kernel.Float] struct {
	owner   *transport[T]
	steps   int
	vars    potentialVars
	c       []T
	f       factors[T]
	offsets offsets[T]
	adj     adjoint[T]
	points  []evaluation[T] // of all stages, or a single one without gradients
	x       []T             // rows×d
	k       []T             // rows×d, velocity of the last stage times the step
	v       []T             // rows×m
	// Of the reverse pass.
	gamma, sbar, xbar, kbar []T
}

// record records J for each row of x, or only C for validation.
func (p *transport[T]) record(t *autodiff.Tape[T], x, c autodiff.Var, valid bool) autodiff.Var {
	r, ok := p.runs.Get().(*transportRun[T])
	if !ok {
		r = &transportRun[T]{owner: p}
	}
	rows, _ := t.Dims(x)
	params := t.Params()
	r.vars = varsOf(t, &p.potential, c)
	r.c = nil
	if c != 0 {
		r.c = t.Value(c)
	}
	v := &r.vars
	y := t.Record(r, rows, 1, v.k0, v.b0, v.k1, v.b1, v.w, v.a, v.b, v.c)
	r.f.set(&p.potential, params)
	r.offsets.set(&r.f, of(params, p.b0), r.c, rows)
	r.adj.reset(&r.f, rows)
	r.x = append(r.x[:0], t.Value(x)...)
	r.steps = p.steps
	keep := t.Recording()
	if valid {
		r.steps = p.validSteps
	}
	r.forward(t.Value(y), keep, valid)
	if !keep {
		p.runs.Put(r)
	}
	return y
}

// forward integrates r.x and sets dst to J, or C only. It keeps all stages
// for Backward, or none.
func (r *transportRun[T]) forward(dst []T, keep, onlyC bool) {
	p, d := r.owner, r.f.d
	rows := len(dst)
	h := 1 / float64(r.steps)
	alpha, beta := T(p.alpha), T(p.beta)
	if onlyC {
		alpha, beta = 0, 0
	}
	stages := 1
	if keep {
		stages = 4 * r.steps
	}
	for len(r.points) < stages {
		r.points = append(r.points, evaluation[T]{})
	}
	r.k, r.v, r.xbar = resize(r.k, rows*d), resize(r.v, rows*r.f.m), resize(r.xbar, rows*d)
	clear(dst)
	sum := r.xbar // of the weighted stages of a step
	for step := range r.steps {
		clear(sum)
		for i, node := range rkNodes {
			e := &r.points[0]
			if keep {
				e = &r.points[4*step+i]
			}
			e.resize(&p.potential, rows, true)
			time := T((float64(step) + node) * h)
			for n := range rows {
				s := e.s[n*(d+1) : (n+1)*(d+1)]
				for j, x := range r.x[n*d : (n+1)*d] {
					if i > 0 {
						x += T(node) * r.k[n*d+j]
					}
					s[j] = x
				}
				s[d] = time
			}
			e.gradient(&r.f, &r.offsets, r.v, rows)
			e.hessian(&r.f, r.v, rows)
			weight := T(h * rkWeights[i])
			r.adj.weigh(e, r.v, weight)
			for n := range rows {
				g := e.g[n*(d+1) : (n+1)*(d+1)]
				var v T
				for j, x := range g[:d] {
					v += x * x / 2
					r.k[n*d+j] = -T(h) * x
					sum[n*d+j] += T(rkWeights[i]) * r.k[n*d+j]
				}
				dst[n] += weight * (alpha*v + beta*abs(p.hjb(g[d], v)))
			}
		}
		kernel.Add(r.x, r.x, sum)
	}
	r.adj.traces(&r.f, dst)
	for n := range rows {
		dst[n] += T(float64(d)*halfLog2Pi) + kernel.SumSquares(r.x[n*d:(n+1)*d])/2
	}
}

// Backward is the adjoint of forward. The cotangents of l, v and r are the
// same all along, and those of J must be equal in all rows.
func (r *transportRun[T]) Backward(t *autodiff.Tape[T], dy []T) {
	p, d := r.owner, r.f.d
	rows := len(dy)
	for _, v := range dy {
		if v != dy[0] {
			panic("flow: rows of different weights in a loss")
		}
	}
	h := 1 / float64(r.steps)
	alpha, beta, sign := T(p.alpha), T(p.beta), p.hjb(0, 1)
	r.gamma, r.sbar = resize(r.gamma, rows*(d+1)), resize(r.sbar, rows*(d+1))
	r.kbar = resize(r.kbar, rows*d)
	lambda, next := r.x, r.xbar // cotangent of x after the step; what its stages add
	for step := r.steps - 1; step >= 0; step-- {
		clear(next)
		for i := 3; i >= 0; i-- {
			e := &r.points[4*step+i]
			weight := T(h * rkWeights[i])
			for n := range rows {
				g, gamma := e.g[n*(d+1):(n+1)*(d+1)], r.gamma[n*(d+1):(n+1)*(d+1)]
				var v T
				for _, x := range g[:d] {
					v += x * x / 2
				}
				s := beta * signOf(p.hjb(g[d], v))
				vbar := weight * (alpha + sign*s)
				for j, x := range g[:d] {
					k := T(rkWeights[i]) * lambda[n*d+j]
					if i < 3 {
						k += T(rkNodes[i+1]) * r.kbar[n*d+j]
					}
					gamma[j] = vbar*x - T(h)*k
				}
				gamma[d] = weight * s
			}
			r.adj.add(&r.f, e, r.sbar, r.gamma, weight)
			for n := range rows {
				for j, x := range r.sbar[n*(d+1) : n*(d+1)+d] {
					r.kbar[n*d+j] = x
					next[n*d+j] += x
				}
			}
		}
		kernel.Add(lambda, lambda, next)
	}
	r.adj.finish(&r.f, t, &r.vars, r.c, dy[0])
	p.runs.Put(r)
}

// hjb returns the residual ∂ₜΦ - |∇ₓΦ|²/2 of the Hamilton-Jacobi-Bellman
// equation, from ∂ₜΦ and |∇ₓΦ|²/2.
func (p *transport[T]) hjb(dt, kinetic T) T {
	if p.wrongSign {
		return dt + kinetic
	}
	return dt - kinetic
}

func abs[T kernel.Float](x T) T { return T(math.Abs(float64(x))) }

// signOf returns the derivative of |x|, 0 at 0.
func signOf[T kernel.Float](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}
