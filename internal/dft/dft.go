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
// Any size is allowed; time grows as n log n for all. A one-dimensional
// transform of length n is that of a 1×n grid. Transforms are safe for
// concurrent use and do not allocate in steady state. On one processor their
// result is a function of the values alone.
package dft

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/go-inverse/inverse/internal/par"
)

// pairs is the number of real sequences in a bundle: each lane has one as its
// real and one as its imaginary part.
const pairs = 2 * lanes

// serial is the number of grid points below which one goroutine does all, as
// waking others would take longer.
const serial = 64 * 64

// run calls pass.Do for 0, ..., strips-1, for a grid of so many points.
func run(strips, points int, pass par.Body) {
	if points >= serial {
		par.Run(strips, pass)
		return
	}
	for i := range strips {
		pass.Do(i)
	}
}

// bundled reports whether so many sequences of length n are better transformed
// in bundles of the given size than each by itself.
func bundled(sequences, size, n int) bool {
	return sequences >= size/2 || hasLargeFactor(n)
}

// FFT is the discrete Fourier transform of real grids.
//
// The spectrum of a real grid is Hermitian, so only its columns 0, ...,
// cols/2 are stored, row by row:
//
//	c[k,l] = Σ_ij x[i,j] exp(-2πi (k i/rows + l j/cols)),  l ≤ cols/2.
type FFT struct {
	rows, cols, half int
	row, col         *plan     // nil where bundles are not worth it
	rowFFT, colFFT   sync.Pool // of *fourier.FFT and *column, used instead
	pass             sync.Pool // of *fftPass
}

// A column is a single sequence and its transform.
type column struct {
	fft *fourier.CmplxFFT
	buf []complex128
}

// NewFFT returns the transform of rows×cols grids. It panics if rows or cols
// is not positive.
func NewFFT(rows, cols int) *FFT {
	checkGrid(rows, cols)
	t := &FFT{rows: rows, cols: cols, half: cols/2 + 1}
	if bundled(rows, pairs, cols) {
		t.row = newPlan(cols)
	}
	if bundled(t.half, lanes, rows) {
		t.col = newPlan(rows)
	}
	t.rowFFT.New = func() any { return fourier.NewFFT(cols) }
	t.colFFT.New = func() any { return &column{fourier.NewCmplxFFT(rows), make([]complex128, rows)} }
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
	strips := (t.rows + pairs - 1) / pairs
	if kind == columnsForward || kind == columnsInverse {
		if t.rows == 1 {
			return
		}
		strips = (t.half + lanes - 1) / lanes
	}
	p := t.pass.Get().(*fftPass)
	p.kind, p.c, p.x = kind, c, x
	run(strips, t.rows*t.cols, p)
	p.c, p.x = nil, nil
	t.pass.Put(p)
}

// Do does strip k of the pass.
func (p *fftPass) Do(k int) {
	t := p.t
	switch p.kind {
	case rowsForward, rowsInverse:
		lo, hi := k*pairs, min((k+1)*pairs, t.rows)
		switch {
		case t.row == nil:
			p.singleRows(lo, hi)
		case p.kind == rowsForward:
			p.analyseRows(lo, hi)
		default:
			p.synthesiseRows(lo, hi)
		}
	default:
		lo, hi := k*lanes, min((k+1)*lanes, t.half)
		if t.col == nil {
			p.singleColumns(lo, hi)
		} else {
			p.transformColumns(lo, hi)
		}
	}
}

// analyseRows transforms rows [lo, hi), two in a lane: with z = a + ib,
// A[k] = (Z[k] + conj Z[n-k])/2 and B[k] = (Z[k] - conj Z[n-k])/2i.
func (p *fftPass) analyseRows(lo, hi int) {
	t := p.t
	w := t.row.get()
	gatherRows(w.x, p.x[lo*t.cols:hi*t.cols])
	z := t.row.transform(w.x, w.scratch)
	for k := range t.half {
		u, v := &z[k], &z[(t.cols-k)%t.cols]
		for i := range min(lanes, hi-lo) {
			p.c[(lo+i)*t.half+k] = complex((u.re[i]+v.re[i])/2, (u.im[i]-v.im[i])/2)
		}
		for i := range max(0, hi-lo-lanes) {
			p.c[(lo+lanes+i)*t.half+k] = complex((u.im[i]+v.im[i])/2, (v.re[i]-u.re[i])/2)
		}
	}
	t.row.put(w)
}

// synthesiseRows does the inverse of analyseRows.
func (p *fftPass) synthesiseRows(lo, hi int) {
	t := p.t
	w := t.row.get()
	scale := 1 / float64(t.rows*t.cols)
	// Real and imaginary parts are exchanged, for the inverse transform.
	for k := range t.half {
		u, v := &w.x[k], &w.x[(t.cols-k)%t.cols]
		for i := range lanes {
			var a, b complex128
			if lo+i < hi {
				a = p.c[(lo+i)*t.half+k]
			}
			if lo+lanes+i < hi {
				b = p.c[(lo+lanes+i)*t.half+k]
			}
			if u == v {
				u.im[i], u.re[i] = scale*real(a), scale*real(b)
				continue
			}
			u.im[i], u.re[i] = scale*(real(a)-imag(b)), scale*(imag(a)+real(b))
			v.im[i], v.re[i] = scale*(real(a)+imag(b)), scale*(real(b)-imag(a))
		}
	}
	z := t.row.transform(w.x, w.scratch)
	for j := range z {
		z[j].re, z[j].im = z[j].im, z[j].re
	}
	scatterRows(p.x[lo*t.cols:hi*t.cols], z)
	t.row.put(w)
}

// transformColumns transforms columns [lo, hi) of the spectrum.
func (p *fftPass) transformColumns(lo, hi int) {
	t := p.t
	w := t.col.get()
	inverse := p.kind == columnsInverse
	if hi-lo < lanes {
		clear(w.x) // what idle lanes hold would grow from use to use
	}
	for j := range t.rows {
		b := &w.x[j]
		for i, v := range p.c[j*t.half+lo : j*t.half+hi] {
			if inverse {
				v = complex(imag(v), real(v))
			}
			b.re[i], b.im[i] = real(v), imag(v)
		}
	}
	z := t.col.transform(w.x, w.scratch)
	for j := range t.rows {
		b := &z[j]
		row := p.c[j*t.half+lo : j*t.half+hi]
		for i := range row {
			if inverse {
				row[i] = complex(b.im[i], b.re[i])
			} else {
				row[i] = complex(b.re[i], b.im[i])
			}
		}
	}
	t.col.put(w)
}

func (p *fftPass) singleRows(lo, hi int) {
	t := p.t
	fft := t.rowFFT.Get().(*fourier.FFT)
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
	t.rowFFT.Put(fft)
}

func (p *fftPass) singleColumns(lo, hi int) {
	t := p.t
	w := t.colFFT.Get().(*column)
	for j := lo; j < hi; j++ {
		for i := range w.buf {
			w.buf[i] = p.c[i*t.half+j]
		}
		if p.kind == columnsForward {
			w.fft.Coefficients(w.buf, w.buf)
		} else {
			w.fft.Sequence(w.buf, w.buf)
		}
		for i, v := range w.buf {
			p.c[i*t.half+j] = v
		}
	}
	t.colFFT.Put(w)
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
