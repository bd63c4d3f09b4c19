package posterior

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/prior"
)

// Posterior is the density proportional to the product of a prior and
// likelihoods, as a function of x: log densities add, scores add.
//
// It is safe for concurrent use if its parts are.
type Posterior struct {
	dim     int
	terms   []inverse.Density
	scored  []inverse.DifferentiableDensity // terms with a score
	noScore error                           // why there is no score, or nil
	scratch sync.Pool                       // *[]float64 of length dim
}

var (
	_ inverse.DifferentiableDensity = (*Posterior)(nil)
	_ inverse.LogProbScorer         = (*Posterior)(nil)
)

// New returns the posterior of a prior and any number of likelihoods of
// independent data. Any density with gonum's LogProb will do for either, a
// distmv.Normal for example.
//
// The dimension is that of the first part with a method Dim() int; New
// returns an error if there is none or if two parts disagree.
func New(pri inverse.Density, likelihoods ...inverse.Density) (*Posterior, error) {
	if pri == nil {
		return nil, fmt.Errorf("posterior: prior is nil")
	}
	p := &Posterior{dim: -1, terms: append([]inverse.Density{pri}, likelihoods...)}
	for i, term := range p.terms {
		name := "prior"
		if i > 0 {
			name = fmt.Sprintf("likelihoods[%d]", i-1)
		}
		if term == nil {
			return nil, fmt.Errorf("posterior: %s is nil", name)
		}
		if d, ok := term.(interface{ Dim() int }); ok {
			switch n := d.Dim(); {
			case p.dim < 0:
				p.dim = n
			case n != p.dim:
				return nil, fmt.Errorf("posterior: %s has dimension %d, the parts before it %d", name, n, p.dim)
			}
		}
		if err := scoreError(term); err != nil && p.noScore == nil {
			p.noScore = fmt.Errorf("posterior: no score: %s: %w", name, err)
		}
		if d, ok := term.(inverse.DifferentiableDensity); ok {
			p.scored = append(p.scored, d)
		}
	}
	if p.dim < 0 {
		return nil, fmt.Errorf("posterior: no part has a method Dim() int")
	}
	p.scratch.New = func() any {
		s := make([]float64, p.dim)
		return &s
	}
	return p, nil
}

// scoreError says why a density has no score, or returns nil if it has one.
func scoreError(d inverse.Density) error {
	if _, ok := d.(inverse.DifferentiableDensity); !ok {
		return fmt.Errorf("%T has no method ScoreInput", d)
	}
	if c, ok := d.(interface{ Differentiable() error }); ok {
		return c.Differentiable()
	}
	return nil
}

// Dim returns the dimension of x.
func (p *Posterior) Dim() int { return p.dim }

// Differentiable returns nil if every part has a score, and otherwise an
// error that names the part that has none. ScoreInput and LogProbScore then
// panic with that error.
func (p *Posterior) Differentiable() error { return p.noScore }

// Transform returns the prior's transform, by which samplers reach bounded
// parameters, or nil if the prior has no method Transform() prior.Transform.
func (p *Posterior) Transform() prior.Transform {
	if b, ok := p.terms[0].(interface{ Transform() prior.Transform }); ok {
		return b.Transform()
	}
	return nil
}

// LogProb returns the sum of the log densities of the parts at x. It is -Inf
// where one of them is; the parts after that one are not evaluated.
func (p *Posterior) LogProb(x []float64) float64 {
	p.check(x)
	var sum float64
	for _, term := range p.terms {
		sum += term.LogProb(x)
		if math.IsInf(sum, -1) {
			break
		}
	}
	return sum
}

// ScoreInput stores the sum of the scores of the parts at x in score and
// returns it. A nil score is allocated.
func (p *Posterior) ScoreInput(score, x []float64) []float64 {
	p.checkScore(x)
	if score == nil {
		score = make([]float64, p.dim)
	}
	buf := p.scratch.Get().(*[]float64)
	defer p.scratch.Put(buf)
	for i, term := range p.scored {
		if i == 0 {
			term.ScoreInput(score, x)
			continue
		}
		term.ScoreInput(*buf, x)
		add(score, *buf)
	}
	return score
}

// LogProbScore stores the score at x in score and returns the log density,
// sharing work between the two in each part that can. Where the density is
// zero the score is zero.
func (p *Posterior) LogProbScore(score, x []float64) float64 {
	p.checkScore(x)
	buf := p.scratch.Get().(*[]float64)
	defer p.scratch.Put(buf)
	var sum float64
	for i, term := range p.scored {
		g := score
		if i > 0 {
			g = *buf
		}
		if f, ok := term.(inverse.LogProbScorer); ok {
			sum += f.LogProbScore(g, x)
		} else {
			sum += term.LogProb(x)
			if !math.IsInf(sum, -1) {
				term.ScoreInput(g, x)
			}
		}
		if math.IsInf(sum, -1) {
			clear(score)
			break
		}
		if i > 0 {
			add(score, g)
		}
	}
	return sum
}

func (p *Posterior) check(x []float64) {
	if len(x) != p.dim {
		panic(fmt.Sprintf("posterior: x has length %d, want %d", len(x), p.dim))
	}
}

func (p *Posterior) checkScore(x []float64) {
	p.check(x)
	if p.noScore != nil {
		panic(p.noScore)
	}
}

func add(dst, s []float64) {
	for i, v := range s {
		dst[i] += v
	}
}
