package flow

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// MDN is the mixture density network of Bishop (1994): q(x|y) is a mixture of
// normal distributions with full covariances, whose weights, means and
// Cholesky factors are functions of the context.
//
// As a flow it is the triangular map of Rosenblatt (1952), z_i = Φ⁻¹(F_i),
// where F_i is the distribution function of x_i given x_1 to x_{i-1}.
type MDN struct {
	Components int   // of the mixture, 10 if 0
	Hidden     []int // widths of the hidden layers, {50, 50} if empty
}

var _ Architecture = MDN{}

func (MDN) kind() string { return "mdn" }

func (MDN) training() training { return estimation }

func (a MDN) resolve(dx, dc int) (Architecture, error) {
	err := errors.Join(
		count("MDN", "Components", &a.Components, 10, 1),
		widths("MDN", "Hidden", &a.Hidden, 50, 50),
	)
	return a, err
}

func (a MDN) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildMDN(p, a, dx, dc)
}
func (a MDN) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildMDN(p, a, dx, dc)
}

// mdn is the mixture of N(m_k, (A_kᵀA_k)⁻¹) with lower triangular A_k: with
// e = A_k (x - m_k),
//
//	log N = Σ_i log a_ii - |e|²/2 - d/2 log 2π
//
// and x_i given x_1 to x_{i-1} is normal with standard deviation 1/a_ii.
type mdn[T kernel.Float] struct {
	d, k, dc int
	net      *nn.MLP[T]
	// The elements of A_k below the diagonal, row by row: the column of each,
	// and the matrix that sums what belongs to a row.
	column []int
	toRow  []T
}

var (
	_ density[float32] = (*mdn[float32])(nil)
	_ network[float32] = (*mdn[float32])(nil)
	_ drawer[float32]  = (*mdn[float32])(nil)
)

func buildMDN[T kernel.Float](p *nn.Params[T], a MDN, dx, dc int) network[T] {
	m := &mdn[T]{d: dx, k: a.Components, dc: dc}
	out := m.k * (1 + 2*dx + dx*(dx-1)/2)
	m.net = nn.NewMLP(p, "net", max(1, dc), out, &nn.MLPOptions{Hidden: a.Hidden, Act: kernel.Tanh})
	if p.Err() != nil {
		return m
	}
	for i := range dx {
		for j := range i {
			m.column = append(m.column, j)
			row := make([]T, dx)
			row[i] = 1
			m.toRow = append(m.toRow, row...)
		}
	}
	return m
}

// mixture records the parameters for rows of contexts: the log weights
// (rows×k) and, with a row for each component, the means, the diagonals of A
// and the elements below.
func (m *mdn[T]) mixture(t *autodiff.Tape[T], c autodiff.Var, rows int) (logWeight, mean, diagonal, below autodiff.Var) {
	if m.dc == 0 {
		c = t.Fill(1, 1, 0)
	}
	raw := m.net.Forward(t, c)
	if m.dc == 0 {
		raw = t.RepeatRows(raw, rows)
	}
	at := 0
	part := func(n int) autodiff.Var {
		v := t.Cols(raw, at, at+m.k*n)
		at += m.k * n
		return t.Reshape(v, rows*m.k, n)
	}
	logWeight = t.LogSoftmax(t.Reshape(part(1), rows, m.k))
	mean = part(m.d)
	diagonal = t.AddConst(t.Softplus(part(m.d)), leastSlope)
	if m.d > 1 {
		below = part(len(m.column))
	}
	return logWeight, mean, diagonal, below
}

func (m *mdn[T]) logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	logWeight, mean, diagonal, below := m.mixture(t, c, rows)
	return m.density(t, x, logWeight, mean, diagonal, below)
}

// density records log q(x|c) for the parameters that mixture has returned.
func (m *mdn[T]) density(t *autodiff.Tape[T], x, logWeight, mean, diagonal, below autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	r := t.Sub(mean, x) // the sign of e does not matter
	e := t.Mul(diagonal, r)
	if m.d > 1 {
		s := t.Input(len(m.column), m.d)
		copy(t.Value(s), m.toRow)
		e = t.Add(e, t.MatMul(false, false, t.Mul(below, t.GatherCols(r, m.column)), s))
	}
	l := t.Sub(t.RowSums(t.Log(diagonal)), t.Scale(0.5, t.RowSums(t.Square(e))))
	l = t.Add(t.Reshape(l, rows, m.k), logWeight)
	return t.AddConst(t.LogSumExp(l), T(-halfLog2Pi*float64(m.d)))
}

func (m *mdn[T]) loss(t *autodiff.Tape[T], _ *optim.Block, x, c autodiff.Var) autodiff.Var {
	return t.Neg(m.logProb(t, x, c))
}

func (m *mdn[T]) prepare(*nn.Params[T]) {}

func (m *mdn[T]) invert(w *workspace[T], z, logDet, x, c []T) {
	m.rosenblatt(w, c, len(logDet), func(r int, given *conditionals) {
		var l float64
		for i := range m.d {
			xi := float64(x[r*m.d+i])
			zi := given.toNormal(xi)
			l += given.logProb(xi) + zi*zi/2 + halfLog2Pi
			given.next(xi)
			z[r*m.d+i] = T(zi)
		}
		logDet[r] = T(l)
	})
}

func (m *mdn[T]) generate(w *workspace[T], z, c []T) {
	m.rosenblatt(w, c, len(z)/m.d, func(r int, given *conditionals) {
		for i := range m.d {
			xi := given.fromNormal(float64(z[r*m.d+i]))
			given.next(xi)
			z[r*m.d+i] = T(xi)
		}
	})
}

// draw replaces the normal draws in z by draws of the mixture: a component by
// its weight, and x = m + A⁻¹z. It is much faster than generate.
func (m *mdn[T]) draw(w *workspace[T], z, c []T, rnd *rand.Rand) {
	t := w.begin()
	rows, d, n := len(z)/m.d, m.d, len(m.column)
	logWeight, mean, diagonal, below := m.mixture(t, w.input(c, rows), rows)
	for r := range rows {
		u, k := rnd.Float64(), 0
		for ; k < m.k-1; k++ {
			if u -= math.Exp(float64(t.Value(logWeight)[r*m.k+k])); u < 0 {
				break
			}
		}
		at := r*m.k + k
		x := z[r*d : (r+1)*d]
		var a []T
		if n > 0 {
			a = t.Value(below)[at*n : (at+1)*n]
		}
		for i := range x {
			for j, v := range a[:i] {
				x[i] -= v * x[j]
			}
			a = a[i:]
			x[i] /= t.Value(diagonal)[at*d+i]
		}
		for i, v := range t.Value(mean)[at*d : (at+1)*d] {
			x[i] += v
		}
	}
}

// rosenblatt calls f for each row with the conditionals of its mixture.
func (m *mdn[T]) rosenblatt(w *workspace[T], c []T, rows int, f func(r int, given *conditionals)) {
	t := w.begin()
	logWeight, mean, diagonal, below := m.mixture(t, w.input(c, rows), rows)
	given := w.conditionals(m.d, m.k)
	n := len(m.column)
	for r := range rows {
		copyTo(given.logWeight, t.Value(logWeight)[r*m.k:])
		copyTo(given.center, t.Value(mean)[r*m.k*m.d:])
		copyTo(given.diagonal, t.Value(diagonal)[r*m.k*m.d:])
		if n > 0 {
			copyTo(given.below, t.Value(below)[r*m.k*n:])
		}
		given.start()
		f(r, given)
	}
}

// copyTo fills dst from the beginning of src.
func copyTo[T kernel.Float](dst []float64, src []T) {
	for i := range dst {
		dst[i] = float64(src[i])
	}
}

// quantile returns the t for which log Φ(t) = l, for l at most log 1/2. As
// log Φ is concave, Newton's method from the left does not overshoot.
func quantile(l float64) float64 {
	t := -math.Sqrt(-2 * l)
	for range 50 {
		v, slope := kernel.LogNormalCDF(t)
		step := (l - v) / slope
		t += step
		if !(math.Abs(step) > 1e-15*math.Abs(t)) {
			break
		}
	}
	return t
}
