package flow

import (
	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// layer is an invertible map, in the direction from x to z.
type layer[T kernel.Float] interface {
	// forward returns z and the column log |det ∂z/∂x|, the zero Var for 0.
	forward(t *autodiff.Tape[T], x, c autodiff.Var) (z, logDet autodiff.Var)
	// prepare is called once the parameters are final, before inverse.
	prepare(p *nn.Params[T])
	// inverse replaces the rows of z by x.
	inverse(w *workspace[T], z, c []T, rows int)
}

// stack is a network of layers, applied in order from x to z:
//
//	log q(x|c) = log N(z; 0, I) + log |det ∂z/∂x|
type stack[T kernel.Float] struct {
	dx     int
	layers []layer[T]
}

var (
	_ density[float32]     = (*stack[float32])(nil)
	_ network[float32]     = (*stack[float32])(nil)
	_ initializer[float32] = (*stack[float32])(nil)
)

func (s *stack[T]) initialize(p *nn.Params[T]) {
	for _, l := range s.layers {
		if l, ok := l.(initializer[T]); ok {
			l.initialize(p)
		}
	}
}

func (s *stack[T]) prepare(p *nn.Params[T]) {
	for _, l := range s.layers {
		l.prepare(p)
	}
}

func (s *stack[T]) forward(t *autodiff.Tape[T], x, c autodiff.Var) (z, logDet autodiff.Var) {
	for _, l := range s.layers {
		var d autodiff.Var
		if x, d = l.forward(t, x, c); d == 0 {
			continue
		}
		if logDet != 0 {
			d = t.Add(d, logDet)
		}
		logDet = d
	}
	return x, logDet
}

func (s *stack[T]) logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	return t.Neg(s.loss(t, nil, x, c))
}

// loss records -log q(x|c).
func (s *stack[T]) loss(t *autodiff.Tape[T], _ *optim.Block, x, c autodiff.Var) autodiff.Var {
	z, logDet := s.forward(t, x, c)
	base := t.AddConst(t.Scale(0.5, t.RowSums(t.Square(z))), T(halfLog2Pi*float64(s.dx)))
	return t.Sub(base, logDet)
}

func (s *stack[T]) invert(w *workspace[T], z, logDet, x, c []T) {
	t, rows := w.begin(), len(logDet)
	zv, dv := s.forward(t, w.input(x, rows), w.input(c, rows))
	copy(z, t.Value(zv))
	copy(logDet, t.Value(dv))
}

func (s *stack[T]) generate(w *workspace[T], z, c []T) {
	rows := len(z) / s.dx
	for i := len(s.layers) - 1; i >= 0; i-- {
		w.begin()
		s.layers[i].inverse(w, z, c, rows)
	}
}
