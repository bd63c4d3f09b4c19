// Package dft holds the fast transforms of real rows×cols grids stored row by
// row: the Fourier transform ([FFT]), and the orthonormal cosine ([DCT]) and
// sine ([DST]) transforms, which diagonalise convolutions and differences with
// periodic, reflecting and zero boundaries.
//
//	t := dft.NewDCT(480, 640)
//	t.Forward(coef, image)
//	for k := range coef {
//		coef[k] *= gain[k]
//	}
//	t.Inverse(image, coef)
//
// Any size is allowed. A one-dimensional transform of length n is that of a
// 1×n grid. Transforms are safe for concurrent use and do not allocate in
// steady state.
package dft

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"
)

// strip is the number of columns that are gathered and transformed together:
// a cache line of float64.
const strip = 8

// FFT is the discrete Fourier transform of real grids.
//
// The spectrum of a real grid is Hermitian, so only its columns 0, ...,
// cols/2 are stored, row by row:
//
//	c[k,l] = Σ_ij x[i,j] exp(-2πi (k i/rows + l j/cols)),  l ≤ cols/2.
type FFT struct {
	rows, cols, half int
	row, col         sync.Pool
}

// complexStrip is the workspace of the column pass.
type complexStrip struct {
	fft *fourier.CmplxFFT
	buf []complex128
}

// NewFFT returns the transform of rows×cols grids. It panics if rows or cols
// is not positive.
func NewFFT(rows, cols int) *FFT {
	checkGrid(rows, cols)
	t := &FFT{rows: rows, cols: cols, half: cols/2 + 1}
	t.row.New = func() any { return fourier.NewFFT(cols) }
	t.col.New = func() any {
		return &complexStrip{fft: fourier.NewCmplxFFT(rows), buf: make([]complex128, rows*strip)}
	}
	return t
}

// Dims returns the size of the grid.
func (t *FFT) Dims() (rows, cols int) { return t.rows, t.cols }

// SpectrumDims returns the size rows×(cols/2+1) of the stored spectrum.
func (t *FFT) SpectrumDims() (rows, half int) { return t.rows, t.half }

// Forward sets dst, the stored spectrum, to the transform of the grid src.
// It is not normalised.
func (t *FFT) Forward(dst []complex128, src []float64) {
	t.check(dst, src)
	fft := t.row.Get().(*fourier.FFT)
	for i := range t.rows {
		fft.Coefficients(dst[i*t.half:(i+1)*t.half], src[i*t.cols:(i+1)*t.cols])
	}
	t.row.Put(fft)
	t.columns(dst, false)
}

// Inverse sets the grid dst to the inverse transform of the stored spectrum
// src, so that Inverse undoes Forward. It overwrites src.
//
// Where the spectrum of a real grid is real by symmetry, the imaginary part
// of src has no effect.
func (t *FFT) Inverse(dst []float64, src []complex128) {
	t.check(src, dst)
	t.columns(src, true)
	fft := t.row.Get().(*fourier.FFT)
	scale := 1 / float64(t.rows*t.cols)
	for i := range t.rows {
		row := dst[i*t.cols : (i+1)*t.cols]
		fft.Sequence(row, src[i*t.half:(i+1)*t.half])
		for j := range row {
			row[j] *= scale
		}
	}
	t.row.Put(fft)
}

// columns transforms the columns of the spectrum c in place.
func (t *FFT) columns(c []complex128, inverse bool) {
	if t.rows == 1 {
		return
	}
	w := t.col.Get().(*complexStrip)
	for lo := 0; lo < t.half; lo += strip {
		width := min(strip, t.half-lo)
		for i := range t.rows {
			for j, v := range c[i*t.half+lo : i*t.half+lo+width] {
				w.buf[j*t.rows+i] = v
			}
		}
		for j := range width {
			col := w.buf[j*t.rows : (j+1)*t.rows]
			if inverse {
				w.fft.Sequence(col, col)
			} else {
				w.fft.Coefficients(col, col)
			}
		}
		for i := range t.rows {
			dst := c[i*t.half+lo : i*t.half+lo+width]
			for j := range dst {
				dst[j] = w.buf[j*t.rows+i]
			}
		}
	}
	t.col.Put(w)
}

func (t *FFT) check(spectrum []complex128, grid []float64) {
	if len(grid) != t.rows*t.cols || len(spectrum) != t.rows*t.half {
		panic(fmt.Sprintf("dft: a grid of %d and a spectrum of %d values for a %d×%d transform", len(grid), len(spectrum), t.rows, t.cols))
	}
}

func checkGrid(rows, cols int) {
	if rows < 1 || cols < 1 {
		panic(fmt.Sprintf("dft: grid of %d×%d", rows, cols))
	}
}

// GoodSize returns the smallest even number that is at least n and has no
// prime factor above 5, for which transforms are fastest.
func GoodSize(n int) int {
	best := math.MaxInt
	for p5 := 1; p5 < 5*max(n, 1); p5 *= 5 {
		for p3 := p5; p3 < 3*max(n, p5); p3 *= 3 {
			p := 2 * p3
			for p < n {
				p *= 2
			}
			best = min(best, p)
		}
	}
	return best
}
