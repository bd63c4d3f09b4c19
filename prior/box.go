package prior

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/internal/rng"
)

// BoxOptions are the options of NewBox.
type BoxOptions struct {
	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// Box is the uniform density on a box. LogProb is -Inf outside, and the score
// is 0 there as it is inside. Its Transform is the logit of each side.
type Box struct {
	lower, upper []float64
	logProb      float64
	transform    Transform
	src          rand.Source
}

var (
	_ Prior         = (*Box)(nil)
	_ distmv.Rander = (*Box)(nil)
)

// NewBox returns the uniform density on the box with the given sides. It
// returns an error if the lengths differ or are 0, or unless every side is
// finite with lower[i] < upper[i].
func NewBox(lower, upper []float64, opt *BoxOptions) (*Box, error) {
	if opt == nil {
		opt = &BoxOptions{}
	}
	t, err := Interval(lower, upper)
	if err != nil {
		return nil, fmt.Errorf("prior: Box: %w", err)
	}
	b := &Box{
		lower:     append([]float64(nil), lower...),
		upper:     append([]float64(nil), upper...),
		transform: t,
		src:       rng.Or(opt.Src),
	}
	for i, l := range lower {
		if math.IsInf(l, 0) || math.IsInf(upper[i], 0) {
			return nil, fmt.Errorf("prior: Box: side %d, from %g to %g, is not finite", i, l, upper[i])
		}
		b.logProb -= math.Log(upper[i] - l)
	}
	return b, nil
}

// Dim returns the number of sides.
func (b *Box) Dim() int { return len(b.lower) }

// LogProb returns minus the log volume of the box, or -Inf if x is outside.
func (b *Box) LogProb(x []float64) float64 {
	checkPoint(x, b.Dim())
	for i, v := range x {
		if !(v >= b.lower[i] && v <= b.upper[i]) {
			return math.Inf(-1)
		}
	}
	return b.logProb
}

// ScoreInput sets score to 0 and returns it. A nil score is allocated.
func (b *Box) ScoreInput(score, x []float64) []float64 { return scoreOf(b, score, x) }

// LogProbScore sets score to 0 and returns the log density.
func (b *Box) LogProbScore(score, x []float64) float64 {
	checkPoint(score, b.Dim())
	clear(score)
	return b.LogProb(x)
}

// Rand draws from the options' source into x, which is allocated if nil.
func (b *Box) Rand(x []float64) []float64 { return randOf(b, x, b.src) }

// Draw fills the rows of dst with independent draws from src.
func (b *Box) Draw(dst *mat.Dense, src rand.Source) {
	drawRows(b, dst, src)
}

func (b *Box) draw(x []float64, src rand.Source) {
	r := rand.New(src)
	for i, l := range b.lower {
		x[i] = l + (b.upper[i]-l)*r.Float64()
	}
}

// Transform returns the logit transform of the box.
func (b *Box) Transform() Transform { return b.transform }
