package flow

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// MADE is the masked autoencoder for distribution estimation of Germain,
// Gregor, Murray and Larochelle (2015), a mass function of bits, x of zeros and
// ones:
//
//	log q(x|y) = Σ_j log Bernoulli(x_j; σ(l_j))
//
// The logit l_j is a linear function of the bits x_1 to x_{j-1} and the
// context, as in a logistic regression, plus that of a masked network.
//
// The bits are not standardised, LogProb is the log of the mass, -Inf at an x
// of other numbers, and draws are exactly 0 and 1. There is no Transform, no
// Regress and no Proposal. Generate sets x_j to 1 where Φ(z_j) > 1 - σ(l_j).
// This map cannot be undone: Invert gives NaN, and -Inf for the log of the
// determinant.
type MADE struct {
	// Hidden are the widths of the hidden layers. If it is empty, it will be
	// defaulted to {50, 50}, or as wide as there are bits if those are more and
	// not Independent: each unit of a layer sees one bit more than the unit
	// before, and what a narrower layer does not see is in the linear function
	// alone.
	Hidden []int
	// Independent makes the bits independent of each other given y: l_j is a
	// function of the context alone.
	Independent bool
}

var (
	_ Architecture = MADE{}
	_ discrete     = MADE{}
)

// discrete is an architecture of a mass function, whose x are left as they
// are.
type discrete interface {
	// check returns an error if x or an option does not suit the architecture.
	check(x *mat.Dense, o *FitOptions) error
	// stray returns the number of the first element of x that has no mass
	// whatever the others are, or -1.
	stray(x []float64) int
}

func (MADE) kind() string { return "made" }

func (MADE) training() training { return estimation }

func (a MADE) resolve(dx, dc int) (Architecture, error) {
	width := 50
	if !a.Independent {
		width = max(width, dx)
	}
	err := widths("MADE", "Hidden", &a.Hidden, width, width)
	return a, err
}

func (MADE) check(x *mat.Dense, o *FitOptions) error {
	switch {
	case o.Transform != nil:
		return errors.New("flow: MADE cannot have a Transform: bits have no unconstrained coordinates")
	case o.Regress:
		return errors.New("flow: MADE cannot have Regress: residuals of bits are no bits; its logits have a linear part of their own")
	}
	rows, _ := x.Dims()
	for i := range rows {
		if j := (MADE{}).stray(x.RawRowView(i)); j >= 0 {
			return fmt.Errorf("flow: row %d of x has %g in column %d, MADE wants bits, 0 or 1", i, x.At(i, j), j)
		}
	}
	return nil
}

func (MADE) stray(x []float64) int {
	for j, v := range x {
		if v != 0 && v != 1 {
			return j
		}
	}
	return -1
}

func (a MADE) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildMADE(p, a, dx, dc)
}
func (a MADE) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildMADE(p, a, dx, dc)
}

// made has the logits
//
//	l = V x + W c + f(x, c)
//
// with a strictly lower triangular V, and a network f that begins as zero and
// has the constants in its last layer. If the bits are independent there is no
// V, and f is one of c.
type made[T kernel.Float] struct {
	d, dc      int
	net        *nn.MADE[T] // nil if the bits are independent
	given      *nn.MLP[T]  // nil if they are not
	linear     autodiff.Param
	hasLinear  bool
	mask       []T // of V and W, side by side
	weight     []T // of the final parameters
	sequential *nn.Sequential[T]
}

var (
	_ density[float32] = (*made[float32])(nil)
	_ network[float32] = (*made[float32])(nil)
)

func buildMADE[T kernel.Float](p *nn.Params[T], a MADE, dx, dc int) network[T] {
	m := &made[T]{d: dx, dc: dc, hasLinear: true}
	if a.Independent {
		m.given = nn.NewMLP(p, "net", max(1, dc), dx, &nn.MLPOptions{Hidden: a.Hidden, Act: kernel.Tanh, ZeroLast: true})
		if m.hasLinear = dc > 0; m.hasLinear {
			m.linear = p.Add("linear.weight", dx, dc, nn.Constant(0))
		}
		return m
	}
	m.net = nn.NewMADE(p, "net", dx, &nn.MADEOptions{Hidden: a.Hidden, Act: kernel.Tanh, Context: dc, ZeroLast: true})
	m.linear = p.Add("linear.weight", dx, dx+dc, nn.Constant(0))
	if p.Err() != nil {
		return m
	}
	m.mask = make([]T, dx*(dx+dc))
	for j := range dx {
		row := m.mask[j*(dx+dc) : (j+1)*(dx+dc)]
		for i := range row {
			if i < j || i >= dx {
				row[i] = 1
			}
		}
	}
	w := p.Of(m.linear)
	kernel.Mul(w, w, m.mask)
	return m
}

// logits records l for rows of bits and contexts.
func (m *made[T]) logits(t *autodiff.Tape[T], x, c autodiff.Var, rows int) autodiff.Var {
	var l autodiff.Var
	in := c
	switch {
	case m.net != nil:
		l = m.net.Forward(t, x, c)
		if in = x; c != 0 {
			in = t.ConcatCols(x, c)
		}
	case m.dc == 0:
		return t.RepeatRows(m.given.Forward(t, t.Fill(1, 1, 0)), rows)
	default:
		l = m.given.Forward(t, c)
	}
	return t.Add(l, t.MaskedLinear(in, t.Param(m.linear), 0, kernel.Identity, m.mask))
}

// logProb uses that the log of σ(l) is -softplus(-l), and that of 1 - σ(l) is
// -softplus(l).
func (m *made[T]) logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	return t.Neg(m.loss(t, nil, x, c))
}

func (m *made[T]) loss(t *autodiff.Tape[T], _ *optim.Block, x, c autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	sign := t.AddConst(t.Scale(-2, x), 1)
	return t.RowSums(t.Softplus(t.Mul(sign, m.logits(t, x, c, rows))))
}

func (m *made[T]) prepare(p *nn.Params[T]) {
	if m.net != nil {
		m.sequential, m.weight = m.net.Sequential(p), p.Of(m.linear)
	}
}

func (m *made[T]) invert(_ *workspace[T], z, logDet, _, _ []T) {
	noInverse(z, logDet)
}

// noInverse is what a mass function has for an inverse.
func noInverse[T kernel.Float](z, logDet []T) {
	nan, inf := T(math.NaN()), T(math.Inf(-1))
	for i := range z {
		z[i] = nan
	}
	for i := range logDet {
		logDet[i] = inf
	}
}

func (m *made[T]) generate(w *workspace[T], z, c []T) {
	rows := len(z) / m.d
	t := w.begin()
	if m.net == nil {
		for i, l := range t.Value(m.logits(t, 0, w.input(c, rows), rows)) {
			z[i] = bit(z[i], l)
		}
		return
	}
	d, n := m.d, m.d+m.dc
	given := w.take(rows * d) // W c
	if m.dc > 0 {
		kernel.Gemm(false, true, rows, d, m.dc, 1, c, m.dc, m.weight[d:], n, 0, given, d)
	} else {
		clear(given)
	}
	m.sequential.Run(z, c, w.take(m.sequential.Scratch(rows)), rows, func(i int, f []T) {
		v := m.weight[i*n : i*n+i]
		for r, l := range f {
			x := z[r*d : r*d+i]
			z[r*d+i] = bit(z[r*d+i], l+given[r*d+i]+kernel.Dot(v, x))
		}
	})
}

// bit returns 1 if Φ(z) > 1 - σ(l) and 0 if not, or NaN. It compares the
// smaller tails, Φ(-z) < σ(l) or Φ(z) > σ(-l).
func bit[T kernel.Float](z, l T) T {
	if z != z || l != l {
		return T(math.NaN())
	}
	tail, odds := -float64(z), float64(l)
	if l > 0 {
		tail, odds = -tail, -odds
	}
	below := math.Erfc(-tail*(1/math.Sqrt2))/2 < 1/(1+math.Exp(-odds))
	if below != (l > 0) {
		return 1
	}
	return 0
}
