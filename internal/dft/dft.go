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

	"github.com/go-inverse/inverse/internal/par"
)

const (
	// strip is the number of rows that a goroutine takes at a time, and of
	// columns that are gathered and transformed together: a cache line of
	// float64.
	strip = 8
	// serial is the number of grid points below which one goroutine does
	// all, as waking others would take longer.
	serial = 64 * 64
)

// run calls pass.Do for the strips of n rows or columns of a grid.
func run(n, points int, pass par.Body) {
	strips := (n + strip - 1) / strip
	if points >= serial {
		par.Run(strips, pass)
		return
	}
	for i := range strips {
		pass.Do(i)
	}
}

// FFT is the discrete Fourier transform of real grids.
//
// The spectrum of a real grid is Hermitian, so only its columns 0, ...,
// cols/2 are stored, row by row:
//
//	c[k,l] = Σ_ij x[i,j] exp(-2πi (k i/rows + l j/cols)),  l ≤ cols/2.
type FFT struct {
	rows, cols, half  int
	row, column, pass sync.Pool // of *fourier.FFT, *complexStrip, *fftPass
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
	t.column.New = func() any {
		return &complexStrip{fft: fourier.NewCmplxFFT(rows), buf: make([]complex128, rows*strip)}
	}
	t.pass.New = func() any { return &fftPass{t: t} }
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
	t.run(rowsForward, dst, src)
	t.run(columnsForward, dst, src)
}

// Inverse sets the grid dst to the inverse transform of the stored spectrum
// src, so that Inverse undoes Forward. It overwrites src.
//
// Where the spectrum of a real grid is real by symmetry, the imaginary part
// of src has no effect.
func (t *FFT) Inverse(dst []float64, src []complex128) {
	t.check(src, dst)
	t.run(columnsInverse, src, dst)
	t.run(rowsInverse, src, dst)
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

// An fftPass transforms all rows from the grid x to the spectrum c or back,
// or all columns of c in place.
type fftPass struct {
	t    *FFT
	kind fftKind
	c    []complex128
	x    []float64
}

type fftKind int

const (
	rowsForward fftKind = iota
	rowsInverse
	columnsForward
	columnsInverse
)

func (t *FFT) run(kind fftKind, c []complex128, x []float64) {
	n := t.rows
	if kind == columnsForward || kind == columnsInverse {
		if t.rows == 1 {
			return
		}
		n = t.half
	}
	p := t.pass.Get().(*fftPass)
	p.kind, p.c, p.x = kind, c, x
	run(n, t.rows*t.cols, p)
	p.c, p.x = nil, nil
	t.pass.Put(p)
}

// Do does strip k of the pass.
func (p *fftPass) Do(k int) {
	lo := k * strip
	switch p.kind {
	case rowsForward, rowsInverse:
		p.doRows(lo, min(lo+strip, p.t.rows))
	default:
		p.doColumns(lo, min(lo+strip, p.t.half))
	}
}

func (p *fftPass) doRows(lo, hi int) {
	t := p.t
	fft := t.row.Get().(*fourier.FFT)
	scale := 1 / float64(t.rows*t.cols)
	for i := lo; i < hi; i++ {
		x, c := p.x[i*t.cols:(i+1)*t.cols], p.c[i*t.half:(i+1)*t.half]
		if p.kind == rowsForward {
			fft.Coefficients(c, x)
			continue
		}
		fft.Sequence(x, c)
		for j := range x {
			x[j] *= scale
		}
	}
	t.row.Put(fft)
}

func (p *fftPass) doColumns(lo, hi int) {
	t := p.t
	w := t.column.Get().(*complexStrip)
	for i := range t.rows {
		for j, v := range p.c[i*t.half+lo : i*t.half+hi] {
			w.buf[j*t.rows+i] = v
		}
	}
	for j := range hi - lo {
		col := w.buf[j*t.rows : (j+1)*t.rows]
		if p.kind == columnsForward {
			w.fft.Coefficients(col, col)
		} else {
			w.fft.Sequence(col, col)
		}
	}
	for i := range t.rows {
		row := p.c[i*t.half+lo : i*t.half+hi]
		for j := range row {
			row[j] = w.buf[j*t.rows+i]
		}
	}
	t.column.Put(w)
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
