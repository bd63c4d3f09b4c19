package forward

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Regularized returns Tikhonov's solution as a map of the data,
//
//	R = V diag(σ/(σ² + λ²)) Uᵀ,
//
// whose norm is the largest of the σ/(σ² + λ²), at most 1/(2λ). With λ = 0 it
// is the pseudo-inverse, of norm 1/σ_min. Singular values that are zero to
// rounding are left out.
func Regularized(a inverse.Spectral, lambda float64) (inverse.Linear, error) {
	switch {
	case a == nil:
		return nil, errors.New("forward: Regularized: the operator is nil")
	case !(lambda >= 0) || math.IsInf(lambda, 1):
		return nil, fmt.Errorf("forward: Regularized: lambda is %g, want a number that is not negative", lambda)
	}
	f := &filter{alpha: a.SingularValues()}
	f.m, f.n = a.Dims()
	if !finite(f.alpha) || floats.Max(f.alpha) == 0 {
		return nil, errors.New("forward: Regularized: the operator is zero, or has a singular value that is not finite")
	}
	r := &regularized{a: a, gain: make([]float64, len(f.alpha))}
	for i, s := range f.alpha {
		if s > f.tiny() {
			r.gain[i] = s / (s*s + lambda*lambda)
		}
	}
	return r, nil
}

type regularized struct {
	a    inverse.Spectral
	gain []float64
	pool scratch
}

func (r *regularized) Dims() (m, n int) {
	n, m = r.a.Dims()
	return m, n
}

// Apply sets the rows of dst to R y_i.
func (r *regularized) Apply(dst, y *mat.Dense) { r.through(dst, y, r.a.MulUT, r.a.MulV) }

// Adjoint sets the rows of dst to Rᵀx_i.
func (r *regularized) Adjoint(dst, x *mat.Dense) { r.through(dst, x, r.a.MulVT, r.a.MulU) }

func (r *regularized) through(dst, x *mat.Dense, in, out func(dst, x *mat.Dense)) {
	rows, _ := x.Dims()
	c := r.pool.get(rows, len(r.gain))
	in(c, x)
	for i := range rows {
		floats.Mul(c.RawRowView(i), r.gain)
	}
	out(dst, c)
	r.pool.put(c)
}
