package prior

import (
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

// DifferencesOptions are the options of NewRandomWalk and NewDifferences2D.
type DifferencesOptions struct {
	// First is the distribution of the first cell; nil means that of a step.
	First distuv.LogProber
	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// RandomWalk is the density of a line of cells with independent steps:
//
//	x₁ ~ First,  xᵢ - xᵢ₋₁ ~ step
//
// Heavy-tailed steps keep edges sharp: distuv.Laplace is the Bayesian total
// variation, distuv.StudentsT with Nu = 1 the Cauchy difference prior
// (Markkanen, Roininen, Huttunen and Lasanen, 2019). It is proper and
// normalised, and its draws are exact. If First or step has bounded support,
// so has the walk, and no Transform belongs to it.
type RandomWalk struct {
	n           int
	first, step *univariate
	src         rand.Source
}

var (
	_ Prior         = (*RandomWalk)(nil)
	_ distmv.Rander = (*RandomWalk)(nil)
)

// NewRandomWalk returns the random walk on n cells. See Product for what may
// be a distribution. It returns an error if n or the parameters of a
// distribution are out of range.
func NewRandomWalk(n int, step distuv.LogProber, opt *DifferencesOptions) (*RandomWalk, error) {
	if n < 1 {
		return nil, fmt.Errorf("prior: RandomWalk: n = %d is not positive", n)
	}
	if opt == nil {
		opt = &DifferencesOptions{}
	}
	first, u, err := opt.laws(step)
	if err != nil {
		return nil, fmt.Errorf("prior: RandomWalk: %w", err)
	}
	return &RandomWalk{n: n, first: first, step: u, src: rng.Or(opt.Src)}, nil
}

func (opt *DifferencesOptions) laws(step distuv.LogProber) (first, u *univariate, err error) {
	if u, err = newUnivariate(step); err != nil {
		return nil, nil, fmt.Errorf("step %w", err)
	}
	if opt.First == nil {
		return u, u, nil
	}
	if first, err = newUnivariate(opt.First); err != nil {
		return nil, nil, fmt.Errorf("option First %w", err)
	}
	return first, u, nil
}

// Dim returns the number of cells.
func (w *RandomWalk) Dim() int { return w.n }

// LogProb returns the log density at x.
func (w *RandomWalk) LogProb(x []float64) float64 {
	checkPoint(x, w.n)
	logp := w.first.value(x[0])
	for i := 1; i < w.n; i++ {
		logp += w.step.value(x[i] - x[i-1])
	}
	return logp
}

// ScoreInput stores the score at x in score, which is allocated if nil, and
// returns it.
func (w *RandomWalk) ScoreInput(score, x []float64) []float64 { return scoreOf(w, score, x) }

// LogProbScore stores the score in score and returns the log density.
func (w *RandomWalk) LogProbScore(score, x []float64) float64 {
	checkPoint(x, w.n)
	checkPoint(score, w.n)
	logp, s := w.first.at(x[0])
	score[0] = s
	for i := 1; i < w.n; i++ {
		l, s := w.step.at(x[i] - x[i-1])
		logp += l
		score[i] = s
		score[i-1] -= s
	}
	return logp
}

// Rand draws from the options' source into x, which is allocated if nil.
func (w *RandomWalk) Rand(x []float64) []float64 { return randOf(w, x, w.src) }

// Draw fills the rows of dst with independent draws from src.
func (w *RandomWalk) Draw(dst *mat.Dense, src rand.Source) { drawRows(w, dst, src) }

func (w *RandomWalk) draw(x []float64, src rand.Source) {
	x[0] = w.first.draw(src)
	for i := 1; i < w.n; i++ {
		x[i] = x[i-1] + w.step.draw(src)
	}
}

// Differences2D is the density on a grid, stored row by row, that is
// proportional to
//
//	First(x₁₁) Π step(xᵢ - xⱼ)
//
// over pairs of cells i, j that are neighbours in a row or a column: Laplace,
// Cauchy or Student-t differences, as RandomWalk has on a line. It is proper,
// since First and the steps along a tree are, but the normalising constant is
// not known: LogProb leaves it out. There are no exact draws, and so no Draw;
// sample it by Markov chains.
type Differences2D struct {
	rows, cols  int
	first, step *univariate
}

var _ scored = (*Differences2D)(nil)

// NewDifferences2D returns the density on a rows×cols grid. See Product for
// what may be a distribution. It returns an error if a dimension or the
// parameters of a distribution are out of range.
func NewDifferences2D(rows, cols int, step distuv.LogProber, opt *DifferencesOptions) (*Differences2D, error) {
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("prior: Differences2D: a grid of %d×%d cells", rows, cols)
	}
	if opt == nil {
		opt = &DifferencesOptions{}
	}
	first, u, err := opt.laws(step)
	if err != nil {
		return nil, fmt.Errorf("prior: Differences2D: %w", err)
	}
	return &Differences2D{rows: rows, cols: cols, first: first, step: u}, nil
}

// Dim returns the number of cells.
func (d *Differences2D) Dim() int { return d.rows * d.cols }

// LogProb returns the log density at x up to a constant.
func (d *Differences2D) LogProb(x []float64) float64 {
	checkPoint(x, d.Dim())
	logp := d.first.value(x[0])
	for i, v := range x {
		if i%d.cols > 0 {
			logp += d.step.value(v - x[i-1])
		}
		if i >= d.cols {
			logp += d.step.value(v - x[i-d.cols])
		}
	}
	return logp
}

// ScoreInput stores the score at x in score, which is allocated if nil, and
// returns it.
func (d *Differences2D) ScoreInput(score, x []float64) []float64 { return scoreOf(d, score, x) }

// LogProbScore stores the score in score and returns LogProb(x).
func (d *Differences2D) LogProbScore(score, x []float64) float64 {
	checkPoint(x, d.Dim())
	checkPoint(score, d.Dim())
	logp, s := d.first.at(x[0])
	clear(score)
	score[0] = s
	for i, v := range x {
		if i%d.cols > 0 {
			l, s := d.step.at(v - x[i-1])
			logp += l
			score[i] += s
			score[i-1] -= s
		}
		if i >= d.cols {
			l, s := d.step.at(v - x[i-d.cols])
			logp += l
			score[i] += s
			score[i-d.cols] -= s
		}
	}
	return logp
}
