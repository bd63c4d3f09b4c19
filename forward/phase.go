package forward

import (
	"errors"
	"fmt"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Phase is the forward model of phase retrieval, the intensities
// A(x)_i = |(Bx)_i|² of a linear operator B whose phases are lost. For a real
// B they are the squares of Bx, whose signs are lost.
//
// A Phase is safe for concurrent use if B is.
type Phase struct {
	b    inverse.Linear
	m, n int
	rows int       // of B: m, or 2m if it is complex
	pool sync.Pool // *phaseLinearization
}

var (
	_ inverse.Differentiable = (*Phase)(nil)
	_ inverse.Linearizer     = (*Phase)(nil)
)

// PhaseOptions are the options of [NewPhase].
type PhaseOptions struct {
	// Complex is set if the data of B are complex numbers: the real parts of
	// all of them, and then the imaginary parts, as [NewFourier] has them.
	Complex bool
}

// NewPhase returns the intensities |Bx|². A nil opts means defaults.
func NewPhase(b inverse.Linear, opts *PhaseOptions) (*Phase, error) {
	if b == nil {
		return nil, errors.New("forward: b is nil")
	}
	rows, n := b.Dims()
	if rows <= 0 || n <= 0 {
		return nil, fmt.Errorf("forward: b is %d×%d", rows, n)
	}
	o := &Phase{b: b, m: rows, n: n, rows: rows}
	if opts != nil && opts.Complex {
		if rows%2 != 0 {
			return nil, fmt.Errorf("forward: b has %d data, want an even number: real and imaginary parts", rows)
		}
		o.m = rows / 2
	}
	return o, nil
}

// Dims returns the number m of intensities and the number n of unknowns.
func (o *Phase) Dims() (m, n int) { return o.m, o.n }

// Apply sets the rows of dst to |B x_i|².
func (o *Phase) Apply(dst, x *mat.Dense) {
	l := o.linearization()
	l.Apply(dst, x)
	o.pool.Put(l)
}

// VJP sets the rows of dst to J(x_i)ᵀy_i = 2 Re B*(y_i ∘ B x_i).
func (o *Phase) VJP(dst, x, y *mat.Dense) {
	checkBatch(dst, o.n, x, o.n)
	l := o.linearization()
	l.multiply(x)
	l.VJP(dst, y)
	o.pool.Put(l)
}

// Linearize returns a workspace that evaluates the intensities and their
// vector-Jacobian product with one application of B.
func (o *Phase) Linearize() inverse.Linearization { return &phaseLinearization{op: o} }

func (o *Phase) linearization() *phaseLinearization {
	if l, ok := o.pool.Get().(*phaseLinearization); ok {
		return l
	}
	return &phaseLinearization{op: o}
}

type phaseLinearization struct {
	op     *Phase
	bx, by mat.Dense // B x, and what is pulled back by B
}

// multiply sets bx to B x.
func (l *phaseLinearization) multiply(x *mat.Dense) {
	r, _ := x.Dims()
	l.bx.Reset()
	l.bx.ReuseAs(r, l.op.rows)
	l.op.b.Apply(&l.bx, x)
}

func (l *phaseLinearization) Apply(dst, x *mat.Dense) {
	checkBatch(dst, l.op.m, x, l.op.n)
	l.multiply(x)
	r, _ := x.Dims()
	for i := range r {
		out := dst.RawRowView(i)
		clear(out)
		for bx := l.bx.RawRowView(i); len(bx) > 0; bx = bx[l.op.m:] {
			for j, v := range bx[:l.op.m] {
				out[j] += v * v
			}
		}
	}
}

func (l *phaseLinearization) VJP(dst, y *mat.Dense) {
	checkBatch(dst, l.op.n, y, l.op.m)
	r, _ := y.Dims()
	if have, _ := l.bx.Dims(); have != r {
		panic("forward: VJP of a linearization without Apply to as many rows")
	}
	l.by.Reset()
	l.by.ReuseAs(r, l.op.rows)
	for i := range r {
		bx, yi, by := l.bx.RawRowView(i), y.RawRowView(i), l.by.RawRowView(i)
		for ; len(bx) > 0; bx, by = bx[l.op.m:], by[l.op.m:] {
			for j, v := range bx[:l.op.m] {
				by[j] = 2 * v * yi[j]
			}
		}
	}
	l.op.b.Adjoint(dst, &l.by)
}
