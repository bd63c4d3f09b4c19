package posterior

import (
	"context"
	"errors"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

// dense solves with a Cholesky factor of H.
type dense struct {
	lik  *likelihood.Gaussian
	a    inverse.Linear
	h    *mat.SymDense
	chol mat.Cholesky
	u    blas64.Triangular // H = UᵀU
}

func newDense(prior GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) (*dense, error) {
	n := prior.Dim()
	s := &dense{lik: lik, a: a, h: mat.NewSymDense(n, nil)}
	forRows(n, func(lo, hi int, e *mat.Dense) {
		rows := mat.NewDense(hi-lo, n, nil)
		mulPosterior(rows, e, prior, lik, a)
		for i := lo; i < hi; i++ {
			for j := i; j < n; j++ {
				s.h.SetSym(i, j, rows.At(i-lo, j))
			}
		}
	})
	if !s.chol.Factorize(s.h) {
		return nil, errors.New("posterior: the posterior precision is not positive definite to rounding; is the prior proper?")
	}
	s.u = s.chol.RawU().(*mat.TriDense).RawTriangular()
	return s, nil
}

// forRows calls f for blocks [lo, hi) of the rows e of the n×n identity.
func forRows(n int, f func(lo, hi int, e *mat.Dense)) {
	const block = 64
	for lo := 0; lo < n; lo += block {
		hi := min(lo+block, n)
		e := mat.NewDense(hi-lo, n, nil)
		for i := lo; i < hi; i++ {
			e.Set(i-lo, i, 1)
		}
		f(lo, hi, e)
	}
}

// mulPosterior sets the rows of dst to (AᵀΣ⁻¹A + Q) x_i.
func mulPosterior(dst, x *mat.Dense, prior GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) {
	r, n := x.Dims()
	m, _ := a.Dims()
	ax, q := mat.NewDense(r, m, nil), mat.NewDense(r, n, nil)
	a.Apply(ax, x)
	lik.Precision(ax, ax)
	a.Adjoint(dst, ax)
	prior.MulPrecision(q, x)
	dst.Add(dst, q)
}

func (s *dense) block() int { return 64 }

func (s *dense) update(_ context.Context, dst, r *mat.Dense) error {
	var w mat.Dense
	w.CloneFrom(r)
	s.lik.Precision(&w, r)
	s.a.Adjoint(dst, &w)
	b := dst.RawMatrix()
	blas64.Trsm(blas.Right, blas.NoTrans, 1, s.u, b)
	blas64.Trsm(blas.Right, blas.Trans, 1, s.u, b)
	return nil
}

// draw solves U x = z: the covariance of x is U⁻¹U⁻ᵀ = H⁻¹.
func (s *dense) draw(_ context.Context, dst *mat.Dense, src []rand.Source) error {
	for i := range src {
		rng.FillNormal(dst.RawRowView(i), src[i])
	}
	blas64.Trsm(blas.Right, blas.Trans, 1, s.u, dst.RawMatrix())
	return nil
}

func (s *dense) mul(dst, x *mat.Dense) { dst.Mul(x, s.h) }

func (s *dense) logDet() (float64, error) { return s.chol.LogDet(), nil }

func (s *dense) variance(dst []float64) error {
	var inv mat.SymDense
	if err := s.chol.InverseTo(&inv); err != nil {
		return err
	}
	for i := range dst {
		dst[i] = inv.At(i, i)
	}
	return nil
}
