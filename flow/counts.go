package flow

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// Counts is a mass function of counts, whole numbers from 0 on: each has what a
// mixture of normal distributions of its root has between √x and √(x+1),
//
//	q(x_j|x_1, ..., x_{j-1}, y) = Σ_k w_k [Φ(a_k (√(x_j+1) - m_k)) - Φ(a_k (√x_j - m_k))]
//
// and of x_j = 0 also what is below 0. Weights w_k, means m_k and inverse scales
// a_k are functions of the counts before and of the context, by the network of
// Germain, Gregor, Murray and Larochelle (2015). The root of a count of Poisson
// or of a binomial distribution is nearly normal, with a spread that does not
// depend on its mean (Anscombe, 1948).
//
// Its LogProb is a log mass, -Inf for what is no count, and draws are counts. A
// normal z maps to the quantile of x_j at Φ(z), which has no inverse: the z of
// any counts are NaN. Counts are at most 2^24, or 2^53 with Float64.
type Counts struct {
	Components int   // of the mixtures, 3 if 0
	Hidden     []int // widths of the hidden layers, {50, 50} if empty, or as many as there are counts if that is more
	// Independent makes the counts independent of each other given y.
	Independent bool
}

var (
	_ Architecture = Counts{}
	_ discrete     = Counts{}
)

func (Counts) kind() string { return "counts" }

func (Counts) training() training { return estimation }

func (a Counts) resolve(dx, dc int) (Architecture, error) {
	width := 50
	if !a.Independent {
		width = max(width, dx)
	}
	err := errors.Join(
		count("Counts", "Components", &a.Components, 3, 1),
		widths("Counts", "Hidden", &a.Hidden, width, width),
	)
	return a, err
}

func (Counts) check(x *mat.Dense, o *FitOptions) error {
	switch {
	case o.Transform != nil:
		return errors.New("flow: Counts cannot have a Transform: counts have no unconstrained coordinates")
	case o.Regress:
		return errors.New("flow: Counts cannot have Regress: residuals of counts are no counts")
	}
	most := float64(1 << 24)
	if o.Float64 {
		most = 1 << 53
	}
	rows, _ := x.Dims()
	for i := range rows {
		row := x.RawRowView(i)
		for j, v := range row {
			if (Counts{}).stray(row[j:j+1]) >= 0 || v > most {
				return fmt.Errorf("flow: row %d of x has %g in column %d, Counts wants whole numbers from 0 to %g", i, v, j, most)
			}
		}
	}
	return nil
}

func (Counts) stray(x []float64) int {
	for j, v := range x {
		if !(v >= 0 && v == math.Trunc(v)) {
			return j
		}
	}
	return -1
}

func (a Counts) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildCounts(p, a, dx, dc)
}
func (a Counts) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildCounts(p, a, dx, dc)
}

// counts has the parameters of the mixtures in the coordinates
//
//	r = (√x - center)/spread
//
// whose constants are kept among the parameters, where no gradient reaches them.
type counts[T kernel.Float] struct {
	d, k           int
	net            *nn.MADE[T]
	bias           string // name of the last layer's
	center, spread autodiff.Param
	sequential     *nn.Sequential[T]
	roots          []float64 // of the final parameters: centers, then spreads
}

var (
	_ density[float32]     = (*counts[float32])(nil)
	_ network[float32]     = (*counts[float32])(nil)
	_ initializer[float32] = (*counts[float32])(nil)
	_ measurer[float32]    = (*counts[float32])(nil)
)

func buildCounts[T kernel.Float](p *nn.Params[T], a Counts, dx, dc int) network[T] {
	m := &counts[T]{d: dx, k: a.Components, bias: fmt.Sprintf("net.%d.bias", len(a.Hidden))}
	m.net = nn.NewMADE(p, "net", dx, &nn.MADEOptions{Hidden: a.Hidden, Act: kernel.Tanh, Context: dc, Outputs: 3 * m.k, ZeroLast: true, Independent: a.Independent})
	m.center = p.Add("center", 1, dx, nn.Constant(0), dx)
	m.spread = p.Add("spread", 1, dx, nn.Constant(1), dx)
	if p.Err() != nil {
		return m
	}
	for j, v := range p.Of(m.spread) {
		if !(v > 0) {
			p.Fail(fmt.Errorf("flow: the spread of counts %d is %v, want it positive", j, v))
		}
	}
	return m
}

// initialize spreads the means of the mixtures.
func (m *counts[T]) initialize(p *nn.Params[T]) {
	bias, _ := p.Named(m.bias)
	for i := range bias {
		if part := i % (3 * m.k); part >= m.k && part < 2*m.k && m.k > 1 {
			bias[i] = T(2*float64(part-m.k)/float64(m.k-1) - 1)
		}
	}
}

// measure sets the constants by the rows of x for training.
func (m *counts[T]) measure(p *nn.Params[T], x *mat.Dense, rows []int) {
	center, spread := p.Of(m.center), p.Of(m.spread)
	root := make([]float64, len(rows))
	for j := range m.d {
		for k, i := range rows {
			root[k] = math.Sqrt(x.At(i, j) + 0.5)
		}
		mean, sd := stat.MeanStdDev(root, nil)
		if !(sd > 0) {
			sd = 1
		}
		center[j], spread[j] = T(mean), T(sd)
	}
}

// below is the lower edge of the counts that are 0, as good as -Inf.
const below = -1e4

// bins records, with a row for each count and a column for each component, the
// upper edges of its bin and the widths, and the middles of the bins as the
// network sees them.
func (m *counts[T]) bins(t *autodiff.Tape[T], x autodiff.Var) (upper, width, middle autodiff.Var) {
	rows, _ := t.Dims(x)
	center, spread := t.Value(t.Param(m.center)), t.Value(t.Param(m.spread))
	n := rows * m.d
	upper, width, middle = t.Input(n, m.k), t.Input(n, m.k), t.Input(rows, m.d)
	up, w, mid := t.Value(upper), t.Value(width), t.Value(middle)
	for i, v := range t.Value(x) {
		c, s := float64(center[i%m.d]), float64(spread[i%m.d])
		a, b := (math.Sqrt(float64(v))-c)/s, (math.Sqrt(float64(v)+1)-c)/s
		mid[i] = T((math.Sqrt(float64(v)+0.5) - c) / s)
		if v == 0 {
			a = below
		}
		for k := i * m.k; k < (i+1)*m.k; k++ {
			up[k], w[k] = T(b), T(b-a)
		}
	}
	return upper, width, middle
}

func (m *counts[T]) logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	return t.Neg(m.loss(t, nil, x, c))
}

func (m *counts[T]) loss(t *autodiff.Tape[T], _ *optim.Block, x, c autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	upper, width, middle := m.bins(t, x)
	raw := t.Reshape(m.net.Forward(t, middle, c), rows*m.d, 3*m.k)
	logWeight := t.LogSoftmax(t.Cols(raw, 0, m.k))
	mean := t.Cols(raw, m.k, 2*m.k)
	a := t.AddConst(t.Exp(t.Cols(raw, 2*m.k, 3*m.k)), leastSlope)
	mass := t.LogNormalMass(t.Mul(a, t.Sub(upper, mean)), t.Mul(a, width))
	log := t.LogSumExp(t.Add(logWeight, mass))
	return t.Neg(t.RowSums(t.Reshape(log, rows, m.d)))
}

func (m *counts[T]) prepare(p *nn.Params[T]) {
	m.sequential = m.net.Sequential(p)
	m.roots = make([]float64, 2*m.d)
	for j := range m.d {
		m.roots[j], m.roots[m.d+j] = float64(p.Of(m.center)[j]), float64(p.Of(m.spread)[j])
	}
}

func (m *counts[T]) invert(_ *workspace[T], z, logDet, _, _ []T) {
	noInverse(z, logDet)
}

func (m *counts[T]) generate(w *workspace[T], z, c []T) {
	rows := len(z) / m.d
	w.begin()
	x := w.take(len(z))
	m.sequential.Run(z, c, w.take(m.sequential.Scratch(rows)), rows, func(j int, raw []T) {
		center, spread := m.roots[j], m.roots[m.d+j]
		for r := range rows {
			i := r*m.d + j
			v := quantileOfCounts(float64(z[i]), raw[r*3*m.k:(r+1)*3*m.k], center, spread)
			x[i], z[i] = T(v), T((math.Sqrt(v+0.5)-center)/spread)
		}
	})
	copy(z, x)
}

// quantileOfCounts returns the least count up to which the mixture with the
// given outputs of the network has a mass of Φ(z).
func quantileOfCounts[T kernel.Float](z float64, raw []T, center, spread float64) float64 {
	n := len(raw) / 3
	top := math.Inf(-1)
	for _, v := range raw[:n] {
		top = math.Max(top, float64(v))
	}
	if math.IsNaN(z) || math.IsNaN(top) {
		return math.NaN()
	}
	component := func(k int) (m, a float64) {
		return float64(raw[n+k]), math.Exp(float64(raw[2*n+k])) + leastSlope
	}
	lo, hi, total := math.Inf(1), math.Inf(-1), 0.0
	for k := range n {
		m, a := component(k)
		lo, hi = math.Min(lo, m+z/a), math.Max(hi, m+z/a)
		total += math.Exp(float64(raw[k]) - top)
	}
	// The smaller tails are compared, the upper ones if z > 0.
	sign := math.Copysign(1, -z)
	tail := func(t float64) float64 { return math.Erfc(-sign * t * (1 / math.Sqrt2)) }
	want := tail(z)
	for range 60 {
		mid := (lo + hi) / 2
		var p float64
		for k := range n {
			m, a := component(k)
			p += math.Exp(float64(raw[k])-top) / total * tail(a*(mid-m))
		}
		if (p < want) == (sign > 0) {
			lo = mid
		} else {
			hi = mid
		}
	}
	root := math.Max(0, center+spread*hi)
	return math.Min(math.Max(0, math.Ceil(root*root-1)), 1<<53)
}
