package flow

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// Coupling is the real-valued non-volume-preserving flow of Dinh,
// Sohl-Dickstein and Bengio (2017): a chain of maps that leave every other
// variable as it is and apply
//
//	z_i = s_i x_i + t_i
//
// to the rest, with scales and shifts that are functions of the former and of
// the context. A trained linear map in between mixes the variables. Of a
// single variable it is a normal distribution.
type Coupling struct {
	Transforms int // maps in the chain, 6 if 0
	Width      int // of the residual networks, 50 if 0
	Blocks     int // of the residual networks, 2 if 0
}

var _ Architecture = Coupling{}

func (Coupling) kind() string { return "coupling" }

func (Coupling) training() training { return estimation }

func (a Coupling) resolve(dx, dc int) (Architecture, error) {
	err := errors.Join(
		count("Coupling", "Transforms", &a.Transforms, 6, 1),
		count("Coupling", "Width", &a.Width, 50, 1),
		count("Coupling", "Blocks", &a.Blocks, 2, 1),
	)
	return a, err
}

func (a Coupling) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildCoupling(p, dx, dc, a.Transforms, a.Width, a.Blocks, univariate[float32](affine[float32]{}))
}

func (a Coupling) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildCoupling(p, dx, dc, a.Transforms, a.Width, a.Blocks, univariate[float64](affine[float64]{}))
}

// buildCoupling returns a stack of couplings by functions of the family f and
// of linear maps.
func buildCoupling[T kernel.Float](p *nn.Params[T], dx, dc, transforms, width, blocks int, f univariate[T]) network[T] {
	s := &stack[T]{dx: dx}
	for i := range transforms {
		if p.Err() != nil {
			break
		}
		name := fmt.Sprintf("transforms.%d", i)
		s.layers = append(s.layers, newCoupling(p, name+".coupling", dx, dc, i%2, width, blocks, f))
		if dx > 1 {
			s.layers = append(s.layers, newLinear(p, name+".linear", dx))
		}
	}
	return s
}

// coupling is the layer that leaves the variables in keep and transforms
// those in change by functions that the former and the context select.
type coupling[T kernel.Float] struct {
	keep, change []int
	merge        []int // order of the variables in keep and change side by side
	net          *nn.ResNet[T]
	bias         string // name of the last layer's
	contexts     int
	f            univariate[T]
}

func newCoupling[T kernel.Float](p *nn.Params[T], name string, dx, dc, parity, width, blocks int, f univariate[T]) *coupling[T] {
	l := &coupling[T]{bias: name + ".last.bias", contexts: dc, f: f, merge: make([]int, dx)}
	for i := range dx {
		if i%2 == parity && dx > 1 {
			l.keep = append(l.keep, i)
		} else {
			l.change = append(l.change, i)
		}
	}
	for i, k := range l.keep {
		l.merge[k] = i
	}
	for i, k := range l.change {
		l.merge[k] = len(l.keep) + i
	}
	l.net = nn.NewResNet(p, name, max(1, len(l.keep)+dc), len(l.change)*f.outputs(), &nn.ResNetOptions{
		Width: width, Blocks: blocks, Act: kernel.ReLU, Context: dc, Condition: nn.GLU, ZeroLast: true,
	})
	return l
}

func (l *coupling[T]) initialize(p *nn.Params[T]) {
	bias, _ := p.Named(l.bias)
	setIdentity(bias, l.f)
}

// functions returns the parameters of the functions, and the variables that
// are kept, the zero Var if there are none. The gates have the contexts of c, or
// one for all rows.
func (l *coupling[T]) functions(t *autodiff.Tape[T], x, c, gates autodiff.Var) (raw, kept autodiff.Var) {
	var in autodiff.Var
	switch {
	case len(l.keep) == 0 && l.contexts == 0:
		r, _ := t.Dims(x)
		in = t.Fill(r, 1, 0) // the functions are the last layer's bias
	case len(l.keep) == 0:
		in = c
	default:
		kept = t.GatherCols(x, l.keep)
		in = kept
		if l.contexts > 0 {
			in = t.ConcatCols(kept, c)
		}
	}
	return l.net.Forward(t, in, gates), kept
}

func (l *coupling[T]) forward(t *autodiff.Tape[T], x, c autodiff.Var) (z, logDet autodiff.Var) {
	raw, kept := l.functions(t, x, c, c)
	z, logSlope := l.f.forward(t, t.GatherCols(x, l.change), raw)
	if kept != 0 {
		z = t.GatherCols(t.ConcatCols(kept, z), l.merge)
	}
	return z, t.RowSums(logSlope)
}

func (l *coupling[T]) prepare(*nn.Params[T]) {}

func (l *coupling[T]) inverse(w *workspace[T], z, c []T, rows int) {
	t := &w.tape
	x := w.input(z, rows)
	given := w.input(c, rows)
	gates := given
	// Draws given one y have the same context in all rows.
	if n := l.contexts; n > 0 && slices.Equal(c[n:], c[:len(c)-n]) {
		gates = t.Rows(given, 0, 1)
	}
	raw, _ := l.functions(t, x, given, gates)
	y := t.Value(t.GatherCols(x, l.change))
	l.f.inverse(w, y, t.Value(raw))
	n, d := len(l.change), len(l.merge)
	for r := range rows {
		for k, i := range l.change {
			z[r*d+i] = y[r*n+k]
		}
	}
}
