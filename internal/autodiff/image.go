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
//	y = γ h s + β,  h = x - mean(x),  s = 1/√(mean(h²) + 10⁻⁵)
//
// x has c channels, γ and β are 1×c. With one group and one pixel this is
// layer normalisation. With means over a group,
//
//	γ̄ = Σ ȳ h s,  β̄ = Σ ȳ,  x̄ = s γ ȳ - s mean(γ ȳ) - s³ h mean(γ ȳ h)
func (t *Tape[T]) GroupNorm(x, gamma, beta Var, groups int) Var {
	r, n := t.Dims(x)
	_, c := t.Dims(gamma)
	if c == 0 || n%c != 0 || len(t.nodes[gamma].val) != c || len(t.nodes[beta].val) != c || groups <= 0 || c%groups != 0 {
		t.shapePanic("GroupNorm", x, gamma, beta)
	}
	v, y := t.record(groupNorm[T]{}, node[T]{a: x, b: gamma, c: beta, rows: r, cols: n, k: groups})
	y.aux, y.aux2 = t.floats.take(r*n), t.floats.take(r*groups) // h and s
	xv, gv, bv := t.nodes[x].val, t.nodes[gamma].val, t.nodes[beta].val
	w := wide(n, c)
	sum, scale, shift := t.floats.take(w), t.floats.take(w), t.floats.take(w)
	tile(shift, bv)
	m, size := T(n/groups), c/groups
	for i := range r {
		xi, h, yi, si := xv[i*n:(i+1)*n], y.aux[i*n:(i+1)*n], y.val[i*n:(i+1)*n], y.aux2[i*groups:(i+1)*groups]
		clear(sum)
		kernel.AddColSums(sum, n/w, w, xi, w)
		foldRows(sum, w/c)
		for g := range groups {
			mean := kernel.Sum(sum[g*size:(g+1)*size]) / m
			for j := g * size; j < (g+1)*size; j++ {
				scale[j] = -mean
			}
		}
		tile(scale, scale[:c])
		clear(sum)
		for p := 0; p < n; p += w {
			kernel.Add(h[p:p+w], xi[p:p+w], scale)
			kernel.AddMul(sum, h[p:p+w], h[p:p+w])
		}
		foldRows(sum, w/c)
		for g := range groups {
			si[g] = T(1 / math.Sqrt(float64(kernel.Sum(sum[g*size:(g+1)*size])/m)+1e-5))
			kernel.Scale(scale[g*size:(g+1)*size], si[g], gv[g*size:(g+1)*size])
		}
		tile(scale, scale[:c])
		for p := 0; p < n; p += w {
			kernel.Mul(yi[p:p+w], h[p:p+w], scale)
			kernel.Add(yi[p:p+w], yi[p:p+w], shift)
		}
	}
	return v
}

// wide returns a multiple of c of about a thousand elements that divides n,
// itself a multiple of c: operations on channels are done on so many pixels
// at once, with their operand repeated.
func wide(n, c int) int {
	for k := min(n/c, 1024/c); k > 1; k-- {
		if n/c%k == 0 {
			return k * c
		}
	}
	return c
}

// tile repeats x in dst, of which x may be the beginning.
func tile[T kernel.Float](dst, x []T) {
	for n := copy(dst, x); n < len(dst); {
		n += copy(dst[n:], dst[:n])
	}
}

type groupNorm[T kernel.Float] struct{}

func (groupNorm[T]) backward(t *Tape[T], y *node[T]) {
	gamma := t.nodes[y.b].val
	r, n, c, groups := y.rows, y.cols, len(gamma), y.k
	gg, gb := t.addTo(y.b), t.addTo(y.c)
	needsX := t.needs(y.a)
	w := wide(n, c)
	sum, dot := t.floats.take(w), t.floats.take(w) // of ȳ and of ȳ h
	first, second, last := t.floats.take(w), t.floats.take(w), t.floats.take(w)
	m, size := T(n/groups), c/groups
	for i := range r {
		d, h, si := y.grad[i*n:(i+1)*n], y.aux[i*n:(i+1)*n], y.aux2[i*groups:(i+1)*groups]
		clear(sum)
		clear(dot)
		for p := 0; p < n; p += w {
			kernel.Add(sum, sum, d[p:p+w])
			kernel.AddMul(dot, d[p:p+w], h[p:p+w])
		}
		foldRows(sum, w/c)
		foldRows(dot, w/c)
		if gb != nil {
			kernel.Add(gb, gb, sum[:c])
		}
		for g, s := range si {
			lo, hi := g*size, (g+1)*size
			if gg != nil {
				kernel.Axpy(gg[lo:hi], s, dot[lo:hi])
			}
			a := s * kernel.Dot(gamma[lo:hi], sum[lo:hi]) / m
			b := s * s * s * kernel.Dot(gamma[lo:hi], dot[lo:hi]) / m
			for j := lo; j < hi; j++ {
				first[j], second[j], last[j] = s*gamma[j], -b, -a
			}
		}
		if !needsX {
			continue
		}
		tile(first, first[:c])
		tile(second, second[:c])
		tile(last, last[:c])
		for p := 0; p < n; p += w {
			dp := d[p : p+w]
			kernel.Mul(dp, dp, first)
			kernel.AddMul(dp, h[p:p+w], second)
			kernel.Add(dp, dp, last)
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
