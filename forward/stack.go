package forward

import (
	"fmt"
	"slices"
	"sync"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Sum returns the operator x ↦ Σ_i ops[i](x). It is [inverse.Linear] if all
// are, and otherwise an [inverse.Linearizer] if all have a derivative.
func Sum(ops ...inverse.Operator) (inverse.Operator, error) {
	if err := checkOperators("Sum", ops...); err != nil {
		return nil, err
	}
	m, n := ops[0].Dims()
	for i, op := range ops {
		if mi, ni := op.Dims(); mi != m || ni != n {
			return nil, fmt.Errorf("forward: Sum of operators of different sizes: operator 0 is %d×%d, operator %d is %d×%d", m, n, i, mi, ni)
		}
	}
	return withCapabilities(&summed{ops: slices.Clone(ops)}, ops...), nil
}

// Stack returns the operator x ↦ (ops[0](x), ops[1](x), ...): several
// experiments on the same unknown. It is [inverse.Linear] if all are, and
// otherwise an [inverse.Linearizer] if all have a derivative.
func Stack(ops ...inverse.Operator) (inverse.Operator, error) {
	if err := checkOperators("Stack", ops...); err != nil {
		return nil, err
	}
	s := &stacked{ops: slices.Clone(ops)}
	_, s.n = ops[0].Dims()
	for i, op := range ops {
		m, n := op.Dims()
		if n != s.n {
			return nil, fmt.Errorf("forward: Stack of operators on different unknowns: operator 0 takes %d values, operator %d takes %d", s.n, i, n)
		}
		s.m += m
	}
	return withCapabilities(s, ops...), nil
}

// summed is x ↦ Σ_i ops[i](x).
type summed struct {
	ops  []inverse.Operator
	term scratch
}

func (o *summed) Dims() (m, n int) { return o.ops[0].Dims() }

func (o *summed) Apply(dst, x *mat.Dense) {
	o.ops[0].Apply(dst, x)
	t := o.term.get(dst.Dims())
	for _, op := range o.ops[1:] {
		op.Apply(t, x)
		dst.Add(dst, t)
	}
	o.term.put(t)
}

func (o *summed) Adjoint(dst, y *mat.Dense) {
	o.ops[0].(inverse.Linear).Adjoint(dst, y)
	t := o.term.get(dst.Dims())
	for _, op := range o.ops[1:] {
		op.(inverse.Linear).Adjoint(t, y)
		dst.Add(dst, t)
	}
	o.term.put(t)
}

func (o *summed) Linearize() inverse.Linearization {
	return &summedAt{ops: linearizations(o.ops)}
}

func linearizations(ops []inverse.Operator) []inverse.Linearization {
	ls := make([]inverse.Linearization, len(ops))
	for i, op := range ops {
		ls[i] = mustLinearize(op)
	}
	return ls
}

type summedAt struct {
	ops  []inverse.Linearization
	term mat.Dense
}

func (l *summedAt) Apply(dst, x *mat.Dense) {
	l.ops[0].Apply(dst, x)
	r, c := dst.Dims()
	reshape(&l.term, r, c)
	for _, op := range l.ops[1:] {
		op.Apply(&l.term, x)
		dst.Add(dst, &l.term)
	}
}

func (l *summedAt) VJP(dst, y *mat.Dense) {
	l.ops[0].VJP(dst, y)
	r, c := dst.Dims()
	reshape(&l.term, r, c)
	for _, op := range l.ops[1:] {
		op.VJP(&l.term, y)
		dst.Add(dst, &l.term)
	}
}

// stacked is x ↦ (ops[0](x), ops[1](x), ...).
type stacked struct {
	ops  []inverse.Operator
	m, n int
	term scratch
	part sync.Pool // of *mat.Dense, which are views of some columns
}

func (o *stacked) Dims() (m, n int) { return o.m, o.n }

func (o *stacked) Apply(dst, x *mat.Dense) {
	checkBatch(dst, o.m, x, o.n)
	part := o.view()
	at := 0
	for _, op := range o.ops {
		m, _ := op.Dims()
		columns(part, dst, at, m)
		op.Apply(part, x)
		at += m
	}
	o.part.Put(part)
}

func (o *stacked) Adjoint(dst, y *mat.Dense) {
	checkBatch(dst, o.n, y, o.m)
	part, t := o.view(), o.term.get(dst.Dims())
	at := 0
	for i, op := range o.ops {
		m, _ := op.Dims()
		columns(part, y, at, m)
		if i == 0 {
			op.(inverse.Linear).Adjoint(dst, part)
		} else {
			op.(inverse.Linear).Adjoint(t, part)
			dst.Add(dst, t)
		}
		at += m
	}
	o.term.put(t)
	o.part.Put(part)
}

func (o *stacked) view() *mat.Dense {
	if v, ok := o.part.Get().(*mat.Dense); ok {
		return v
	}
	return new(mat.Dense)
}

// columns makes v the view of the n columns of a from column at on.
func columns(v, a *mat.Dense, at, n int) {
	raw := a.RawMatrix()
	v.SetRawMatrix(blas64.General{Rows: raw.Rows, Cols: n, Stride: raw.Stride, Data: raw.Data[at : (raw.Rows-1)*raw.Stride+at+n]})
}

func (o *stacked) Linearize() inverse.Linearization {
	sizes := make([]int, len(o.ops))
	for i, op := range o.ops {
		sizes[i], _ = op.Dims()
	}
	return &stackedAt{ops: linearizations(o.ops), sizes: sizes}
}

type stackedAt struct {
	ops        []inverse.Linearization
	sizes      []int // the number of data of each
	part, term mat.Dense
}

func (l *stackedAt) Apply(dst, x *mat.Dense) {
	at := 0
	for i, op := range l.ops {
		columns(&l.part, dst, at, l.sizes[i])
		op.Apply(&l.part, x)
		at += l.sizes[i]
	}
}

func (l *stackedAt) VJP(dst, y *mat.Dense) {
	r, c := dst.Dims()
	reshape(&l.term, r, c)
	at := 0
	for i, op := range l.ops {
		columns(&l.part, y, at, l.sizes[i])
		if i == 0 {
			op.VJP(dst, &l.part)
		} else {
			op.VJP(&l.term, &l.part)
			dst.Add(dst, &l.term)
		}
		at += l.sizes[i]
	}
}
