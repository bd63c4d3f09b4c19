package posterior

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// cg solves H x_i = b_i for a batch of rows by preconditioned conjugate
// gradients (Hestenes and Stiefel, 1952). The rows share the products with H
// and the preconditioner and nothing else: each has its own step lengths and
// stops changing when its own residual is small.
//
// It is a workspace: not safe for concurrent use, and free of allocation
// while the number of rows does not grow.
type cg struct {
	mul     func(dst, x *mat.Dense) // dst = x H, row by row
	precond func(dst, r *mat.Dense) // dst ≈ r H⁻¹; nil for none
	tol     float64                 // on ‖b - H x‖ / ‖b‖
	maxIter int

	r, z, p, q mat.Dense
	rz, bound  []float64
}

// solve replaces the rows of x, which are starting points, by solutions for
// the rows of b, and returns the number of iterations. It does not modify b.
func (s *cg) solve(ctx context.Context, x, b *mat.Dense) (int, error) {
	rows, n := b.Dims()
	for _, m := range []*mat.Dense{&s.r, &s.z, &s.p, &s.q} {
		m.Reset()
		m.ReuseAs(rows, n)
	}
	if cap(s.rz) < rows {
		s.rz, s.bound = make([]float64, rows), make([]float64, rows)
	}
	rz, bound := s.rz[:rows], s.bound[:rows]

	s.mul(&s.q, x)
	s.r.Sub(b, &s.q)
	for i := range rows {
		bound[i] = s.tol * norm2(b.RawRowView(i))
	}
	s.preconditioned(&s.z, &s.r)
	s.p.Copy(&s.z)
	for i := range rows {
		rz[i] = floats.Dot(s.r.RawRowView(i), s.z.RawRowView(i))
	}
	for iter := 0; ; iter++ {
		worst := 0.0
		done := true
		for i := range rows {
			norm := norm2(s.r.RawRowView(i))
			if math.IsNaN(norm) || math.IsInf(norm, 0) {
				return iter, fmt.Errorf("conjugate gradients: the residual is %g after %d iterations; is an operator's Adjoint its transpose?", norm, iter)
			}
			if norm > bound[i] {
				done = false
				worst = max(worst, norm/bound[i]*s.tol)
			} else {
				rz[i] = 0 // frozen
			}
		}
		if done {
			return iter, nil
		}
		if iter == s.maxIter {
			return iter, fmt.Errorf("conjugate gradients: relative residual %.2g after %d iterations, want %.2g", worst, iter, s.tol)
		}
		if err := ctx.Err(); err != nil {
			return iter, err
		}
		s.mul(&s.q, &s.p)
		for i := range rows {
			if rz[i] == 0 {
				continue
			}
			p, q := s.p.RawRowView(i), s.q.RawRowView(i)
			curvature := floats.Dot(p, q)
			if !(curvature > 0) {
				return iter, fmt.Errorf("conjugate gradients: curvature %g in iteration %d; the posterior precision is not positive definite", curvature, iter)
			}
			alpha := rz[i] / curvature
			floats.AddScaled(x.RawRowView(i), alpha, p)
			floats.AddScaled(s.r.RawRowView(i), -alpha, q)
		}
		s.preconditioned(&s.z, &s.r)
		for i := range rows {
			if rz[i] == 0 {
				continue
			}
			z := s.z.RawRowView(i)
			next := floats.Dot(s.r.RawRowView(i), z)
			beta := next / rz[i]
			rz[i] = next
			p := s.p.RawRowView(i)
			floats.Scale(beta, p)
			floats.Add(p, z)
		}
	}
}

func (s *cg) preconditioned(dst, r *mat.Dense) {
	if s.precond == nil {
		dst.Copy(r)
		return
	}
	s.precond(dst, r)
}

func norm2(x []float64) float64 {
	return blas64.Nrm2(blas64.Vector{N: len(x), Data: x, Inc: 1})
}
