package sampler

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse"
)

// bridge is the family of densities between base and target.
type bridge struct {
	target *Target
	base   *Target // or nil for 1
	score  []float64
}

func newBridge(t *Target, base inverse.Density) (*bridge, error) {
	p := &bridge{target: t, score: make([]float64, t.Dim())}
	if base == nil {
		return p, nil
	}
	// The base is that of x, and the target's Jacobian cancels in their ratio
	// only if it is in both.
	b, err := NewTarget(base, t.userDim, t.tr)
	if err != nil {
		return nil, err
	}
	p.base = b
	return p, nil
}

// at returns the density of the path at β, which may change between Sets.
func (p *bridge) at(beta *float64) *Target {
	t := p.target.derive(p.target.Dim(), func(score, x []float64) float64 {
		b := *beta
		if score == nil {
			lp := p.target.LogProb(x)
			if p.base == nil {
				return b * lp
			}
			return p.mix(b, p.base.LogProb(x), lp, x)
		}
		lp := p.target.LogProbScore(score, x)
		for i := range score {
			score[i] *= b
		}
		if p.base == nil || math.IsInf(lp, -1) {
			return b * lp
		}
		base := p.base.LogProbScore(p.score, x)
		for i, g := range p.score {
			score[i] += (1 - b) * g
		}
		return p.mix(b, base, lp, x)
	})
	t.tr = p.target.tr // Gibbs refuses it
	t.score = t.score && (p.base == nil || p.base.score)
	return t
}

// mix returns (1-β) base + β lp, and -Inf where either is.
func (p *bridge) mix(b, base, lp float64, x []float64) float64 {
	if err := p.base.takeErr(); err != nil {
		p.target.fail(base, fmt.Errorf("the base: %w", err), x)
	}
	if math.IsInf(lp, -1) || math.IsInf(base, -1) {
		return math.Inf(-1)
	}
	return (1-b)*base + b*lp
}

// ratio returns log π - log base at x.
func (p *bridge) ratio(x []float64) float64 {
	lp := p.target.LogProb(x)
	if p.base == nil || math.IsInf(lp, -1) {
		return lp
	}
	return lp - p.base.LogProb(x)
}
