package prior

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// Prior is what the densities of this package have in common. LogProb,
// ScoreInput, LogProbScore and Draw are safe for concurrent use.
//
// They also have gonum's Rand(x []float64) []float64, which draws from the
// source in their options and so is not safe for concurrent use.
type Prior interface {
	inverse.DifferentiableDensity
	inverse.LogProbScorer
	// Dim returns the dimension n of the space.
	Dim() int
	// Draw fills the rows of dst (r×n) with independent draws, one after the
	// other from src. A nil src is freshly seeded.
	Draw(dst *mat.Dense, src rand.Source)
}

// Diffusible is a prior whose diffused density, that of
//
//	x_t = α x₀ + σ z,  x₀ ~ prior,  z ~ N(0, I),
//
// is known in closed form for any α and σ, not both 0. The destination of
// each method may be one of its inputs.
type Diffusible interface {
	Dim() int
	// DiffusedLogProb sets dst[i] to log p_t at row i of x (r×n).
	DiffusedLogProb(dst []float64, x *mat.Dense, alpha, sigma float64)
	// DiffusedScore sets the rows of dst (r×n) to ∇ log p_t at the rows of x.
	DiffusedScore(dst, x *mat.Dense, alpha, sigma float64)
	// DiffusedVJP sets row i of dst (r×n) to ∇² log p_t(x_i) v_i, the
	// derivative of the score, which is symmetric, applied to row i of v.
	DiffusedVJP(dst, x, v *mat.Dense, alpha, sigma float64)
	// Denoise sets the rows of dst (r×n) to E[x₀|x_t] at the rows of x: what
	// Tweedie's formula (x_t + σ²∇ log p_t)/α gives, also where α is 0.
	Denoise(dst, x *mat.Dense, alpha, sigma float64)
}

// DiffusedLinearizer is a Diffusible whose score and derivative at the same
// points have most of their work in common.
type DiffusedLinearizer interface {
	Diffusible
	// LinearizeDiffused returns a workspace, which is not safe for concurrent
	// use.
	LinearizeDiffused() DiffusedLinearization
}

// DiffusedLinearization is a diffused score that remembers where it was
// evaluated.
type DiffusedLinearization interface {
	// Score is DiffusedScore.
	Score(dst, x *mat.Dense, alpha, sigma float64)
	// VJP is DiffusedVJP at the points of the last call of Score. It may be
	// called several times.
	VJP(dst, v *mat.Dense)
}

// checkRows panics unless dst and x are r×n.
func checkRows(dst, x *mat.Dense, n int) {
	dr, dc := dst.Dims()
	xr, xc := x.Dims()
	if dr != xr || dc != n || xc != n {
		panic(fmt.Sprintf("prior: dst is %d×%d, x is %d×%d, want %d columns and as many rows", dr, dc, xr, xc, n))
	}
}

// checkPoint panics unless x has length n.
func checkPoint(x []float64, n int) {
	if len(x) != n {
		panic(fmt.Sprintf("prior: length of x is %d, want %d", len(x), n))
	}
}

// scored is a Prior that may have no draws.
type scored interface {
	inverse.DifferentiableDensity
	inverse.LogProbScorer
	Dim() int
}

// scoreOf is ScoreInput in terms of LogProbScore.
func scoreOf(p scored, score, x []float64) []float64 {
	score = use(score, p.Dim())
	p.LogProbScore(score, x)
	return score
}

// drawer is what the draws of a prior are made of.
type drawer interface {
	Dim() int
	draw(x []float64, src rand.Source)
}

// randOf is Rand in terms of draw.
func randOf(p drawer, x []float64, src rand.Source) []float64 {
	x = use(x, p.Dim())
	p.draw(x, src)
	return x
}

// drawRows is Draw in terms of draw.
func drawRows(p drawer, dst *mat.Dense, src rand.Source) {
	r, c := dst.Dims()
	if c != p.Dim() {
		panic(fmt.Sprintf("prior: dst is %d×%d, want %d columns", r, c, p.Dim()))
	}
	src = rng.Or(src)
	for i := range r {
		p.draw(dst.RawRowView(i), src)
	}
}

// use returns dst, or a new slice of length n if dst is nil.
func use(dst []float64, n int) []float64 {
	if dst == nil {
		return make([]float64, n)
	}
	if len(dst) != n {
		panic(fmt.Sprintf("prior: length of the destination is %d, want %d", len(dst), n))
	}
	return dst
}

// scratch is a pool of slices.
type scratch struct{ pool sync.Pool }

// get returns a slice of length n of unspecified content.
func (s *scratch) get(n int) *[]float64 {
	p, _ := s.pool.Get().(*[]float64)
	if p == nil || cap(*p) < n {
		x := make([]float64, n)
		return &x
	}
	*p = (*p)[:n]
	return p
}

func (s *scratch) put(p *[]float64) { s.pool.Put(p) }
