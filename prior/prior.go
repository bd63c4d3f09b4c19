// Package prior has densities to put on the unknown of an inverse problem.
package prior

import (
	"fmt"
	"math/rand/v2"

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

// checkPoint panics unless x has length n.
func checkPoint(x []float64, n int) {
	if len(x) != n {
		panic(fmt.Sprintf("prior: length of x is %d, want %d", len(x), n))
	}
}

// scoreOf is ScoreInput in terms of LogProbScore.
func scoreOf(p Prior, score, x []float64) []float64 {
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
