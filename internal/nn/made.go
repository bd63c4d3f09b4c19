package nn

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// MADEOptions are the options of a MADE.
type MADEOptions struct {
	Hidden   []int
	Act      kernel.Activation
	Context  int  // dimension of c, 0 for none
	Outputs  int  // for each variable, 1 if 0
	Residual bool // add each hidden layer's input to its output, all hidden layers equally wide
	ZeroLast bool // begin as the zero function
	// Independent makes the outputs functions of the context alone.
	Independent bool
}

// MADE is a masked autoregressive network (Germain et al. 2015): the outputs
// for variable i depend on the variables 1 to i-1 and on the context alone.
// The outputs of a variable stand side by side.
type MADE[T kernel.Float] struct {
	layers []maskedLinear[T]
	o      MADEOptions
}

type maskedLinear[T kernel.Float] struct {
	weight, bias autodiff.Param
	mask         []T
	act          kernel.Activation
}

// NewMADE adds a network of d variables. Variable i has degree i, the context
// degree 0; a hidden unit sees what has at most its degree, an output what has
// a lower one. The degrees of the hidden units go round from 1 to d-1, and
// from 0 if there is a context, so that the first variable depends on it.
func NewMADE[T kernel.Float](p *Params[T], name string, d int, o *MADEOptions) *MADE[T] {
	m := &MADE[T]{o: *o}
	m.o.Outputs = max(o.Outputs, 1)
	for i, h := range o.Hidden {
		if o.Residual && h != o.Hidden[0] {
			p.Fail(errInvalid("MADE", "hidden layer %d is %d wide and layer 0 is %d, residual layers must be equal", i, h, o.Hidden[0]))
		}
	}
	if d <= 0 || o.Context < 0 {
		p.Fail(errInvalid("MADE", "%d variables and a context of %d", d, o.Context))
	}
	if p.Err() != nil {
		return m
	}
	degrees := m.o.inputDegrees(d)
	out := func(j int) int { return j/m.o.Outputs + 1 }
	hidden := func(j int) int { return m.o.hiddenDegree(j, d) }
	for i, h := range o.Hidden {
		var next []int
		m.layers = append(m.layers, newMasked(p, fmt.Sprintf("%s.%d", name, i), degrees, h, hidden, 0, o.Act, false))
		if p.Err() != nil {
			return m
		}
		for j := range h {
			next = append(next, hidden(j))
		}
		degrees = next
	}
	m.layers = append(m.layers, newMasked(p, fmt.Sprintf("%s.%d", name, len(o.Hidden)), degrees, d*m.o.Outputs, out, 1, kernel.Identity, o.ZeroLast))
	return m
}

// inputDegrees returns the degrees of d variables and of the context. If they
// are independent, all variables have the last degree, which nothing sees.
func (o *MADEOptions) inputDegrees(d int) []int {
	degrees := make([]int, d+o.Context)
	for i := range d {
		degrees[i] = i + 1
		if o.Independent {
			degrees[i] = d
		}
	}
	return degrees
}

// hiddenDegree returns the degree of hidden unit j of d variables.
func (o *MADEOptions) hiddenDegree(j, d int) int {
	switch {
	case o.Independent:
		return 0
	case d == 1 || o.Context > 0:
		return j % d
	}
	return 1 + j%(d-1)
}

// newMasked adds a layer whose unit j sees the inputs of degree at most
// degree(j) - strict.
func newMasked[T kernel.Float](p *Params[T], name string, in []int, out int, degree func(j int) int, strict int, act kernel.Activation, zero bool) maskedLinear[T] {
	init := FanIn(len(in))
	if zero {
		init = Constant(0)
	}
	l := maskedLinear[T]{
		weight: p.Add(name+".weight", out, len(in), init),
		bias:   p.Add(name+".bias", 1, out, init, out),
		act:    act,
	}
	if p.Err() != nil {
		return l
	}
	l.mask = make([]T, out*len(in))
	for j := range out {
		for i, d := range in {
			if d <= degree(j)-strict {
				l.mask[j*len(in)+i] = 1
			}
		}
	}
	w := p.Of(l.weight)
	kernel.Mul(w, w, l.mask)
	return l
}

// Forward returns the outputs, r×(d·Outputs), for the variables x (r×d) and
// the contexts c, the zero Var if the network has none.
func (m *MADE[T]) Forward(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	if m.o.Context > 0 {
		x = t.ConcatCols(x, c)
	}
	for i, l := range m.layers {
		y := t.MaskedLinear(x, t.Param(l.weight), t.Param(l.bias), l.act, l.mask)
		if m.o.Residual && i > 0 && i < len(m.layers)-1 {
			y = t.Add(y, x)
		}
		x = y
	}
	return x
}
