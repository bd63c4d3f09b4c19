package forward

import (
	"math"
	"math/cmplx"
	"sync"

	"github.com/go-inverse/inverse/internal/dft"
)

// circulant is a convolution with periodic boundary, of whose outputs every
// stride-th is kept. In Fourier space output frequency K reads the input
// frequencies k that the coarser grid cannot tell from K, its aliases:
//
//	Y[K] = 1/stride² Σ_{k≡K} H[k] X[k].
//
// So U is the Fourier basis of the output, and the column K of V holds
// conj(H[k])/|H_K| at the aliases of K, with |H_K|² = Σ_k |H[k]|²; the
// singular value is |H_K|/stride. (By stride² is meant the product of the
// strides of the two axes.)
type circulant struct {
	in, out *dft.FFT
	stride  float64
	v       []complex128 // H[k]/|H_K|, stored as the spectrum of the input
	sigma   []float64    // |H_K|/stride, stored as the spectrum of the output
	s       []float64    // the same, in the order of packed coordinates

	// readFrom[i*stride²:(i+1)*stride²] is where the input frequencies that
	// output i reads are stored, and readBy[j] is where the output is that
	// reads input j; both as ^index if the conjugate is stored.
	readFrom, readBy []int32

	work sync.Pool // of *circulantWork
}

type circulantWork struct {
	in, out []complex128
	grid    []float64
}

func newCirculant(row, col axis, g []float64) *circulant {
	c := &circulant{in: dft.NewFFT(row.n, col.n), out: dft.NewFFT(row.m, col.m)}
	c.stride = math.Sqrt(float64(row.stride * col.stride))
	rows, half := c.out.SpectrumDims()
	inRows, inHalf := c.in.SpectrumDims()
	for k := range rows {
		for l := range half {
			for i := k; i < row.n; i += row.m {
				for j := l; j < col.n; j += col.m {
					c.readFrom = append(c.readFrom, stored(i, j, row.n, col.n))
				}
			}
		}
	}
	for k := range inRows {
		for l := range inHalf {
			c.readBy = append(c.readBy, stored(k%row.m, l%col.m, row.m, col.m))
		}
	}

	c.v = transform(c.in, row, col, g)
	symmetrise(c.v, row.n, col.n)
	norm := make([]float64, rows*half)
	c.sigma = make([]float64, rows*half)
	aliases := row.stride * col.stride
	for i := range norm {
		for _, j := range c.readFrom[i*aliases : (i+1)*aliases] {
			norm[i] = math.Hypot(norm[i], cmplx.Abs(c.v[max(j, ^j)]))
		}
		c.sigma[i] = norm[i] / c.stride
	}
	for j, i := range c.readBy {
		if v := norm[max(i, ^i)]; v > 0 {
			c.v[j] /= complex(v, 0)
		} else {
			c.v[j] = complex(1/c.stride, 0)
		}
	}

	c.s = make([]float64, row.m*col.m)
	for i := range c.s {
		k, l := i/col.m, i%col.m
		c.s[i] = c.sigma[k*half+min(l, col.m-l)]
	}
	c.work.New = func() any {
		return &circulantWork{in: make([]complex128, len(c.v)), out: make([]complex128, len(c.sigma)), grid: make([]float64, row.m*col.m)}
	}
	return c
}

// stored returns where frequency (k, l) of a rows×cols grid is stored, as
// ^index if its conjugate is.
func stored(k, l, rows, cols int) int32 {
	if half := cols/2 + 1; l < half {
		return int32(k*half + l)
	} else {
		return ^int32(mod(-k, rows)*half + cols - l)
	}
}

// symmetrise makes a stored spectrum exactly that of a real grid: in the
// columns that are their own conjugates, rounding leaves it only nearly so,
// which matters where the spectrum is itself no more than rounding.
func symmetrise(h []complex128, rows, cols int) {
	half := cols/2 + 1
	for l := 0; l < half; l += max(1, half-1) {
		if l != 0 && 2*l != cols {
			continue
		}
		for k := range rows/2 + 1 {
			a, b := k*half+l, mod(-k, rows)*half+l
			mean := (h[a] + cmplx.Conj(h[b])) / 2
			h[a], h[b] = mean, cmplx.Conj(mean)
		}
	}
}

// project sets w.out to the spectrum of Vᵀx.
func (c *circulant) project(w *circulantWork, x []float64) {
	c.in.Forward(w.in, x)
	aliases := len(c.readFrom) / len(w.out)
	for i := range w.out {
		var sum complex128
		for _, j := range c.readFrom[i*aliases : (i+1)*aliases] {
			if j >= 0 {
				sum += c.v[j] * w.in[j]
			} else {
				sum += cmplx.Conj(c.v[^j] * w.in[^j])
			}
		}
		w.out[i] = sum * complex(1/c.stride, 0)
	}
}

// spread sets dst to Vc, c having the spectrum w.out.
func (c *circulant) spread(dst []float64, w *circulantWork) {
	for j, i := range c.readBy {
		var d complex128
		if i >= 0 {
			d = w.out[i]
		} else {
			d = cmplx.Conj(w.out[^i])
		}
		w.in[j] = cmplx.Conj(c.v[j]) * d * complex(c.stride, 0)
	}
	c.in.Inverse(dst, w.in)
}

func (c *circulant) scale(w *circulantWork) {
	for i, s := range c.sigma {
		w.out[i] *= complex(s, 0)
	}
}

func (c *circulant) apply(dst, x []float64) {
	w := c.work.Get().(*circulantWork)
	c.project(w, x)
	c.scale(w)
	c.out.Inverse(dst, w.out)
	c.work.Put(w)
}

func (c *circulant) adjoint(dst, y []float64) {
	w := c.work.Get().(*circulantWork)
	c.out.Forward(w.out, y)
	c.scale(w)
	c.spread(dst, w)
	c.work.Put(w)
}

func (c *circulant) values() []float64 { return c.s }

func (c *circulant) mulV(dst, coef []float64) {
	w := c.work.Get().(*circulantWork)
	c.out.Unpack(w.out, coef)
	c.spread(dst, w)
	c.work.Put(w)
}

func (c *circulant) mulVT(dst, x []float64) {
	w := c.work.Get().(*circulantWork)
	c.project(w, x)
	c.out.Pack(dst, w.out)
	c.work.Put(w)
}

func (c *circulant) mulU(dst, coef []float64) {
	w := c.work.Get().(*circulantWork)
	c.out.Unpack(w.out, coef)
	c.out.Inverse(dst, w.out)
	c.work.Put(w)
}

func (c *circulant) mulUT(dst, y []float64) {
	w := c.work.Get().(*circulantWork)
	c.out.Forward(w.out, y)
	c.out.Pack(dst, w.out)
	c.work.Put(w)
}
