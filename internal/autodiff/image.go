package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// The operations here take images as rows, the channels of a pixel side by
// side, as Conv does.

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
