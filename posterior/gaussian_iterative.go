package posterior

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

// iterative solves H d = b by conjugate gradients, without a matrix.
type iterative struct {
	prior  GaussianPrior
	lik    *likelihood.Gaussian
	a      inverse.Linear
	m, n   int
	mu     []float64
	filter *filter // the preconditioner, or nil
	pool   sync.Pool
}

const (
	// The errors of the mean and of a draw, in posterior standard deviations.
	meanTol = 1e-6
	drawTol = 1e-4

	maxIter = 5000
)

func newIterative(prior GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) *iterative {
	s := &iterative{prior: prior, lik: lik, a: a, mu: prior.Mean(nil)}
	s.m, s.n = a.Dims()
	if p, ok := prior.(spectralPrior); ok {
		s.filter = newFilter(p, lik, a)
	}
	s.pool.New = func() any { return s.workspace() }
	return s
}

// iterSpace is a workspace for a batch of solves.
type iterSpace struct {
	cg cg
	product
	noise           mat.Dense // of width m
	rhs, step, coef mat.Dense // of width n
}

func (s *iterative) workspace() *iterSpace {
	w := new(iterSpace)
	w.cg.maxIter = maxIter
	w.cg.mul = func(dst, x *mat.Dense) { w.mul(dst, x, s.prior, s.lik, s.a) }
	if s.filter != nil {
		w.cg.precond = func(dst, r *mat.Dense) { s.filter.apply(dst, r, &w.coef) }
	}
	return w
}

// shape gives a workspace matrix r rows of n.
func shape(m *mat.Dense, r, n int) *mat.Dense {
	m.Reset()
	m.ReuseAs(r, n)
	return m
}

func (s *iterative) mul(dst, x *mat.Dense) {
	w := s.pool.Get().(*iterSpace)
	defer s.pool.Put(w)
	w.mul(dst, x, s.prior, s.lik, s.a)
}

// block keeps the workspace of a worker near 64 MB.
func (s *iterative) block() int { return max(1, min(16, (1<<20)/(s.m+s.n))) }

func (s *iterative) mean() ([]float64, error) {
	w := s.pool.Get().(*iterSpace)
	defer s.pool.Put(w)
	d := mat.NewDense(1, s.n, nil)
	if err := s.solve(context.Background(), w, d, residual(s.prior, s.lik), meanTol); err != nil {
		return nil, err
	}
	mean := d.RawRowView(0)
	floats.Add(mean, s.mu)
	return mean, nil
}

// solve sets the rows of dst to H⁻¹AᵀΣ⁻¹r_i, starting from what they hold.
func (s *iterative) solve(ctx context.Context, w *iterSpace, dst, r *mat.Dense, tol float64) error {
	rows, _ := r.Dims()
	wr, b := shape(&w.data, rows, s.m), shape(&w.rhs, rows, s.n)
	s.lik.Precision(wr, r)
	s.a.Adjoint(b, wr)
	_, err := w.cg.solve(ctx, dst, b, tol)
	return err
}

// draw perturbs and solves (Papandreou and Yuille, 2010): with w ~ N(μ, Q⁻¹)
// and e ~ N(0, Σ),
//
//	x = w + H⁻¹AᵀΣ⁻¹(y + e - Aw)
//
// has mean m and covariance H⁻¹.
func (s *iterative) draw(ctx context.Context, dst *mat.Dense, src []rand.Source) error {
	w := s.pool.Get().(*iterSpace)
	defer s.pool.Put(w)
	rows := len(src)
	e, step := shape(&w.noise, rows, s.m), shape(&w.step, rows, s.n)
	for i := range src {
		s.prior.Draw(dst.Slice(i, i+1, 0, s.n).(*mat.Dense), src[i])
		rng.FillNormal(e.RawRowView(i), src[i])
	}
	s.lik.Color(e, e)
	for i := range src {
		floats.Add(e.RawRowView(i), s.lik.Data())
	}
	aw := shape(&w.data, rows, s.m)
	s.a.Apply(aw, dst)
	e.Sub(e, aw)
	step.Zero()
	if err := s.solve(ctx, w, step, e, drawTol); err != nil {
		return err
	}
	dst.Add(dst, step)
	return nil
}

// covariance solves twice, first for the size of the solutions d of rows x, by
// their energies dᵀH d = dᵀx, to which the tolerance is then relative.
func (s *iterative) covariance(dst, x *mat.Dense) error {
	w := s.pool.Get().(*iterSpace)
	defer s.pool.Put(w)
	rows, n := x.Dims()
	dst.Zero()
	tol := meanTol
	for range 2 {
		if _, err := w.cg.solve(context.Background(), dst, x, tol); err != nil {
			return err
		}
		least := math.Inf(1)
		for i := range rows {
			if e := floats.Dot(dst.RawRowView(i), x.RawRowView(i)); e > 0 {
				least = min(least, e)
			}
		}
		if math.IsInf(least, 1) {
			break // all rows are zero
		}
		tol = 1e-8 * math.Sqrt(least/float64(n))
	}
	return nil
}

func (s *iterative) logDet() (float64, error) { return 0, ErrIntractable }

func (s *iterative) variance([]float64) error { return ErrIntractable }
