package dft

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/dsp/fourier"
)

// DCT is the orthonormal cosine transform of real grids: Forward is the
// DCT-II, Inverse its transpose, the DCT-III. In one dimension
//
//	c[k] = sqrt((2-δ_k0)/n) Σ_i x[i] cos(π k (2i+1)/(2n)).
//
// It diagonalises symmetric convolutions with half-sample symmetric
// extension of the grid (d c b a | a b c d | d c b a).
type DCT struct{ separable }

// NewDCT returns the transform of rows×cols grids. It panics if rows or cols
// is not positive.
func NewDCT(rows, cols int) *DCT {
	t := new(DCT)
	t.init(rows, cols, newCosine)
	return t
}

// Forward sets the grid dst to the DCT-II of src. They may be the same slice.
func (t *DCT) Forward(dst, src []float64) { t.transform(dst, src, false) }

// Inverse sets the grid dst to the DCT-III of src. They may be the same slice.
func (t *DCT) Inverse(dst, src []float64) { t.transform(dst, src, true) }

// DST is the orthonormal DST-I of real grids, which is its own inverse and
// transpose. In one dimension
//
//	c[k] = sqrt(2/(n+1)) Σ_i x[i] sin(π (k+1)(i+1)/(n+1)).
//
// It diagonalises differences of a grid that is zero outside.
type DST struct{ separable }

// NewDST returns the transform of rows×cols grids. It panics if rows or cols
// is not positive.
func NewDST(rows, cols int) *DST {
	t := new(DST)
	t.init(rows, cols, newSine)
	return t
}

// Transform sets the grid dst to the DST-I of src. They may be the same slice.
func (t *DST) Transform(dst, src []float64) { t.transform(dst, src, false) }

// A line is a one-dimensional transform in place.
type line interface {
	transform(x []float64, inverse bool)
}

// separable applies a line to the rows and another one to the columns.
type separable struct {
	rows, cols        int
	row, column, pass sync.Pool // of line, *realStrip, *linePass
}

// realStrip is the workspace of the column pass.
type realStrip struct {
	line line
	buf  []float64
}

func (t *separable) init(rows, cols int, newLine func(n int) line) {
	checkGrid(rows, cols)
	t.rows, t.cols = rows, cols
	t.row.New = func() any { return newLine(cols) }
	t.column.New = func() any {
		return &realStrip{line: newLine(rows), buf: make([]float64, rows*strip)}
	}
	t.pass.New = func() any { return &linePass{t: t} }
}

// Dims returns the size of the grid.
func (t *separable) Dims() (rows, cols int) { return t.rows, t.cols }

func (t *separable) transform(dst, src []float64, inverse bool) {
	if len(dst) != t.rows*t.cols || len(src) != t.rows*t.cols {
		panic(fmt.Sprintf("dft: grids of %d and %d values for a %d×%d transform", len(dst), len(src), t.rows, t.cols))
	}
	copy(dst, src)
	p := t.pass.Get().(*linePass)
	p.x, p.inverse = dst, inverse
	if t.cols > 1 {
		p.columns = false
		run(t.rows, t.rows*t.cols, p)
	}
	if t.rows > 1 {
		p.columns = true
		run(t.cols, t.rows*t.cols, p)
	}
	p.x = nil
	t.pass.Put(p)
}

// A linePass transforms all rows or all columns of the grid x in place.
type linePass struct {
	t                *separable
	x                []float64
	columns, inverse bool
}

// Do does strip k of the pass.
func (p *linePass) Do(k int) {
	if p.columns {
		p.doColumns(k*strip, min((k+1)*strip, p.t.cols))
	} else {
		p.doRows(k*strip, min((k+1)*strip, p.t.rows))
	}
}

func (p *linePass) doRows(lo, hi int) {
	t := p.t
	l := t.row.Get().(line)
	for i := lo; i < hi; i++ {
		l.transform(p.x[i*t.cols:(i+1)*t.cols], p.inverse)
	}
	t.row.Put(l)
}

func (p *linePass) doColumns(lo, hi int) {
	t := p.t
	w := t.column.Get().(*realStrip)
	for i := range t.rows {
		for j, v := range p.x[i*t.cols+lo : i*t.cols+hi] {
			w.buf[j*t.rows+i] = v
		}
	}
	for j := range hi - lo {
		w.line.transform(w.buf[j*t.rows:(j+1)*t.rows], p.inverse)
	}
	for i := range t.rows {
		row := p.x[i*t.cols+lo : i*t.cols+hi]
		for j := range row {
			row[j] = w.buf[j*t.rows+i]
		}
	}
	t.column.Put(w)
}

// cosine is the DCT-II and III of length n > 1 by a quarter-wave transform,
// whose synthesis is 4 Σ_i x[i] cos(π k (2i+1)/(2n)) and whose analysis is
// x[0] + 2 Σ_k c[k] cos(π k (2i+1)/(2n)).
type cosine struct{ fft *fourier.QuarterWaveFFT }

func newCosine(n int) line { return cosine{fourier.NewQuarterWaveFFT(n)} }

func (c cosine) transform(x []float64, inverse bool) {
	n := float64(len(x))
	if inverse {
		scale(x, math.Sqrt(1/n), math.Sqrt(1/(2*n)))
		c.fft.CosCoefficients(x, x)
		return
	}
	c.fft.CosSequence(x, x)
	scale(x, math.Sqrt(1/(16*n)), math.Sqrt(1/(8*n)))
}

// scale multiplies x[0] by first and the others by rest.
func scale(x []float64, first, rest float64) {
	x[0] *= first
	for i := 1; i < len(x); i++ {
		x[i] *= rest
	}
}

// sine is the DST-I of length n > 1; gonum's is 2 Σ_i x[i] sin(π (k+1)(i+1)/(n+1)).
type sine struct{ fft *fourier.DST }

func newSine(n int) line { return sine{fourier.NewDST(n)} }

func (s sine) transform(x []float64, _ bool) {
	s.fft.Transform(x, x)
	c := math.Sqrt(1 / (2 * float64(len(x)+1)))
	scale(x, c, c)
}
