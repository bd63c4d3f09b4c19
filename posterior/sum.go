package posterior

import (
	"fmt"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// A guidance is a likelihood score that is computed from the prior's score at
// the same point. Sum lets it evaluate that one once.
type guidance interface {
	inverse.ScoreFunc
	// Prior returns the score that the guidance is computed from.
	Prior() inverse.ScoreFunc
	// ScoreSum sets dst to the prior's score plus the guidance.
	ScoreSum(dst, x *mat.Dense, t float64)
}

// Sum returns the sum of scores: with a prior's score and a likelihood's it
// is the posterior's (Bayes' rule).
//
// A score with the methods Prior() ScoreFunc and ScoreSum(dst, x, t), as the
// guidances of package diffusion have them, and whose Prior is also one of
// the scores, is evaluated together with that prior.
func Sum(scores ...inverse.ScoreFunc) (inverse.ScoreFunc, error) {
	if len(scores) == 0 {
		return nil, fmt.Errorf("posterior: Sum of no scores")
	}
	for i, s := range scores {
		if s == nil {
			return nil, fmt.Errorf("posterior: scores[%d] is nil", i)
		}
		if n, n0 := s.Dim(), scores[0].Dim(); n != n0 {
			return nil, fmt.Errorf("posterior: scores[%d] has dimension %d, scores[0] has %d", i, n, n0)
		}
	}
	terms := fuse(scores)
	if len(terms) == 1 {
		return terms[0], nil
	}
	return &sum{dim: scores[0].Dim(), terms: terms}, nil
}

// fuse replaces the first pair of a guidance and its prior by one score.
func fuse(scores []inverse.ScoreFunc) []inverse.ScoreFunc {
	for i, s := range scores {
		g, ok := s.(guidance)
		if !ok {
			continue
		}
		for j, p := range scores {
			if j == i || p != g.Prior() {
				continue
			}
			terms := []inverse.ScoreFunc{fused{g}}
			for k, other := range scores {
				if k != i && k != j {
					terms = append(terms, other)
				}
			}
			return terms
		}
	}
	return scores
}

// fused is a guidance with its prior.
type fused struct{ g guidance }

func (f fused) Dim() int                           { return f.g.Dim() }
func (f fused) Score(dst, x *mat.Dense, t float64) { f.g.ScoreSum(dst, x, t) }

type sum struct {
	dim   int
	terms []inverse.ScoreFunc
	pool  sync.Pool // *mat.Dense
}

func (s *sum) Dim() int { return s.dim }

func (s *sum) Score(dst, x *mat.Dense, t float64) {
	r, _ := x.Dims()
	buf, _ := s.pool.Get().(*mat.Dense)
	if buf == nil {
		buf = new(mat.Dense)
	}
	defer s.pool.Put(buf)
	buf.Reset()
	buf.ReuseAs(r, s.dim)
	s.terms[0].Score(dst, x, t)
	for _, term := range s.terms[1:] {
		term.Score(buf, x, t)
		dst.Add(dst, buf)
	}
}
