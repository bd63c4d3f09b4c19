package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Ensemble is the mixture Σ_k w_k q_k(x|y) of conditional densities, which is
// seldom worse than the best of them and is less sure where they disagree.
// Its methods are safe for concurrent use if those of its members are.
type Ensemble struct {
	members   []Conditional
	logWeight []float64
	dx, dy    int
}

var _ Conditional = (*Ensemble)(nil)

// NewEnsemble returns the mixture of members with the given weights, which
// need not be normalised; nil means equal ones. The error reports members of
// different dimensions, or weights that are negative or all zero.
func NewEnsemble(members []Conditional, weights []float64) (*Ensemble, error) {
	if len(members) == 0 {
		return nil, errors.New("flow: NewEnsemble: there are no members")
	}
	if weights == nil {
		weights = make([]float64, len(members))
		fill(weights, 1)
	}
	if len(weights) != len(members) {
		return nil, fmt.Errorf("flow: NewEnsemble: %d members and %d weights", len(members), len(weights))
	}
	e := &Ensemble{members: append([]Conditional(nil), members...)}
	e.dx, e.dy = members[0].Dims()
	sum := floats.Sum(weights)
	for i, m := range members {
		if dx, dy := m.Dims(); dx != e.dx || dy != e.dy {
			return nil, fmt.Errorf("flow: NewEnsemble: member %d has dimensions %d and %d, member 0 has %d and %d", i, dx, dy, e.dx, e.dy)
		}
		if w := weights[i]; !(w >= 0 && sum > 0) || math.IsInf(sum, 0) {
			return nil, fmt.Errorf("flow: NewEnsemble: weights[%d] is %g and their sum is %g, want none negative and a finite, positive sum", i, w, sum)
		}
		e.logWeight = append(e.logWeight, math.Log(weights[i]/sum))
	}
	return e, nil
}

// FitEnsemble trains n flows that differ in their initial weights, the order
// of the data and, unless options say which, the rows for validation, and
// returns their mixture. Options are as in [Fit]; Progress may be called
// concurrently, and there is no Checkpoint or Resume.
func FitEnsemble(ctx context.Context, a Architecture, n int, x, y *mat.Dense, options *FitOptions) (*Ensemble, error) {
	if options == nil {
		options = &FitOptions{}
	}
	if n < 1 {
		return nil, fmt.Errorf("flow: FitEnsemble: n is %d, want at least 1", n)
	}
	if options.Checkpoint != nil || options.Resume != nil {
		return nil, errors.New("flow: FitEnsemble: Checkpoint and Resume are of a single flow")
	}
	seed := rng.Seed(options.Src)
	members := make([]Conditional, n)
	err := par.Each(ctx, options.Workers, n, func(i int) error {
		o := *options
		o.Src, o.Workers = rng.New(seed, uint64(i)), 1
		f, err := Fit(ctx, a, x, y, &o)
		members[i] = f
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewEnsemble(members, nil)
}

// Members returns the densities that are mixed. The caller must not modify
// the slice.
func (e *Ensemble) Members() []Conditional { return e.members }

// Dims returns the dimensions of x and of y.
func (e *Ensemble) Dims() (x, y int) { return e.dx, e.dy }

// LogProb sets dst[i] to log Σ_k w_k q_k(x_i|y_i).
func (e *Ensemble) LogProb(dst []float64, x, y *mat.Dense) {
	n := len(dst)
	l := make([]float64, n*len(e.members))
	for k, m := range e.members {
		m.LogProb(l[k*n:(k+1)*n], x, y)
	}
	terms := make([]float64, len(e.members))
	for i := range dst {
		for k, w := range e.logWeight {
			terms[k] = w + l[k*n+i]
		}
		dst[i] = floats.LogSumExp(terms)
	}
}

// Draw fills row i of dst with a draw from the mixture given y_i: each row is
// a draw of a member that is chosen at random.
func (e *Ensemble) Draw(ctx context.Context, dst, y *mat.Dense, src rand.Source) error {
	rows, _ := dst.Dims()
	seed := rng.Seed(src)
	rnd := rand.New(rng.New(seed, 0))
	chosen := make([][]int, len(e.members))
	for i := range rows {
		u, k := rnd.Float64(), 0
		for ; k < len(e.members)-1; k++ {
			if u -= math.Exp(e.logWeight[k]); u < 0 {
				break
			}
		}
		chosen[k] = append(chosen[k], i)
	}
	for k, m := range e.members {
		if len(chosen[k]) == 0 {
			continue
		}
		part, py := mat.NewDense(len(chosen[k]), e.dx, nil), y
		if y != nil {
			if r, _ := y.Dims(); r > 1 {
				py = selectRows(y, chosen[k])
			}
		}
		if err := m.Draw(ctx, part, py, rng.New(seed, uint64(k+1))); err != nil {
			return err
		}
		for i, r := range chosen[k] {
			dst.SetRow(r, part.RawRowView(i))
		}
	}
	return nil
}
