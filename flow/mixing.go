package flow

import (
	"fmt"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// permutation is the layer z_i = x_{order(i)}. The order is kept among the
// parameters, where no gradient reaches it, so that a file is complete.
type permutation[T kernel.Float] struct{ order, back []int }

// newPermutation adds a random permutation of d variables.
func newPermutation[T kernel.Float](p *nn.Params[T], name string, d int) *permutation[T] {
	param := p.Add(name, 1, d, func(dst []float64, r *rand.Rand) {
		for i, v := range r.Perm(d) {
			dst[i] = float64(v)
		}
	}, d)
	l := &permutation[T]{order: make([]int, d), back: make([]int, d)}
	if p.Err() != nil {
		return l
	}
	seen := make([]bool, d)
	for i, v := range p.Of(param) {
		k := int(v)
		if !(v >= 0 && v < T(d)) || T(k) != v || seen[k] {
			p.Fail(fmt.Errorf("flow: %s is not a permutation of the numbers 0 to %d", name, d-1))
			return l
		}
		seen[k] = true
		l.order[i], l.back[k] = k, i
	}
	return l
}

func (l *permutation[T]) forward(t *autodiff.Tape[T], x, _ autodiff.Var) (z, logDet autodiff.Var) {
	return t.GatherCols(x, l.order), 0
}

func (l *permutation[T]) prepare(*nn.Params[T]) {}

func (l *permutation[T]) inverse(w *workspace[T], z, _ []T, rows int) {
	d := len(l.back)
	x := w.take(d)
	for r := range rows {
		row := z[r*d : (r+1)*d]
		for i, k := range l.back {
			x[i] = row[k]
		}
		copy(row, x)
	}
}

// linear is the layer z = LUx + b with a unit lower triangular L and an upper
// triangular U, whose diagonal is softplus(u) + 10⁻³ (Oliva et al. 2018). It
// mixes the variables, as a permutation does, but can be trained.
type linear[T kernel.Float] struct {
	d                            int
	lower, upper, diagonal, bias autodiff.Param
	below, above, unit           []T // masks, d×d

	// Of the final parameters: L, U and b.
	l, u, b []T
}

// newLinear adds a layer of d variables that begins as the identity.
func newLinear[T kernel.Float](p *nn.Params[T], name string, d int) *linear[T] {
	l := &linear[T]{
		d:        d,
		lower:    p.Add(name+".lower", d, d, nn.Constant(0)),
		upper:    p.Add(name+".upper", d, d, nn.Constant(0)),
		diagonal: p.Add(name+".diagonal", 1, d, nn.Constant(unitSlope), d),
		bias:     p.Add(name+".bias", 1, d, nn.Constant(0), d),
	}
	if p.Err() != nil {
		return l
	}
	l.below, l.above, l.unit = make([]T, d*d), make([]T, d*d), make([]T, d*d)
	for i := range d {
		l.unit[i*d+i] = 1
		for j := range d {
			if j < i {
				l.below[i*d+j] = 1
			}
			if j > i {
				l.above[i*d+j] = 1
			}
		}
	}
	return l
}

// matrices records L, U and the diagonal of U.
func (l *linear[T]) matrices(t *autodiff.Tape[T]) (lower, upper, diagonal autodiff.Var) {
	constant := func(x []T) autodiff.Var {
		v := t.Input(l.d, l.d)
		copy(t.Value(v), x)
		return v
	}
	unit := constant(l.unit)
	diagonal = t.AddConst(t.Softplus(t.Param(l.diagonal)), leastSlope)
	lower = t.Add(t.Mul(t.Param(l.lower), constant(l.below)), unit)
	upper = t.Add(t.Mul(t.Param(l.upper), constant(l.above)), t.Mul(unit, diagonal))
	return lower, upper, diagonal
}

func (l *linear[T]) forward(t *autodiff.Tape[T], x, _ autodiff.Var) (z, logDet autodiff.Var) {
	lower, upper, diagonal := l.matrices(t)
	z = t.Linear(t.Linear(x, upper, 0, kernel.Identity), lower, t.Param(l.bias), kernel.Identity)
	r, _ := t.Dims(x)
	return z, t.RepeatRows(t.RowSums(t.Log(diagonal)), r)
}

func (l *linear[T]) prepare(p *nn.Params[T]) {
	var t autodiff.Tape[T]
	t.Reset(p.Values, nil)
	lower, upper, _ := l.matrices(&t)
	l.l, l.u, l.b = t.Value(lower), t.Value(upper), p.Of(l.bias)
}

func (l *linear[T]) inverse(_ *workspace[T], z, _ []T, rows int) {
	d := l.d
	for r := range rows {
		x := z[r*d : (r+1)*d]
		for i := range x {
			s := x[i] - l.b[i]
			for j, v := range l.l[i*d : i*d+i] {
				s -= v * x[j]
			}
			x[i] = s
		}
		for i := d - 1; i >= 0; i-- {
			s := x[i]
			for j := i + 1; j < d; j++ {
				s -= l.u[i*d+j] * x[j]
			}
			x[i] = s / l.u[i*d+i]
		}
	}
}
