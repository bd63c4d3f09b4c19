package flow

import (
	"errors"
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// MAF is the masked autoregressive flow of Papamakarios, Pavlakou and Murray
// (2017): a chain of maps
//
//	z_i = s_i x_i + t_i
//
// whose scales and shifts are functions of x_1 to x_{i-1} and the context,
// with a random permutation of the variables between them. Of a single
// variable it is a normal distribution.
type MAF struct {
	Transforms int   // maps in the chain, 5 if 0
	Hidden     []int // widths of the hidden layers of each, {50, 50} if empty
}

var _ Architecture = MAF{}

func (MAF) kind() string { return "maf" }

func (MAF) training() training { return estimation }

func (a MAF) resolve(dx, dc int) (Architecture, error) {
	err := errors.Join(
		count("MAF", "Transforms", &a.Transforms, 5, 1),
		widths("MAF", "Hidden", &a.Hidden, 50, 50),
	)
	return a, err
}

func (a MAF) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildMAF(p, a, dx, dc)
}
func (a MAF) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildMAF(p, a, dx, dc)
}

func buildMAF[T kernel.Float](p *nn.Params[T], a MAF, dx, dc int) network[T] {
	s := &stack[T]{dx: dx}
	for i := range a.Transforms {
		if p.Err() != nil {
			break
		}
		name := fmt.Sprintf("transforms.%d", i)
		if i > 0 && dx > 1 {
			s.layers = append(s.layers, newPermutation(p, name+".permutation", dx))
		}
		s.layers = append(s.layers, newAutoregressive[T](p, name+".made", dx, dc, a.Hidden, kernel.Tanh, affine[T]{}, false))
	}
	return s
}

// univariate is a family of increasing functions of one variable, which a
// network's outputs select from.
type univariate[T kernel.Float] interface {
	// outputs returns the number of parameters of a function.
	outputs() int
	// identity returns parameters of a function that is near the identity.
	identity(raw []T)
	// forward applies a function to each element of x (r×d), with the
	// parameters in raw (r×(d·outputs)), and returns the logs of the slopes,
	// r×d.
	forward(t *autodiff.Tape[T], x, raw autodiff.Var) (z, logSlope autodiff.Var)
	// inverse replaces each element of z by the inverse of a function at it,
	// with the parameters in raw.
	inverse(w *workspace[T], z, raw []T)
}

// autoregressive is the layer that transforms x_i by a function that x_1 to
// x_{i-1} and the context select, or the context alone.
type autoregressive[T kernel.Float] struct {
	made       *nn.MADE[T]
	bias       string // name of the last layer's
	sequential *nn.Sequential[T]
	f          univariate[T]
	d          int
}

func newAutoregressive[T kernel.Float](p *nn.Params[T], name string, dx, dc int, hidden []int, act kernel.Activation, f univariate[T], independent bool) *autoregressive[T] {
	return &autoregressive[T]{
		made: nn.NewMADE(p, name, dx, &nn.MADEOptions{Hidden: hidden, Act: act, Context: dc, Outputs: f.outputs(), ZeroLast: true, Independent: independent}),
		bias: fmt.Sprintf("%s.%d.bias", name, len(hidden)),
		f:    f,
		d:    dx,
	}
}

func (l *autoregressive[T]) initialize(p *nn.Params[T]) {
	bias, _ := p.Named(l.bias)
	setIdentity(bias, l.f)
}

// setIdentity makes the bias of a last layer select functions near the
// identity.
func setIdentity[T kernel.Float](bias []T, f univariate[T]) {
	for n := f.outputs(); len(bias) >= n; bias = bias[n:] {
		f.identity(bias[:n])
	}
}

func (l *autoregressive[T]) forward(t *autodiff.Tape[T], x, c autodiff.Var) (z, logDet autodiff.Var) {
	z, logSlope := l.f.forward(t, x, l.made.Forward(t, x, c))
	return z, t.RowSums(logSlope)
}

func (l *autoregressive[T]) prepare(p *nn.Params[T]) { l.sequential = l.made.Sequential(p) }

func (l *autoregressive[T]) inverse(w *workspace[T], z, c []T, rows int) {
	column := w.take(rows)
	l.sequential.Run(z, c, w.take(l.sequential.Scratch(rows)), rows, func(i int, raw []T) {
		for r := range column {
			column[r] = z[r*l.d+i]
		}
		l.f.inverse(w, column, raw)
		for r, v := range column {
			z[r*l.d+i] = v
		}
	})
}

// affine are the functions z = s x + t with the parameters t and u,
//
//	s = softplus(u) + least
type affine[T kernel.Float] struct{}

const (
	leastSlope = 1e-3
	unitSlope  = 0.539742417236952 // softplus(unitSlope) + leastSlope is 1
)

func (affine[T]) outputs() int { return 2 }

func (affine[T]) identity(raw []T) { raw[0], raw[1] = 0, unitSlope }

func (affine[T]) forward(t *autodiff.Tape[T], x, raw autodiff.Var) (z, logSlope autodiff.Var) {
	r, d := t.Dims(x)
	pairs := t.Reshape(raw, r*d, 2)
	shift := t.Reshape(t.Cols(pairs, 0, 1), r, d)
	s := t.AddConst(t.Softplus(t.Reshape(t.Cols(pairs, 1, 2), r, d)), leastSlope)
	return t.Add(t.Mul(s, x), shift), t.Log(s)
}

func (affine[T]) inverse(w *workspace[T], z, raw []T) {
	s := w.take(len(z))
	for i := range s {
		s[i] = raw[2*i+1]
	}
	kernel.Activate(kernel.Softplus, s, s)
	for i, v := range s {
		z[i] = (z[i] - raw[2*i]) / (v + leastSlope)
	}
}
