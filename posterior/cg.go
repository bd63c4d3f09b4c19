package posterior

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// cg solves H x_i = b_i for a batch of rows by preconditioned conjugate
// gradients (Hestenes and Stiefel, 1952). The rows share the products with H
// and the preconditioner and nothing else: each has its own step lengths and
// stops changing when its own error is small.
//
// The error is measured where it matters for draws from N(·, H⁻¹), in
// posterior standard deviations: a draw has E[dᵀH d] = n, and a row is done
// when its error has eᵀH e ≤ tol² n. The energy of the error some iterations
// ago is what the steps since have gained (Strakoš and Tichý, 2002, eq. 3.8).
//
// It is a workspace: not safe for concurrent use, and free of allocation
// while the number of rows does not grow.
type cg struct {
	mul     func(dst, x *mat.Dense) // dst = x H, row by row
	precond func(dst, r *mat.Dense) // dst ≈ r H⁻¹; nil for none
	maxIter int

	r, z, p, q mat.Dense
	rows       []cgRow
}

// delay is the number of iterations after which an error is known.
const delay = 8

// cgRow is the state of one row.
type cgRow struct {
	rz   float64 // rᵀM⁻¹r
	gain [delay]float64
	done bool
}

// solve replaces the rows of x, which are starting points, by solutions for
// the rows of b, and returns the number of iterations. It does not modify b.
func (s *cg) solve(ctx context.Context, x, b *mat.Dense, tol float64) (int, error) {
	rows, n := b.Dims()
	for _, m := range []*mat.Dense{&s.r, &s.z, &s.p, &s.q} {
		shape(m, rows, n)
	}
	s.rows = append(s.rows[:0], make([]cgRow, rows)...)
	bound := tol * tol * float64(n)

	s.mul(&s.q, x)
	s.r.Sub(b, &s.q)
	s.preconditioned(&s.z, &s.r)
	s.p.Copy(&s.z)
	for i := range s.rows {
		s.rows[i].rz = floats.Dot(s.r.RawRowView(i), s.z.RawRowView(i))
	}
	for iter := 0; ; iter++ {
		left := 0
		var worst float64
		for i := range s.rows {
			row := &s.rows[i]
			if math.IsNaN(row.rz) || math.IsInf(row.rz, 0) || row.rz < 0 {
				return iter, fmt.Errorf("conjugate gradients: rᵀM⁻¹r is %g after %d iterations; do the operator and the prior give finite values, and is Adjoint the transpose?", row.rz, iter)
			}
			energy := floats.Sum(row.gain[:])
			row.done = row.done || row.rz == 0 || iter >= delay && energy <= bound
			if !row.done {
				left++
				worst = max(worst, energy)
			}
		}
		if left == 0 {
			return iter, nil
		}
		if iter == s.maxIter {
			return iter, fmt.Errorf("conjugate gradients: an error of %.2g posterior standard deviations after %d iterations, want %.2g; a prior of larger precision makes the problem easier", math.Sqrt(worst/float64(n)), iter, tol)
		}
		if err := ctx.Err(); err != nil {
			return iter, err
		}
		s.mul(&s.q, &s.p)
		for i := range s.rows {
			row := &s.rows[i]
			if row.done {
				continue
			}
			p, q := s.p.RawRowView(i), s.q.RawRowView(i)
			curvature := floats.Dot(p, q)
			if !(curvature > 0) {
				return iter, fmt.Errorf("conjugate gradients: curvature %g in iteration %d; the posterior precision is not positive definite", curvature, iter)
			}
			alpha := row.rz / curvature
			row.gain[iter%delay] = alpha * row.rz
			floats.AddScaled(x.RawRowView(i), alpha, p)
			floats.AddScaled(s.r.RawRowView(i), -alpha, q)
		}
		s.preconditioned(&s.z, &s.r)
		for i := range s.rows {
			row := &s.rows[i]
			if row.done {
				continue
			}
			z := s.z.RawRowView(i)
			next := floats.Dot(s.r.RawRowView(i), z)
			beta := next / row.rz
			row.rz = next
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
