package nn

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// Conditioning is how a residual network sees its context c.
type Conditioning uint8

const (
	Concat Conditioning = iota // c is appended to the input
	GLU                        // each block's update is multiplied by sigmoid(Vc + v) (Dauphin et al. 2017)
	FiLM                       // each block's hidden layer h becomes (1 + γ(c)) h + β(c) (Perez et al. 2018)
)

// ResNetOptions are the options of a ResNet.
type ResNetOptions struct {
	Width, Blocks int
	Act           kernel.Activation
	Context       int          // dimension of c, 0 for none
	Condition     Conditioning // how c enters
	LayerNorm     bool         // normalise the input of each block
	ZeroLast      bool         // begin as the zero function
}

// ResNet is a residual perceptron: h₀ = W₀x, then in each block
//
//	h ← h + gate ∘ (W₂ σ(W₁ σ(norm(h))))
//
// and a linear map at the end; the hidden layer, W₁'s output, is what FiLM
// modulates.
type ResNet[T kernel.Float] struct {
	first, last *Linear[T]
	blocks      []resBlock[T]
	o           ResNetOptions
}

type resBlock[T kernel.Float] struct {
	norm      *LayerNorm[T]
	up, down  *Linear[T]
	condition *Linear[T]
}

// NewResNet adds a residual perceptron.
func NewResNet[T kernel.Float](p *Params[T], name string, in, out int, o *ResNetOptions) *ResNet[T] {
	r := &ResNet[T]{o: *o}
	if o.Context > 0 && o.Condition == Concat {
		in += o.Context
	}
	r.first = NewLinear(p, name+".first", in, o.Width, kernel.Identity)
	for i := range o.Blocks {
		var b resBlock[T]
		block := fmt.Sprintf("%s.blocks.%d", name, i)
		if o.LayerNorm {
			b.norm = NewLayerNorm(p, block+".norm", o.Width)
		}
		act := o.Act
		if o.Context > 0 && o.Condition == FiLM {
			act = kernel.Identity // it comes after the modulation
		}
		b.up = NewLinear(p, block+".up", o.Width, o.Width, act)
		b.down = NewLinear(p, block+".down", o.Width, o.Width, kernel.Identity)
		switch {
		case o.Context == 0:
		case o.Condition == GLU:
			b.condition = NewLinear(p, block+".gate", o.Context, o.Width, kernel.Sigmoid)
		case o.Condition == FiLM:
			b.condition = NewZeroLinear(p, block+".film", o.Context, 2*o.Width, kernel.Identity)
		}
		r.blocks = append(r.blocks, b)
	}
	last := NewLinear[T]
	if o.ZeroLast {
		last = NewZeroLinear[T]
	}
	r.last = last(p, name+".last", o.Width, out, kernel.Identity)
	return r
}

// Forward returns the outputs for the rows of x with the contexts c, the zero
// Var if the network has none. GLU may have one for all rows.
func (r *ResNet[T]) Forward(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	if r.o.Context > 0 && r.o.Condition == Concat {
		x = t.ConcatCols(x, c)
	}
	h := r.first.Forward(t, x)
	for _, b := range r.blocks {
		u := h
		if b.norm != nil {
			u = b.norm.Forward(t, u)
		}
		u = b.up.Forward(t, t.Activate(r.o.Act, u))
		if b.condition != nil && r.o.Condition == FiLM {
			u = t.Activate(r.o.Act, modulate(t, u, b.condition.Forward(t, c)))
		}
		u = b.down.Forward(t, u)
		if b.condition != nil && r.o.Condition == GLU {
			u = t.Mul(u, b.condition.Forward(t, c))
		}
		h = t.Add(h, u)
	}
	return r.last.Forward(t, h)
}

// modulate returns (1 + γ) ∘ h + β, where [γ, β] are the columns of film.
func modulate[T kernel.Float](t *autodiff.Tape[T], h, film autodiff.Var) autodiff.Var {
	_, n := t.Dims(film)
	gamma := t.AddConst(t.Cols(film, 0, n/2), 1)
	return t.Add(t.Mul(h, gamma), t.Cols(film, n/2, n))
}

// LayerNorm normalises the columns of each row (Ba, Kiros and Hinton 2016).
type LayerNorm[T kernel.Float] struct {
	scale, shift autodiff.Param
	groups       int
}

// NewLayerNorm adds a layer for n columns, with the tensors name.weight and
// name.bias.
func NewLayerNorm[T kernel.Float](p *Params[T], name string, n int) *LayerNorm[T] {
	return NewGroupNorm(p, name, n, 1)
}

// NewGroupNorm adds the normalisation of groups of the n channels of an image.
func NewGroupNorm[T kernel.Float](p *Params[T], name string, n, groups int) *LayerNorm[T] {
	if groups <= 0 || n%groups != 0 {
		p.Fail(errInvalid("GroupNorm", "%d channels in %d groups", n, groups))
	}
	return &LayerNorm[T]{
		scale:  p.Add(name+".weight", 1, n, Constant(1), n),
		shift:  p.Add(name+".bias", 1, n, Constant(0), n),
		groups: groups,
	}
}

// Forward returns the normalised, scaled and shifted rows.
func (l *LayerNorm[T]) Forward(t *autodiff.Tape[T], x autodiff.Var) autodiff.Var {
	return l.activate(t, x, 0, kernel.Identity)
}

// activate is Forward with what follows in the same pass: FiLM, unless film is
// the zero Var, and an activation.
func (l *LayerNorm[T]) activate(t *autodiff.Tape[T], x, film autodiff.Var, act kernel.Activation) autodiff.Var {
	return t.GroupNorm(x, t.Param(l.scale), t.Param(l.shift), autodiff.Norm{Groups: l.groups, Film: film, Act: act})
}
