package flow

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// ConditionScorer is a density whose gradient in the condition is known: a
// [Flow] or an [Ensemble].
type ConditionScorer interface {
	Conditional
	// ConditionScore sets dst[i] to log q(x_i|y_i) and row i of score to its
	// gradient in y_i, 0 where the density is 0. The matrix y has a row for each
	// of x. The error says which architecture has no such gradient: all but MAF,
	// NSF, Coupling, MDN, MADE, Counts and PCPMap.
	ConditionScore(dst []float64, score, x, y *mat.Dense) error
}

var (
	_ ConditionScorer = (*Flow)(nil)
	_ ConditionScorer = (*Ensemble)(nil)
)

// ConditionScore is that of [ConditionScorer].
func (f *Flow) ConditionScore(dst []float64, score, x, y *mat.Dense) error {
	rows := f.mustFit("x", x, f.dx, y)
	sr, sc := score.Dims()
	if f.dy == 0 || y.RawMatrix().Rows != rows || sr != rows || sc != f.dy || len(dst) != rows {
		panic(fmt.Sprintf("flow: ConditionScore: x has %d rows, dst has %d elements, score is %d×%d, want rows of y for all and %d columns", rows, len(dst), sr, sc, f.dy))
	}
	return f.each(context.Background(), rows, func(lo, hi int) error {
		s := f.get()
		defer f.pool.Put(s)
		c := f.conditions(s, y, lo, hi)
		outer := f.standardize(s, x, c, lo, hi)
		if !f.net.conditionScore(dst[lo:hi], c, s.x, c) {
			return fmt.Errorf("flow: the density of %T has no gradient in the condition", f.arch)
		}
		f.trend.pullback(c, s.x)
		for i, l := range outer {
			row := score.RawRowView(lo + i)
			floats.DivTo(row, c[i*f.dy:(i+1)*f.dy], f.ys.Scale)
			if dst[lo+i] += l; math.IsInf(l, -1) {
				dst[lo+i] = l
				fill(row, 0)
			}
		}
		return nil
	})
}

// ConditionScore is that of [ConditionScorer]. A member of another type than
// Flow must be one too.
func (e *Ensemble) ConditionScore(dst []float64, score, x, y *mat.Dense) error {
	n := len(dst)
	l := make([]float64, n*len(e.members))
	scores := make([]*mat.Dense, len(e.members))
	for k, m := range e.members {
		s, ok := m.(ConditionScorer)
		if !ok {
			return fmt.Errorf("flow: the density of %T has no gradient in the condition", m)
		}
		scores[k] = mat.NewDense(n, e.dy, nil)
		if err := s.ConditionScore(l[k*n:(k+1)*n], scores[k], x, y); err != nil {
			return err
		}
	}
	terms := make([]float64, len(e.members))
	for i := range dst {
		for k, w := range e.logWeight {
			terms[k] = w + l[k*n+i]
		}
		dst[i] = floats.LogSumExp(terms)
		row := score.RawRowView(i)
		fill(row, 0)
		if math.IsInf(dst[i], -1) {
			continue
		}
		for k := range e.members {
			floats.AddScaled(row, math.Exp(terms[k]-dst[i]), scores[k].RawRowView(i))
		}
	}
	return nil
}
