package flow

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/prior"
)

// Proposal says what the rows of x were drawn from instead of a prior p. The
// loss is then such that q(x|y) becomes the posterior for the prior p, by the
// automatic posterior transformation of Greenberg, Nonnenmacher and Macke
// (2019), in which the proposal posterior is q(x|y) p̃(x)/p(x)/Z(y).
//
// With Atoms, p̃ is uniform on a few rows, the row itself and others at random,
//
//	-log [q(x_i|y_i)/p(x_i) / Σ_j q(x_j|y_i)/p(x_j)],
//
// for the architectures that are densities: MAF, NSF, Coupling and MDN. With
// Mixture, p̃ is that mixture, p is Gaussian, and Z has a closed form if the
// architecture is MDN.
type Proposal struct {
	// Atoms is the number of rows that are compared, at least 2.
	Atoms int
	// LogPrior has log p of each row, up to a constant, in the coordinates of
	// the network: the unconstrained ones if there is a Transform.
	LogPrior []float64
	// FromPrior, if not nil, says which rows were drawn from the prior itself.
	// They add -log q(x_i|y_i) to the loss.
	FromPrior []bool

	// Mixture is p̃, in the coordinates of the network.
	Mixture *prior.Mixture
	// Prior is p for Mixture.
	Prior *prior.Gaussian
}

// checkObjective checks the options that change the loss of n rows.
func (r *run) checkObjective(n int) error {
	o, f := r.options, r.flow
	if w := o.Weights; w != nil {
		if len(w) != n {
			return fmt.Errorf("flow: there are %d Weights for %d rows", len(w), n)
		}
		for i, v := range w {
			if !(v >= 0) || math.IsInf(v, 0) {
				return fmt.Errorf("flow: Weights[%d] is %g", i, v)
			}
		}
		if !(floats.Sum(w) > 0) || math.IsInf(floats.Sum(w), 0) {
			return fmt.Errorf("flow: the sum of Weights is %g", floats.Sum(w))
		}
		if _, ok := f.arch.(COT); ok {
			return errors.New("flow: COT cannot be trained with Weights")
		}
	}
	if s := o.Start; s != nil && (!reflect.DeepEqual(s.arch, f.arch) || !reflect.DeepEqual(s.embedding, f.embedding) ||
		s.dx != f.dx || s.dy != f.dy || s.du != f.du || s.float64s != f.float64s) {
		return fmt.Errorf("flow: Start is a %T of other options or dimensions", s.arch)
	}
	p := o.Proposal
	if p == nil {
		return nil
	}
	if o.Regress || o.Start != nil && o.Start.trend != nil {
		return errors.New("flow: there is no Regress, nor a Start with it, with a Proposal")
	}
	if p.Mixture != nil || p.Prior != nil {
		if p.Mixture == nil || p.Prior == nil || p.Atoms != 0 {
			return errors.New("flow: a Proposal has Atoms and LogPrior, or Mixture and Prior")
		}
		if _, ok := f.arch.(MDN); !ok {
			return fmt.Errorf("flow: a Proposal that is a Mixture needs an MDN, not a %T", f.arch)
		}
		if p.Mixture.Dim() != f.du || p.Prior.Dim() != f.du {
			return fmt.Errorf("flow: the Proposal has dimensions %d and %d, the network %d", p.Mixture.Dim(), p.Prior.Dim(), f.du)
		}
		return nil
	}
	switch f.arch.(type) {
	case MAF, NSF, Coupling, MDN:
	default:
		return fmt.Errorf("flow: a Proposal with Atoms needs an MAF, NSF, Coupling or MDN, not a %T", f.arch)
	}
	switch {
	case p.Atoms < 2:
		return fmt.Errorf("flow: Proposal.Atoms is %d, want at least 2", p.Atoms)
	case len(p.LogPrior) != n:
		return fmt.Errorf("flow: Proposal.LogPrior has %d elements for %d rows", len(p.LogPrior), n)
	case p.FromPrior != nil && len(p.FromPrior) != n:
		return fmt.Errorf("flow: Proposal.FromPrior has %d elements for %d rows", len(p.FromPrior), n)
	}
	if i := notFinite(p.LogPrior); i >= 0 {
		return fmt.Errorf("flow: Proposal.LogPrior[%d] is %g", i, p.LogPrior[i])
	}
	return nil
}

// newObjective returns what records the losses of the rows of a block, given
// their contexts.
func newObjective[T kernel.Float](r *run, net network[T], xs []T) func(t *autodiff.Tape[T], b *optim.Block, c autodiff.Var) autodiff.Var {
	du := r.flow.du
	objective := func(t *autodiff.Tape[T], b *optim.Block, c autodiff.Var) autodiff.Var {
		return net.loss(t, b, t.InputRows(xs, du, b.Rows), c)
	}
	if p := r.options.Proposal; p != nil && p.Atoms > 0 {
		objective = newAtoms(r, net.(density[T]), xs).loss
	} else if p != nil {
		objective = newCorrected(r, net.(*mdn[T]), xs).loss
	}
	w := r.options.Weights
	if w == nil {
		return objective
	}
	// Each split has a mean weight of 1, so that rates and losses are as usual.
	scaled := make([]T, len(w))
	for _, rows := range [][]int{r.train, r.valid} {
		var sum float64
		for _, i := range rows {
			sum += w[i]
		}
		for _, i := range rows {
			scaled[i] = T(w[i] * float64(len(rows)) / math.Max(sum, math.SmallestNonzeroFloat64))
		}
	}
	return func(t *autodiff.Tape[T], b *optim.Block, c autodiff.Var) autodiff.Var {
		return t.Mul(objective(t, b, c), t.InputRows(scaled, 1, b.Rows))
	}
}

// atoms is the loss that tells a row from others.
type atoms[T kernel.Float] struct {
	net       density[T]
	xs        []T
	logPrior  []T
	fromPrior []T // 1 or 0, nil if none is
	du, count int
	train     []int
	valid     []int
}

func newAtoms[T kernel.Float](r *run, net density[T], xs []T) *atoms[T] {
	p := r.options.Proposal
	a := &atoms[T]{net: net, xs: xs, du: r.flow.du, train: r.train, valid: r.valid}
	top := floats.Max(p.LogPrior)
	for _, v := range p.LogPrior {
		a.logPrior = append(a.logPrior, T(v-top))
	}
	for _, v := range p.FromPrior {
		var one T
		if v {
			one = 1
		}
		a.fromPrior = append(a.fromPrior, one)
	}
	a.count = min(p.Atoms, len(r.train))
	return a
}

func (a *atoms[T]) loss(t *autodiff.Tape[T], b *optim.Block, c autodiff.Var) autodiff.Var {
	pool, m := a.train, a.count
	if b.Valid {
		pool, m = a.valid, min(a.count, len(a.valid))
	}
	// The first atom of each row is the row, the others differ from it and
	// from each other.
	rnd := rand.New(b.Src)
	idx := make([]int, 0, len(b.Rows)*m)
	for _, i := range b.Rows {
		from := len(idx)
		for idx = append(idx, i); len(idx) < from+m; {
			j := pool[rnd.IntN(len(pool))]
			if !contains(idx[from:], j) {
				idx = append(idx, j)
			}
		}
	}
	if c != 0 {
		c = t.RepeatRows(c, m)
	}
	logq := a.net.logProb(t, t.InputRows(a.xs, a.du, idx), c)
	s := t.Reshape(t.Sub(logq, t.InputRows(a.logPrior, 1, idx)), len(b.Rows), m)
	loss := t.Sub(t.LogSumExp(s), t.Cols(s, 0, 1))
	if a.fromPrior != nil {
		own := t.Cols(t.Reshape(logq, len(b.Rows), m), 0, 1)
		loss = t.Sub(loss, t.Mul(own, t.InputRows(a.fromPrior, 1, b.Rows)))
	}
	return loss
}

func contains(x []int, v int) bool {
	for _, w := range x {
		if w == v {
			return true
		}
	}
	return false
}
