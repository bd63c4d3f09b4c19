package prior

import (
	"fmt"
	"math"
)

// TVOptions are the options of NewTV1D and NewTV2D.
type TVOptions struct {
	// Smoothing is the ε below, in the units of x: what is a small
	// difference. If Smoothing is 0, it will be defaulted to 1e-3.
	Smoothing float64
}

// TV is the smoothed isotropic total variation,
//
//	log p(x) = -weight Σ (sqrt(|∇xᵢ|² + ε²) - ε) + const
//
// over the cells i of a line or a grid, stored row by row, where ∇xᵢ holds
// the differences of cell i to the next one in its row and in its column, 0
// at the edge (Rudin, Osher and Fatemi, 1992).
//
// It is improper: a constant can be added to x. LogProb is 0 at a constant x
// and is not normalised. There is nothing to draw from, and so no Draw. For a
// proper relative see RandomWalk and Differences2D.
type TV struct {
	rows, cols  int
	weight, eps float64
}

var _ scored = (*TV)(nil)

// NewTV1D returns the total variation of n cells in a line. It returns an
// error unless n and weight are positive.
func NewTV1D(n int, weight float64, opt *TVOptions) (*TV, error) {
	if n < 1 {
		return nil, fmt.Errorf("prior: TV: n = %d is not positive", n)
	}
	return NewTV2D(1, n, weight, opt)
}

// NewTV2D returns the total variation of a grid. It returns an error unless
// the dimensions and weight are positive.
func NewTV2D(rows, cols int, weight float64, opt *TVOptions) (*TV, error) {
	if rows < 1 || cols < 1 {
		return nil, fmt.Errorf("prior: TV: a grid of %d×%d cells", rows, cols)
	}
	if !(weight > 0) || math.IsInf(weight, 1) {
		return nil, fmt.Errorf("prior: TV: weight is %g, want a positive number", weight)
	}
	eps := 1e-3
	if opt != nil && opt.Smoothing != 0 {
		eps = opt.Smoothing
	}
	if !(eps > 0) || math.IsInf(eps, 1) {
		return nil, fmt.Errorf("prior: TV: Smoothing is %g, want a positive number", eps)
	}
	return &TV{rows: rows, cols: cols, weight: weight, eps: eps}, nil
}

// Dim returns the number of cells.
func (t *TV) Dim() int { return t.rows * t.cols }

// LogProb returns the log density at x up to a constant.
func (t *TV) LogProb(x []float64) float64 {
	checkPoint(x, t.Dim())
	return t.evaluate(nil, x)
}

// ScoreInput stores the score at x in score, which is allocated if nil, and
// returns it.
func (t *TV) ScoreInput(score, x []float64) []float64 { return scoreOf(t, score, x) }

// LogProbScore stores the score in score and returns LogProb(x).
func (t *TV) LogProbScore(score, x []float64) float64 {
	checkPoint(x, t.Dim())
	checkPoint(score, t.Dim())
	clear(score)
	return t.evaluate(score, x)
}

func (t *TV) evaluate(score, x []float64) float64 {
	sum := 0.0
	for i := range t.rows {
		for j := range t.cols {
			k := i*t.cols + j
			var right, down float64
			if j+1 < t.cols {
				right = x[k+1] - x[k]
			}
			if i+1 < t.rows {
				down = x[k+t.cols] - x[k]
			}
			s := right*right + down*down
			root := math.Sqrt(s + t.eps*t.eps)
			sum += s / (root + t.eps) // root - ε without cancellation
			if score == nil {
				continue
			}
			right *= t.weight / root
			down *= t.weight / root
			score[k] += right + down
			if j+1 < t.cols {
				score[k+1] -= right
			}
			if i+1 < t.rows {
				score[k+t.cols] -= down
			}
		}
	}
	return -t.weight * sum
}
