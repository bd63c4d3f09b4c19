package posterior

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// dense is a posterior with a factorised covariance or precision matrix.
type dense struct{ post *prior.Gaussian }

func newDense(p GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) (*dense, error) {
	if g, ok := p.(*prior.Gaussian); ok {
		post, _, err := g.Condition(matrixOf(a), lik.Data(), covarianceOf(lik))
		if err != nil {
			return nil, err
		}
		return &dense{post}, nil
	}
	n := p.Dim()
	h := mat.NewSymDense(n, nil)
	forRows(n, func(lo, hi int, e *mat.Dense) {
		rows := mat.NewDense(hi-lo, n, nil)
		new(product).mul(rows, e, p, lik, a)
		for i := lo; i < hi; i++ {
			for j := i; j < n; j++ {
				h.SetSym(i, j, rows.At(i-lo, j))
			}
		}
	})
	zero, err := prior.NewGaussianPrecision(nil, h, nil)
	if err != nil {
		return nil, fmt.Errorf("posterior: the posterior precision cannot be factorised; is the prior proper? (%w)", err)
	}
	r := residual(p, lik)
	lik.Precision(r, r)
	d := mat.NewDense(1, n, nil)
	a.Adjoint(d, r)
	zero.MulCovariance(d, d)
	mean := p.Mean(nil)
	floats.Add(mean, d.RawRowView(0))
	post, err := prior.NewGaussianPrecision(mean, h, nil)
	if err != nil {
		return nil, fmt.Errorf("posterior: %w", err)
	}
	return &dense{post}, nil
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

// matrixOf returns the matrix of an operator.
func matrixOf(a inverse.Linear) mat.Matrix {
	m, n := a.Dims()
	at := mat.NewDense(n, m, nil)
	forRows(n, func(lo, hi int, e *mat.Dense) {
		a.Apply(at.Slice(lo, hi, 0, m).(*mat.Dense), e)
	})
	return at.T()
}

// product computes products with H = AᵀΣ⁻¹A + Q in its own workspace.
type product struct{ data, qx mat.Dense }

// mul sets the rows of dst to H x_i.
func (w *product) mul(dst, x *mat.Dense, prior GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) {
	r, n := x.Dims()
	m, _ := a.Dims()
	ax, qx := shape(&w.data, r, m), shape(&w.qx, r, n)
	a.Apply(ax, x)
	lik.Precision(ax, ax)
	a.Adjoint(dst, ax)
	prior.MulPrecision(qx, x)
	dst.Add(dst, qx)
}

func (s *dense) block() int { return 64 }

func (s *dense) mean() ([]float64, error) { return s.post.Mean(nil), nil }

func (s *dense) draw(_ context.Context, dst *mat.Dense, src []rand.Source) error {
	for i, rows := range src {
		s.post.Draw(dst.Slice(i, i+1, 0, s.post.Dim()).(*mat.Dense), rows)
	}
	return nil
}

func (s *dense) mul(dst, x *mat.Dense) { s.post.MulPrecision(dst, x) }

func (s *dense) covariance(dst, x *mat.Dense) error {
	s.post.MulCovariance(dst, x)
	return nil
}

func (s *dense) logDet() (float64, error) { return -s.post.LogDet(), nil }

func (s *dense) variance(dst []float64) error {
	s.post.Variance(dst)
	return nil
}
