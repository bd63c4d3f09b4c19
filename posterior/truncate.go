package posterior

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// Truncated samples a distribution restricted to the x with a x ≤ h, element by
// element: positivity, bounds, monotonicity. It is made by [Truncate].
type Truncated struct {
	// Src is the source of Sample's draws. If it is nil, it is freshly seeded.
	// Draws that are accepted or rejected come from the source's own.
	Src rand.Source

	source inverse.Sampler
	a      *mat.Dense // k×n
	h      []float64
	walls  *walls // of a Gaussian
}

var _ inverse.Sampler = (*Truncated)(nil)

// Truncate returns the sampler s given that a x ≤ h.
//
// If s is a [Gaussian], or one that is [Constrained] with its own covariance,
// the draws are those of a Markov chain with the truncated Gaussian as its exact
// invariant distribution: Hamiltonian dynamics, which are known in closed form
// between reflections at the walls (Pakman and Paninski, 2014). They cost about
// n² + n k operations for each reflection, however improbable the region is;
// draws next to each other are nearly independent unless the region is narrow or
// far from the mean.
// The matrix of the covariance is formed and factorised, n³ operations.
//
// Draws of any other sampler are kept if they are inside. Sample returns an
// error if not one in a thousand is.
func Truncate(s inverse.Sampler, a mat.Matrix, h []float64) (*Truncated, error) {
	if s == nil {
		return nil, errors.New("posterior: Truncate: the sampler is nil")
	}
	if a == nil {
		return nil, errors.New("posterior: Truncate: a is nil")
	}
	k, n := a.Dims()
	switch {
	case n != s.Dim() || k == 0:
		return nil, fmt.Errorf("posterior: Truncate: a is %d×%d, want %d columns, the sampler's dimension, and at least one row", k, n, s.Dim())
	case len(h) != k:
		return nil, fmt.Errorf("posterior: Truncate: h has length %d, want one for each of the %d rows of a", len(h), k)
	}
	t := &Truncated{source: s, a: mat.DenseCopyOf(a), h: append([]float64(nil), h...)}
	for i, v := range h {
		if norm := floats.Norm(t.a.RawRowView(i), 2); !(norm > 0) || math.IsInf(norm, 1) || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("posterior: Truncate: inequality %d has a row of norm %g and the bound %g", i, norm, v)
		}
	}
	mean, cov, err := gaussianMoments(s)
	if err == nil && mean != nil {
		t.walls, err = newWalls(mean, cov, t.a, t.h)
	}
	if err != nil {
		return nil, fmt.Errorf("posterior: Truncate: %w", err)
	}
	return t, nil
}

// gaussianMoments returns the mean and the covariance of a Gaussian sampler, and nil
// for other samplers.
func gaussianMoments(s inverse.Sampler) ([]float64, *mat.SymDense, error) {
	var g *Gaussian
	var mean []float64
	var err error
	c, constrained := s.(*Constrained)
	switch {
	case constrained && c.exact != nil:
		g = c.exact
		mean, err = c.Mean(nil)
	case !constrained:
		var ok bool
		if g, ok = s.(*Gaussian); ok {
			mean = g.Mean(nil)
		}
	}
	if g == nil || err != nil {
		return nil, nil, err
	}
	n := len(mean)
	cov := mat.NewSymDense(n, nil)
	var failed error
	forRows(n, func(lo, hi int, e *mat.Dense) {
		rows := mat.NewDense(hi-lo, n, nil)
		if err := g.covariance(rows, e); err != nil {
			failed = err
			return
		}
		for i := lo; i < hi; i++ {
			for j := i; j < n; j++ {
				cov.SetSym(i, j, rows.At(i-lo, j))
			}
		}
	})
	if failed != nil || !constrained {
		return mean, cov, failed
	}
	var solved, less mat.Dense
	if err := c.gram.SolveTo(&solved, c.wct); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			return nil, nil, err
		}
	}
	less.Mul(c.wct.T(), &solved)
	for i := range n {
		for j := i; j < n; j++ {
			cov.SetSym(i, j, cov.At(i, j)-(less.At(i, j)+less.At(j, i))/2)
		}
	}
	return mean, cov, nil
}

// Dim returns the dimension n of x.
func (t *Truncated) Dim() int { return t.source.Dim() }

// Sample fills the rows of dst with draws inside.
func (t *Truncated) Sample(ctx context.Context, dst *mat.Dense) error {
	rows, n := dst.Dims()
	if n != t.Dim() {
		panic(fmt.Sprintf("posterior: dst is %d×%d, want %d columns", rows, n, t.Dim()))
	}
	if t.walls == nil {
		return t.reject(ctx, dst)
	}
	chain := t.walls.chain(rng.New(rng.Seed(t.Src), 0))
	for i := -truncatedWarmup; i < rows; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := chain.move(); err != nil {
			return err
		}
		if i >= 0 {
			t.walls.point(dst.RawRowView(i), chain.z)
		}
	}
	return nil
}

// truncatedWarmup is the number of trajectories from the start to the first
// draw.
const truncatedWarmup = 50

// reject keeps what is inside.
func (t *Truncated) reject(ctx context.Context, dst *mat.Dense) error {
	const least = 1e-3
	rows, n := dst.Dims()
	filled, drawn := 0, 0
	buf, ax := mat.NewDense(max(rows, 256), n, nil), make([]float64, len(t.h))
	for filled < rows {
		if drawn > 10*256 && float64(filled) < least*float64(drawn) {
			return fmt.Errorf("posterior: Truncated: %d of %d draws satisfy the inequalities, which is too few to wait for", filled, drawn)
		}
		if err := t.source.Sample(ctx, buf); err != nil {
			return err
		}
		r, _ := buf.Dims()
		drawn += r
		for i := 0; i < r && filled < rows; i++ {
			mat.NewVecDense(len(ax), ax).MulVec(t.a, buf.RowView(i))
			inside := true
			for j, v := range ax {
				inside = inside && v <= t.h[j]
			}
			if inside {
				dst.SetRow(filled, buf.RawRowView(i))
				filled++
			}
		}
	}
	return nil
}
