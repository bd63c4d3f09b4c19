package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// The operations here take images as rows, the channels of a pixel side by
// side, as Conv does.

// GroupNorm normalises each of the given number of groups of channels of an
// image to mean 0 and variance 1, over its pixels and channels, then scales
// and shifts each channel (Wu and He 2018):
//
//	y = γ_c x̂ + β_c,  x̂ = (x - μ)/√(var + 10⁻⁵)
//
// x has c channels, γ and β are 1×c. With one group and one pixel this is
// layer normalisation. With m elements in a group and d = ȳ ∘ γ,
// x̄ = (d - mean(d) - x̂ mean(d ∘ x̂))/√(var + 10⁻⁵).
func (t *Tape[T]) GroupNorm(x, gamma, beta Var, groups int) Var {
	r, n := t.Dims(x)
	_, c := t.Dims(gamma)
	if c == 0 || n%c != 0 || len(t.nodes[gamma].val) != c || len(t.nodes[beta].val) != c || groups <= 0 || c%groups != 0 {
		t.shapePanic("GroupNorm", x, gamma, beta)
	}
	v, y := t.record(groupNorm[T]{}, node[T]{a: x, b: gamma, c: beta, rows: r, cols: n, k: groups})
	y.aux, y.aux2 = t.floats.take(r*n), t.floats.take(r*groups) // x̂ and 1/√(var + ε)
	xv, gv, bv := t.nodes[x].val, t.nodes[gamma].val, t.nodes[beta].val
	mean, inv := t.floats.take(c), t.floats.take(c)
	sum := t.floats.take(c)
	m := T(n / groups)
	for i := range r {
		xi, hi, yi := xv[i*n:(i+1)*n], y.aux[i*n:(i+1)*n], y.val[i*n:(i+1)*n]
		clear(sum)
		kernel.AddColSums(sum, n/c, c, xi, c)
		spreadGroups(mean, sum, groups, func(s T) T { return s / m })
		clear(sum)
		for p := 0; p < n; p += c {
			h := hi[p : p+c]
			kernel.Sub(h, xi[p:p+c], mean)
			kernel.AddMul(sum, h, h)
		}
		spreadGroups(inv, sum, groups, func(s T) T { return T(1 / math.Sqrt(float64(s/m)+1e-5)) })
		for g := range groups {
			y.aux2[i*groups+g] = inv[g*(c/groups)]
		}
		for p := 0; p < n; p += c {
			h, out := hi[p:p+c], yi[p:p+c]
			kernel.Mul(h, h, inv)
			kernel.Mul(out, h, gv)
			kernel.Add(out, out, bv)
		}
	}
	return v
}

// spreadGroups sets the elements of dst in a group of channels to f of the
// sum of x over the group.
func spreadGroups[T kernel.Float](dst, x []T, groups int, f func(sum T) T) {
	w := len(x) / groups
	for g := range groups {
		v := f(kernel.Sum(x[g*w : (g+1)*w]))
		for j := g * w; j < (g+1)*w; j++ {
			dst[j] = v
		}
	}
}

type groupNorm[T kernel.Float] struct{}

func (groupNorm[T]) backward(t *Tape[T], y *node[T]) {
	gamma := t.nodes[y.b].val
	r, n, c, groups := y.rows, y.cols, len(gamma), y.k
	if g := t.addTo(y.b); g != nil {
		for p := 0; p < r*n; p += c {
			kernel.AddMul(g, y.grad[p:p+c], y.aux[p:p+c])
		}
	}
	if g := t.addTo(y.c); g != nil {
		kernel.AddColSums(g, r*n/c, c, y.grad, c)
	}
	if !t.needs(y.a) {
		return
	}
	s1, s2 := t.floats.take(c), t.floats.take(c)
	m := T(n / groups)
	w := c / groups
	for i := range r {
		di, hi := y.grad[i*n:(i+1)*n], y.aux[i*n:(i+1)*n]
		clear(s1)
		clear(s2)
		for p := 0; p < n; p += c {
			d := di[p : p+c]
			kernel.Mul(d, d, gamma)
			kernel.Add(s1, s1, d)
			kernel.AddMul(s2, d, hi[p:p+c])
		}
		spreadGroups(s1, s1, groups, func(s T) T { return s / m })
		spreadGroups(s2, s2, groups, func(s T) T { return s / m })
		for p := 0; p < n; p += c {
			d, h := di[p:p+c], hi[p:p+c]
			for j := range d {
				d[j] = (d[j] - s1[j] - h[j]*s2[j]) * y.aux2[i*groups+j/w]
			}
		}
	}
	t.give(y.a, y.grad)
}

// Upsample returns images of twice the height and width, each pixel of the
// h×w images x four times; x̄ sums over the four.
func (t *Tape[T]) Upsample(x Var, h, w int) Var {
	return t.resample(upsample[T]{}, "Upsample", x, h, w, true)
}

// AvgPool returns images of half the height and width, each pixel the mean of
// four pixels of the h×w images x, h and w even.
func (t *Tape[T]) AvgPool(x Var, h, w int) Var {
	return t.resample(avgPool[T]{}, "AvgPool", x, h, w, false)
}

type upsample[T kernel.Float] struct{}

func (upsample[T]) backward(t *Tape[T], y *node[T]) {
	sumPixels(t.addTo(y.a), y.grad, y.rows*y.k, y.small, len(t.nodes[y.a].val)/(y.rows*y.k*y.small), 1)
}

type avgPool[T kernel.Float] struct{}

func (avgPool[T]) backward(t *Tape[T], y *node[T]) {
	h, w := y.k/2, y.small/2
	addPixels(t.addTo(y.a), y.grad, y.rows*h, w, len(y.val)/(y.rows*h*w), 0.25)
}

func (t *Tape[T]) resample(o op[T], name string, x Var, h, w int, up bool) Var {
	r, n := t.Dims(x)
	if h <= 0 || w <= 0 || n%(h*w) != 0 || !up && (h%2 != 0 || w%2 != 0) {
		t.shapePanic(name, x)
	}
	cols := n / 4
	if up {
		cols = 4 * n
	}
	v, y := t.record(o, node[T]{a: x, rows: r, cols: cols, k: h, small: w})
	clear(y.val)
	if up {
		addPixels(y.val, t.nodes[x].val, r*h, w, n/(h*w), 1)
	} else {
		sumPixels(y.val, t.nodes[x].val, r*h/2, w/2, n/(h*w), 0.25)
	}
	return v
}

// addPixels adds s times each pixel of small to the four pixels of large that
// it covers. small has h rows of w pixels of c channels, images one below the
// other.
func addPixels[T kernel.Float](large, small []T, h, w, c int, s T) {
	for y := range h {
		for x := range w {
			p := small[(y*w+x)*c:][:c]
			for _, at := range [4]int{0, 1, 2 * w, 2*w + 1} {
				kernel.Axpy(large[(4*y*w+2*x+at)*c:][:c], s, p)
			}
		}
	}
}

// sumPixels is the transpose of addPixels: it adds to small.
func sumPixels[T kernel.Float](small, large []T, h, w, c int, s T) {
	for y := range h {
		for x := range w {
			p := small[(y*w+x)*c:][:c]
			for _, at := range [4]int{0, 1, 2 * w, 2*w + 1} {
				kernel.Axpy(p, s, large[(4*y*w+2*x+at)*c:][:c])
			}
		}
	}
}
