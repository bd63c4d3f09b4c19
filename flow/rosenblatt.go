package flow

import (
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/kernel"
)

// conditionals are the distributions of x_i given x_1 to x_{i-1}, one after
// the other, in a mixture of k normal distributions N(m, (AᵀA)⁻¹) in d
// dimensions. Each is a mixture of normal distributions of one variable, in
// which the weight of a component is its posterior probability.
type conditionals struct {
	d, k int
	// Of the mixture: logs of the weights (k), centers and diagonals of A
	// (k×d), and the elements of A below the diagonal, row by row.
	logWeight, center, diagonal, below []float64

	i        int       // the current variable
	x        []float64 // x_1 to x_{i-1}
	w        []float64 // logs of the weights
	mean, sd []float64 // of the components
	buf      []float64
}

func newConditionals(d, k int) *conditionals {
	v := func(n int) []float64 { return make([]float64, n) }
	return &conditionals{
		d: d, k: k,
		logWeight: v(k), center: v(k * d), diagonal: v(k * d), below: v(k * d * (d - 1) / 2),
		x: v(d), w: v(k), mean: v(k), sd: v(k), buf: v(k),
	}
}

// conditionals returns the conditionals that belong to the workspace.
func (w *workspace[T]) conditionals(d, k int) *conditionals {
	if w.given == nil {
		w.given = newConditionals(d, k)
	}
	return w.given
}

// start begins with the first variable.
func (g *conditionals) start() {
	g.i = 0
	copy(g.w, g.logWeight)
	g.condition()
}

// next goes on to the next variable, where that of the current one is x.
func (g *conditionals) next(x float64) {
	for k := range g.w {
		g.w[k] += kernel.LogNormal((x-g.mean[k])/g.sd[k]) - math.Log(g.sd[k])
	}
	floats.AddConst(-floats.LogSumExp(g.w), g.w)
	g.x[g.i] = x
	if g.i++; g.i < g.d {
		g.condition()
	}
}

// condition sets the means and standard deviations for the current variable:
// e_i = Σ_{j≤i} a_ij (x_j - m_j) is standard normal.
func (g *conditionals) condition() {
	i, d := g.i, g.d
	for k := range g.mean {
		a := g.below[k*d*(d-1)/2+i*(i-1)/2:]
		m := g.center[k*d : (k+1)*d]
		var s float64
		for j := range i {
			s += a[j] * (g.x[j] - m[j])
		}
		g.sd[k] = 1 / g.diagonal[k*d+i]
		g.mean[k] = m[i] - s*g.sd[k]
	}
}

// logProb returns the log density of the current variable at x.
func (g *conditionals) logProb(x float64) float64 {
	for k, w := range g.w {
		g.buf[k] = w + kernel.LogNormal((x-g.mean[k])/g.sd[k]) - math.Log(g.sd[k])
	}
	return floats.LogSumExp(g.buf)
}

// tail returns the log of the probability below x, or with sign -1 above it,
// and its derivative in x.
func (g *conditionals) tail(x, sign float64) (l, slope float64) {
	for k, w := range g.w {
		v, _ := kernel.LogNormalCDF(sign * (x - g.mean[k]) / g.sd[k])
		g.buf[k] = w + v
	}
	l = floats.LogSumExp(g.buf)
	for k, w := range g.w {
		slope += sign * math.Exp(w+kernel.LogNormal((x-g.mean[k])/g.sd[k])-l) / g.sd[k]
	}
	return l, slope
}

// toNormal returns Φ⁻¹(F(x)) for the distribution function F of the current
// variable, by the smaller of the two tails.
func (g *conditionals) toNormal(x float64) float64 {
	if l, _ := g.tail(x, 1); l <= -math.Ln2 {
		return quantile(l)
	}
	l, _ := g.tail(x, -1)
	return -quantile(min(l, -math.Ln2))
}

// fromNormal is the inverse of toNormal. The root lies between the smallest
// and the largest of the components' own quantiles; Newton's method in the
// log of the tail is kept inside by bisection.
func (g *conditionals) fromNormal(z float64) float64 {
	lo, hi := math.Inf(1), math.Inf(-1)
	for k, m := range g.mean {
		q := m + g.sd[k]*z
		lo, hi = min(lo, q), max(hi, q)
	}
	sign := 1.0
	if z > 0 {
		sign = -1
	}
	want, _ := kernel.LogNormalCDF(sign * z)
	x := (lo + hi) / 2
	for range 200 {
		l, slope := g.tail(x, sign)
		if sign*(l-want) > 0 {
			hi = x
		} else {
			lo = x
		}
		next := x - (l-want)/slope
		if !(next > lo && next < hi) {
			next = lo + (hi-lo)/2
		}
		if math.Abs(next-x) <= 2e-16*(math.Abs(x)+g.sd[0]*1e-3) {
			return next
		}
		x = next
	}
	return x
}
