package diffusion

import (
	"errors"
	"fmt"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Guidance is an approximation of the likelihood score ∇ log p(y|x_t): what
// is added to a prior's score to sample a posterior. [NewExact], [NewFlat],
// [NewDPS], [NewPiGDM], [NewTMPD] and [NewMMPS] make them.
//
// A guidance evaluates its prior's score at the same point. posterior.Sum
// recognises that prior and evaluates it once for both. All guidances are
// safe for concurrent use, and do not allocate once warm.
type Guidance interface {
	inverse.ScoreFunc
	// Prior returns the score that the guidance is computed from.
	Prior() inverse.ScoreFunc
	// ScoreSum sets dst to the prior's score plus the guidance.
	ScoreSum(dst, x *mat.Dense, t float64)

	// twist evaluates the prior's score at x into p, adds its weight times
	// the guidance to dst, and, if logp is not nil, sets logp[i] to the
	// guidance's log p(y|x_t), up to what does not depend on x.
	twist(dst *mat.Dense, logp []float64, x *mat.Dense, t float64, p *point)
	// model returns the prior's score and its noise schedule.
	model() Score
}

// guide is what the guidances have in common.
type guide struct {
	score Score
	add   func(dst *mat.Dense, logp []float64, p *point)
	pool  sync.Pool // *point
}

func newGuide(score Score, dim int) (*guide, error) {
	if score == nil {
		return nil, errors.New("diffusion: the score is nil")
	}
	if n := score.Dim(); n != dim {
		return nil, fmt.Errorf("diffusion: the score has dimension %d, the likelihood %d", n, dim)
	}
	return &guide{score: score}, nil
}

// Dim returns the dimension n.
func (g *guide) Dim() int { return g.score.Dim() }

// Prior returns the prior's score.
func (g *guide) Prior() inverse.ScoreFunc { return g.score }

func (g *guide) model() Score { return g.score }

// Score sets the rows of dst to the guidance.
func (g *guide) Score(dst, x *mat.Dense, t float64) {
	p := g.point()
	defer g.pool.Put(p)
	r, n := x.Dims()
	resize(&p.sum, r, n).Zero()
	g.twist(&p.sum, nil, x, t, p)
	dst.Copy(&p.sum)
}

// ScoreSum sets the rows of dst to the prior's score plus the guidance.
func (g *guide) ScoreSum(dst, x *mat.Dense, t float64) {
	p := g.point()
	defer g.pool.Put(p)
	r, n := x.Dims()
	resize(&p.sum, r, n).Zero()
	g.twist(&p.sum, nil, x, t, p)
	combine(dst, 1, &p.score, 1, &p.sum)
}

func (g *guide) point() *point {
	p, _ := g.pool.Get().(*point)
	if p == nil {
		p = newPoint(g.score)
	}
	return p
}

func (g *guide) twist(dst *mat.Dense, logp []float64, x *mat.Dense, t float64, p *point) {
	p.at(g.score, x, t)
	g.add(dst, logp, p)
}

// point is a workspace with the prior's score and denoised mean at the rows
// of x.
type point struct {
	x            *mat.Dense
	t            float64
	alpha, sigma float64
	score, mean  mat.Dense // ∇ log p_t and D = E[x₀|x_t]
	lin          inverse.ScoreLinearization
	tangent      *tangent // of MMPS

	sum  mat.Dense
	data [6]mat.Dense // r×m and r×n scratch of the approximations
	full [4]mat.Dense
	part mat.Dense // a header
	num  [6][]float64
}

func newPoint(s Score) *point { return &point{lin: s.LinearizeScore()} }

func (p *point) at(s Score, x *mat.Dense, t float64) {
	r, n := x.Dims()
	p.x, p.t = x, t
	p.alpha, p.sigma = s.Schedule().At(t)
	p.lin.Score(resize(&p.score, r, n), x, t)
	tweedie(resize(&p.mean, r, n), x, &p.score, p.alpha, p.sigma)
}

// pull sets the rows of dst to Jᵀv_i for J = ∂D/∂x_t = (I + σ²∇²log p_t)/α.
func (p *point) pull(dst, v *mat.Dense) {
	p.lin.VJP(dst, v)
	combine(dst, 1/p.alpha, v, p.sigma*p.sigma/p.alpha, dst)
}

// numbers returns scratch for r numbers.
func (p *point) numbers(k, r int) []float64 {
	if cap(p.num[k]) < r {
		p.num[k] = make([]float64, r)
	}
	return p.num[k][:r]
}
