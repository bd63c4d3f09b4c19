package nn

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// Fourier gives the features sin(ω_k t) and cos(ω_k t) of a number t, with
// frequencies in geometric progression: the embedding of time in diffusion
// models (Ho, Jain and Abbeel 2020).
type Fourier[T kernel.Float] struct{ freq []T }

// NewFourier returns the embedding with n features, n even, and frequencies
// from lo to hi.
func NewFourier[T kernel.Float](n int, lo, hi float64) *Fourier[T] {
	f := &Fourier[T]{freq: make([]T, n/2)}
	for k := range f.freq {
		u := float64(k) / math.Max(1, float64(n/2-1))
		f.freq[k] = T(lo * math.Pow(hi/lo, u))
	}
	return f
}

// Forward returns the features r×n of the times (r×1).
func (f *Fourier[T]) Forward(t *autodiff.Tape[T], times autodiff.Var) autodiff.Var {
	w := t.Input(1, len(f.freq))
	copy(t.Value(w), f.freq)
	angle := t.MatMul(false, false, times, w)
	return t.ConcatCols(t.Sin(angle), t.Cos(angle))
}

// SetEncoder is a function of a set of vectors that does not depend on their
// order: ρ(mean φ(x_i)) (Zaheer et al. 2017), with perceptrons φ and ρ.
type SetEncoder[T kernel.Float] struct{ phi, rho *MLP[T] }

// NewSetEncoder adds an encoder of sets of vectors of dimension in. Both
// perceptrons have the hidden layers of o; φ has features outputs.
func NewSetEncoder[T kernel.Float](p *Params[T], name string, in, features, out int, o *MLPOptions) *SetEncoder[T] {
	return &SetEncoder[T]{
		phi: NewMLP(p, name+".phi", in, features, o),
		rho: NewMLP(p, name+".rho", features, out, o),
	}
}

// Forward returns the codes, r×out, of r sets of k vectors each: the k rows of
// x (rk×in) after one another. All vectors of weight (rk×1) zero are left out;
// the zero Var means that all count. A set must have at least one that counts.
func (s *SetEncoder[T]) Forward(t *autodiff.Tape[T], x autodiff.Var, k int, weight autodiff.Var) autodiff.Var {
	h := s.phi.Forward(t, x)
	if weight == 0 {
		return s.rho.Forward(t, t.Scale(1/T(k), t.GroupSums(h, k)))
	}
	sum := t.GroupSums(t.Mul(h, weight), k)
	return s.rho.Forward(t, t.Div(sum, t.GroupSums(weight, k)))
}

// ConvNetOptions are the options of a ConvNet.
type ConvNetOptions struct {
	Channels []int // of the layers, each of which halves the height and the width
	Kernel   int   // side of the kernels, odd, 3 if 0
	Act      kernel.Activation
}

// ConvNet encodes images, or sequences as images of height 1: convolutions of
// stride 2 and a linear map.
type ConvNet[T kernel.Float] struct {
	convs []*Conv[T]
	last  *Linear[T]
}

// NewConvNet adds an encoder of h×w images of in channels to vectors.
func NewConvNet[T kernel.Float](p *Params[T], name string, h, w, in, out int, o *ConvNetOptions) *ConvNet[T] {
	n := &ConvNet[T]{}
	k := o.Kernel
	if k == 0 {
		k = 3
	}
	for i, c := range o.Channels {
		conv := NewConv(p, fmt.Sprintf("%s.%d", name, i), &autodiff.Conv{H: h, W: w, In: in, Out: c, KH: min(k, 2*h-1), KW: min(k, 2*w-1), Stride: 2}, o.Act)
		n.convs = append(n.convs, conv)
		h, w = conv.spec.OutDims()
		in = c
	}
	n.last = NewLinear(p, name+".last", h*w*in, out, kernel.Identity)
	return n
}

// Forward returns the codes of the images, one a row.
func (n *ConvNet[T]) Forward(t *autodiff.Tape[T], x autodiff.Var) autodiff.Var {
	for _, c := range n.convs {
		x = c.Forward(t, x)
	}
	return n.last.Forward(t, x)
}

// Conv is a convolutional layer.
type Conv[T kernel.Float] struct {
	weight, bias autodiff.Param
	spec         *autodiff.Conv
	act          kernel.Activation
}

// NewConv adds a layer with the tensors name.weight (Out×KH×KW×In) and
// name.bias (Out), drawn as PyTorch's torch.nn.Conv2d.
func NewConv[T kernel.Float](p *Params[T], name string, spec *autodiff.Conv, act kernel.Activation) *Conv[T] {
	return newConv(p, name, spec, act, FanIn(spec.KH*spec.KW*spec.In))
}

func newConv[T kernel.Float](p *Params[T], name string, spec *autodiff.Conv, act kernel.Activation, init Init) *Conv[T] {
	if spec.H <= 0 || spec.W <= 0 || spec.KH%2 == 0 || spec.KW%2 == 0 || spec.Stride <= 0 {
		p.Fail(errInvalid("Conv", "%+v", *spec))
	}
	return &Conv[T]{
		weight: p.Add(name+".weight", spec.Out, spec.KH*spec.KW*spec.In, init, spec.Out, spec.KH, spec.KW, spec.In),
		bias:   p.Add(name+".bias", 1, spec.Out, init, spec.Out),
		spec:   spec,
		act:    act,
	}
}

// Forward returns the convolved images.
func (c *Conv[T]) Forward(t *autodiff.Tape[T], x autodiff.Var) autodiff.Var {
	return t.Conv(c.spec, x, t.Param(c.weight), t.Param(c.bias), c.act)
}
