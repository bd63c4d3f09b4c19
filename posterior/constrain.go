package posterior

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// Constrained samples a distribution subject to linear equations C x = b, such
// as the conservation of mass, which its draws obey to rounding.
type Constrained struct {
	source inverse.Sampler
	c      *mat.Dense // k×n
	b      []float64
	wct    *mat.Dense // k×n, the rows of C W
	gram   mat.Cholesky
	exact  *Gaussian // the source, if it is one
}

var _ inverse.Sampler = (*Constrained)(nil)

// Constrain returns the sampler s given that c x = b. Each draw is moved,
//
//	x ← x + W Cᵀ (C W Cᵀ)⁻¹ (b - C x),
//
// which is the nearest point of the constraint in the norm xᵀW⁻¹x (Matheron's
// rule; Hoffman and Ribak, 1991).
//
// If s is a [Gaussian] and w nil, W is its covariance, and what is sampled is
// the conditional distribution, again Gaussian: the constraint is an exact
// observation. It makes no difference whether it is imposed on the prior or on
// the posterior.
//
// For any other sampler a nil w means the identity: the draws keep the
// constraint, but are its orthogonal projection, not the conditional
// distribution. It is that if the draws are Gaussian with the covariance w; an
// estimate of it, from draws of s, makes a good choice.
//
// The error says if the equations are not independent of each other.
func Constrain(s inverse.Sampler, c mat.Matrix, b []float64, w mat.Symmetric) (*Constrained, error) {
	if s == nil {
		return nil, errors.New("posterior: Constrain: the sampler is nil")
	}
	if c == nil {
		return nil, errors.New("posterior: Constrain: c is nil")
	}
	k, n := c.Dims()
	switch {
	case n != s.Dim() || k == 0:
		return nil, fmt.Errorf("posterior: Constrain: c is %d×%d, want %d columns, the sampler's dimension, and at least one row", k, n, s.Dim())
	case k > n:
		return nil, fmt.Errorf("posterior: Constrain: c is %d×%d: more equations than unknowns", k, n)
	case len(b) != k:
		return nil, fmt.Errorf("posterior: Constrain: b has length %d, want one for each of the %d rows of c", len(b), k)
	case w != nil && w.SymmetricDim() != n:
		return nil, fmt.Errorf("posterior: Constrain: w is %d×%d, want %d×%d", w.SymmetricDim(), w.SymmetricDim(), n, n)
	}
	q := &Constrained{source: s, c: mat.DenseCopyOf(c), b: append([]float64(nil), b...), wct: mat.NewDense(k, n, nil)}
	for i := range k {
		v := floats.Norm(q.c.RawRowView(i), 2)
		if !(v > 0) || math.IsInf(v, 1) || math.IsNaN(b[i]) || math.IsInf(b[i], 0) {
			return nil, fmt.Errorf("posterior: Constrain: equation %d has a row of norm %g and the right-hand side %g", i, v, b[i])
		}
		floats.Scale(1/v, q.c.RawRowView(i))
		q.b[i] /= v
	}
	g, gaussian := s.(*Gaussian)
	switch {
	case w != nil:
		q.wct.Mul(q.c, w)
	case gaussian:
		q.exact = g
		if err := g.covariance(q.wct, q.c); err != nil {
			return nil, fmt.Errorf("posterior: Constrain: %w", err)
		}
	default:
		q.wct.Copy(q.c)
	}
	var product mat.Dense
	product.Mul(q.wct, q.c.T())
	gram := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			gram.SetSym(i, j, (product.At(i, j)+product.At(j, i))/2)
		}
	}
	if !q.gram.Factorize(gram) || q.gram.Cond() > 1e14 {
		return nil, fmt.Errorf("posterior: Constrain: the %d equations are not independent of each other, or w is singular on them", k)
	}
	return q, nil
}

// Dim returns the dimension n of x.
func (q *Constrained) Dim() int { return q.source.Dim() }

// Sample fills the rows of dst with draws that obey the constraint.
func (q *Constrained) Sample(ctx context.Context, dst *mat.Dense) error {
	if err := q.source.Sample(ctx, dst); err != nil {
		return err
	}
	rows, n := dst.Dims()
	return par.For(ctx, 0, rows, 64, func(lo, hi int) error {
		return q.move(dst.Slice(lo, hi, 0, n).(*mat.Dense))
	})
}

// move takes the rows of x to the constraint. The second pass removes what
// rounding left in the first.
func (q *Constrained) move(x *mat.Dense) error {
	rows, _ := x.Dims()
	var r, step mat.Dense
	for range 2 {
		r.Mul(x, q.c.T())
		for i := range rows {
			row := r.RawRowView(i)
			floats.SubTo(row, q.b, row)
		}
		var solved mat.Dense
		if err := q.gram.SolveTo(&solved, r.T()); err != nil {
			if _, ill := err.(mat.Condition); !ill {
				return fmt.Errorf("posterior: Constrained: %w", err)
			}
		}
		step.Mul(solved.T(), q.wct)
		x.Add(x, &step)
		r.Reset()
		step.Reset()
	}
	return nil
}

// Mean stores the mean of the conditional distribution in dst, which is
// allocated if nil, and returns it. It is an error if the source is not a
// [Gaussian] with its own covariance for w.
func (q *Constrained) Mean(dst []float64) ([]float64, error) {
	if q.exact == nil {
		return nil, errNotExact
	}
	dst = q.exact.Mean(dst)
	return dst, q.move(mat.NewDense(1, len(dst), dst))
}

// Variance stores the marginal variances of the conditional distribution in
// dst, which is allocated if nil, and returns it. Its errors are those of Mean
// and of [Gaussian.Variance].
func (q *Constrained) Variance(dst []float64) ([]float64, error) {
	if q.exact == nil {
		return nil, errNotExact
	}
	dst, err := q.exact.Variance(dst)
	if err != nil {
		return nil, err
	}
	// The variances of S Cᵀ (C S Cᵀ)⁻¹ C S = ‖U⁻ᵀ C S e_i‖² with C S Cᵀ = UᵀU.
	var u mat.TriDense
	q.gram.UTo(&u)
	var half mat.Dense
	if err := half.Solve(u.T(), q.wct); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			return nil, fmt.Errorf("posterior: Constrained: %w", err)
		}
	}
	k, _ := half.Dims()
	for i := range dst {
		for j := range k {
			dst[i] -= half.At(j, i) * half.At(j, i)
		}
		dst[i] = max(dst[i], 0)
	}
	return dst, nil
}

var errNotExact = errors.New("posterior: Constrained: the source is not a Gaussian, or w is not its covariance: there is no closed form")
