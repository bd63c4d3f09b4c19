package prior

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

// ProductOptions are the options of NewProduct and NewIID.
type ProductOptions struct {
	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// Product is a density with independent coordinates, each of a
// one-dimensional distribution. LogProb is -Inf outside the support, where
// the score is 0.
//
// Any type of gonum's stat/distuv with a LogProb is a coordinate. Scores of
// the continuous ones are exact, but for NoncentralT, whose score is a central
// difference; that of a discrete one is 0.
//
// A type of one's own is a coordinate too. Its score is its method
// ScoreInput(x float64) float64 or, failing that, a central difference of
// LogProb, its support is from Quantile(0) to Quantile(1), and Draw uses
// Quantile. Without Quantile, as for gonum's discrete distributions, the
// support is all of R and Draw calls the method Rand() float64, which draws
// from the type's own source and may not be safe for concurrent use.
type Product struct {
	coords    []*univariate
	transform Transform
	src       rand.Source
}

var (
	_ Prior         = (*Product)(nil)
	_ distmv.Rander = (*Product)(nil)
)

// NewProduct returns the density whose coordinate i has distribution
// dists[i]. It returns an error if dists is empty or the parameters of a
// distribution are out of range.
func NewProduct(dists []distuv.LogProber, opt *ProductOptions) (*Product, error) {
	if len(dists) == 0 {
		return nil, errors.New("prior: Product: dists is empty")
	}
	coords := make([]*univariate, len(dists))
	for i, d := range dists {
		var err error
		if coords[i], err = newUnivariate(d); err != nil {
			return nil, fmt.Errorf("prior: Product: dists[%d] %w", i, err)
		}
	}
	return newProduct(coords, opt)
}

// NewIID returns the density of n independent coordinates of one
// distribution. The Laplace prior of sparse unknowns is
//
//	prior.NewIID(n, distuv.Laplace{Scale: 0.1}, nil)
func NewIID(n int, dist distuv.LogProber, opt *ProductOptions) (*Product, error) {
	if n < 1 {
		return nil, fmt.Errorf("prior: IID: n = %d is not positive", n)
	}
	u, err := newUnivariate(dist)
	if err != nil {
		return nil, fmt.Errorf("prior: IID: dist %w", err)
	}
	coords := make([]*univariate, n)
	for i := range coords {
		coords[i] = u
	}
	return newProduct(coords, opt)
}

func newProduct(coords []*univariate, opt *ProductOptions) (*Product, error) {
	if opt == nil {
		opt = &ProductOptions{}
	}
	lower, upper := make([]float64, len(coords)), make([]float64, len(coords))
	for i, c := range coords {
		lower[i], upper[i] = c.lower, c.upper
	}
	t, err := Interval(lower, upper)
	if err != nil {
		return nil, fmt.Errorf("prior: Product: support: %w", err)
	}
	return &Product{coords: coords, transform: t, src: rng.Or(opt.Src)}, nil
}

// Dim returns the number of coordinates.
func (p *Product) Dim() int { return len(p.coords) }

// LogProb returns the log density at x.
func (p *Product) LogProb(x []float64) float64 {
	checkPoint(x, p.Dim())
	sum := 0.0
	for i, c := range p.coords {
		sum += c.value(x[i])
	}
	return sum
}

// ScoreInput stores the score at x in score, which is allocated if nil, and
// returns it.
func (p *Product) ScoreInput(score, x []float64) []float64 { return scoreOf(p, score, x) }

// LogProbScore stores the score in score and returns the log density.
func (p *Product) LogProbScore(score, x []float64) float64 {
	checkPoint(x, p.Dim())
	checkPoint(score, p.Dim())
	sum := 0.0
	for i, c := range p.coords {
		logp, s := c.at(x[i])
		sum += logp
		score[i] = s
	}
	if math.IsInf(sum, -1) {
		clear(score)
	}
	return sum
}

// Rand draws from the options' source into x, which is allocated if nil.
func (p *Product) Rand(x []float64) []float64 { return randOf(p, x, p.src) }

// Draw fills the rows of dst with independent draws from src.
func (p *Product) Draw(dst *mat.Dense, src rand.Source) { drawRows(p, dst, src) }

func (p *Product) draw(x []float64, src rand.Source) {
	for i, c := range p.coords {
		x[i] = c.draw(src)
	}
}

// Transform returns the Interval of the support.
func (p *Product) Transform() Transform { return p.transform }
