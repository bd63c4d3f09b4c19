package nn

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// Linear is a layer σ(xWᵀ + b).
type Linear[T kernel.Float] struct {
	weight, bias autodiff.Param
	act          kernel.Activation
}

// NewLinear adds a layer with the tensors name.weight (out×in) and name.bias
// (out), drawn as PyTorch's torch.nn.Linear.
func NewLinear[T kernel.Float](p *Params[T], name string, in, out int, act kernel.Activation) *Linear[T] {
	return newLinear(p, name, in, out, act, FanIn(in))
}

// NewZeroLinear is NewLinear with parameters that begin at zero, for the last
// layer of what should begin as the identity.
func NewZeroLinear[T kernel.Float](p *Params[T], name string, in, out int, act kernel.Activation) *Linear[T] {
	return newLinear(p, name, in, out, act, Constant(0))
}

func newLinear[T kernel.Float](p *Params[T], name string, in, out int, act kernel.Activation, init Init) *Linear[T] {
	return &Linear[T]{
		weight: p.Add(name+".weight", out, in, init),
		bias:   p.Add(name+".bias", 1, out, init, out),
		act:    act,
	}
}

// Forward returns σ(xWᵀ + b).
func (l *Linear[T]) Forward(t *autodiff.Tape[T], x autodiff.Var) autodiff.Var {
	return t.Linear(x, t.Param(l.weight), t.Param(l.bias), l.act)
}

// ForwardDual is Forward with derivatives.
func (l *Linear[T]) ForwardDual(t *autodiff.Tape[T], x autodiff.Dual) autodiff.Dual {
	return t.LinearDual(x, t.Param(l.weight), t.Param(l.bias), l.act)
}

// MLPOptions are the options of an MLP. The zero value is a linear map.
type MLPOptions struct {
	Hidden   []int             // widths of the hidden layers
	Act      kernel.Activation // of the hidden layers
	ZeroLast bool              // begin as the zero function
}

// MLP is a multilayer perceptron. It is conditioned by further columns of its
// input (ConcatCols).
type MLP[T kernel.Float] struct{ layers []*Linear[T] }

// NewMLP adds a perceptron with the layers name.0, name.1, ...
func NewMLP[T kernel.Float](p *Params[T], name string, in, out int, o *MLPOptions) *MLP[T] {
	if o == nil {
		o = &MLPOptions{}
	}
	m := &MLP[T]{}
	for i, h := range o.Hidden {
		m.layers = append(m.layers, NewLinear(p, fmt.Sprintf("%s.%d", name, i), in, h, o.Act))
		in = h
	}
	last := NewLinear[T]
	if o.ZeroLast {
		last = NewZeroLinear[T]
	}
	m.layers = append(m.layers, last(p, fmt.Sprintf("%s.%d", name, len(o.Hidden)), in, out, kernel.Identity))
	return m
}

// Forward returns the outputs for the rows of x.
func (m *MLP[T]) Forward(t *autodiff.Tape[T], x autodiff.Var) autodiff.Var {
	for _, l := range m.layers {
		x = l.Forward(t, x)
	}
	return x
}

// ForwardDual is Forward with derivatives.
func (m *MLP[T]) ForwardDual(t *autodiff.Tape[T], x autodiff.Dual) autodiff.Dual {
	for _, l := range m.layers {
		x = l.ForwardDual(t, x)
	}
	return x
}
