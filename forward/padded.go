package forward

import (
	"sync"

	"github.com/go-inverse/inverse/internal/dft"
)

// padded convolves by the Fourier transform of a grid that is large enough
// for the image and its extension beyond the boundary.
type padded struct {
	row, col paddedAxis
	fft      *dft.FFT
	h        []complex128 // the transform of the point spread function
	work     sync.Pool    // of *paddedWork
}

type paddedWork struct {
	grid     []float64
	spectrum []complex128
}

// A paddedAxis says where an axis lies on a circle of size points: x in front,
// and beyond it, or behind 0, the extension.
type paddedAxis struct {
	axis
	size   int
	beyond []beyond // the extension: which x stands where on the circle
}

type beyond struct{ at, source int }

func newPaddedAxis(a axis, b Boundary) paddedAxis {
	first := min(0, a.shift-(a.p-1))
	last := max(a.n-1, a.stride*(a.m-1)+a.shift)
	need := last - first + 1
	if b == Zero {
		// The zeros before and after x may be the same ones.
		need = max(last+1, a.n-first)
	}
	p := paddedAxis{axis: a, size: dft.GoodSize(need)}
	if need == 1 {
		p.size = 1
	}
	for t, j := range a.source {
		if i := t + a.shift - (a.p - 1); j >= 0 && (i < 0 || i >= a.n) {
			p.beyond = append(p.beyond, beyond{mod(i, p.size), j})
		}
	}
	return p
}

func newPadded(row, col axis, g []float64, b Boundary) *padded {
	c := &padded{row: newPaddedAxis(row, b), col: newPaddedAxis(col, b)}
	c.fft = dft.NewFFT(c.row.size, c.col.size)
	c.h = transform(c.fft, row, col, g)
	c.work.New = func() any {
		return &paddedWork{grid: make([]float64, c.row.size*c.col.size), spectrum: make([]complex128, len(c.h))}
	}
	return c
}

// transform returns the spectrum of the convolution with the point spread
// function g, turned by 180°, on the circles of fft.
func transform(fft *dft.FFT, row, col axis, g []float64) []complex128 {
	rows, cols := fft.Dims()
	grid := make([]float64, rows*cols)
	for k := range row.p {
		for l := range col.p {
			at := mod(k-row.shift, rows)*cols + mod(l-col.shift, cols)
			grid[at] += g[(row.p-1-k)*col.p+col.p-1-l]
		}
	}
	h := make([]complex128, rows*(cols/2+1))
	fft.Forward(h, grid)
	return h
}

func (c *padded) apply(dst, x []float64) {
	w := c.work.Get().(*paddedWork)
	clear(w.grid)
	n, size := c.col.n, c.col.size
	for i := range c.row.n {
		c.extendRow(w.grid[i*size:(i+1)*size], x[i*n:(i+1)*n])
	}
	for _, r := range c.row.beyond {
		copy(w.grid[r.at*size:(r.at+1)*size], w.grid[r.source*size:(r.source+1)*size])
	}
	c.fft.Forward(w.spectrum, w.grid)
	for k, h := range c.h {
		w.spectrum[k] *= h
	}
	c.fft.Inverse(w.grid, w.spectrum)
	for i := range c.row.m {
		from, to := w.grid[c.row.stride*i*size:], dst[i*c.col.m:(i+1)*c.col.m]
		for j := range to {
			to[j] = from[c.col.stride*j]
		}
	}
	c.work.Put(w)
}

func (c *padded) extendRow(dst, x []float64) {
	copy(dst, x)
	for _, b := range c.col.beyond {
		dst[b.at] = x[b.source]
	}
}

func (c *padded) adjoint(dst, y []float64) {
	w := c.work.Get().(*paddedWork)
	clear(w.grid)
	n, size := c.col.n, c.col.size
	for i := range c.row.m {
		to, from := w.grid[c.row.stride*i*size:], y[i*c.col.m:(i+1)*c.col.m]
		for j, v := range from {
			to[c.col.stride*j] = v
		}
	}
	c.fft.Forward(w.spectrum, w.grid)
	for k, h := range c.h {
		w.spectrum[k] *= complex(real(h), -imag(h))
	}
	c.fft.Inverse(w.grid, w.spectrum)
	for i := range c.row.n {
		c.foldRow(dst[i*n:(i+1)*n], w.grid[i*size:(i+1)*size], true)
	}
	for _, r := range c.row.beyond {
		c.foldRow(dst[r.source*n:(r.source+1)*n], w.grid[r.at*size:(r.at+1)*size], false)
	}
	c.work.Put(w)
}

// foldRow is the transpose of extendRow; it adds to dst unless first.
func (c *padded) foldRow(dst, z []float64, first bool) {
	if first {
		copy(dst, z)
	} else {
		for j := range dst {
			dst[j] += z[j]
		}
	}
	for _, b := range c.col.beyond {
		dst[b.source] += z[b.at]
	}
}
