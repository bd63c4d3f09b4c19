package forward

import (
	"context"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// CGLS inverts A x = y by conjugate gradients on the normal equations,
// without forming them (Hestenes and Stiefel, 1952; Björck, Numerical Methods
// for Least Squares Problems, 1996, algorithm 7.4.1). Iterate k minimises
// ‖A x - y‖ over x₀ plus the Krylov space of AᵀA and Aᵀr₀ of dimension k.
//
// With noisy data the error of the iterates first falls, then rises
// (semi-convergence): stop by the discrepancy principle.
//
// Nil options mean the defaults.
func CGLS(ctx context.Context, a inverse.Linear, y []float64, o *IterOptions) (*Inversion, error) {
	if o == nil {
		o = &IterOptions{}
	}
	p, err := newLeastSquares("CGLS", a, y, o)
	if err != nil {
		return nil, err
	}
	s := &cgls{leastSquares: p,
		s: mat.NewDense(1, p.n, nil), p: mat.NewDense(1, p.n, nil), q: mat.NewDense(1, p.m, nil)}
	return iterate(ctx, "CGLS", p, s, o)
}

type cgls struct {
	*leastSquares
	s     *mat.Dense // Aᵀr
	p     *mat.Dense // search direction
	q     *mat.Dense // A p
	gamma float64    // ‖s‖²
}

func (c *cgls) start() {
	c.reset()
	c.a.Adjoint(c.s, c.r)
	c.p.Copy(c.s)
	s := c.s.RawRowView(0)
	c.gamma = floats.Dot(s, s)
}

func (c *cgls) step() (residual, gradient float64, ok bool) {
	s, p, q := c.s.RawRowView(0), c.p.RawRowView(0), c.q.RawRowView(0)
	c.a.Apply(c.q, c.p)
	delta := floats.Dot(q, q)
	if delta == 0 || c.gamma == 0 {
		return 0, 0, false
	}
	alpha := c.gamma / delta
	floats.AddScaled(c.x.RawRowView(0), alpha, p)
	floats.AddScaled(c.r.RawRowView(0), -alpha, q)
	c.a.Adjoint(c.s, c.r)
	gamma := floats.Dot(s, s)
	floats.AddScaledTo(p, s, gamma/c.gamma, p)
	c.gamma = gamma
	return mat.Norm(c.r, 2), mat.Norm(c.s, 2), true
}

func (c *cgls) trace(k int) float64 { return float64(k) }
