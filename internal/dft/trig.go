package dft

import (
	"fmt"
	"sync"
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
	t.init(rows, cols, 0, newCosine, newCosines)
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
	t.init(rows, cols, 1, newSine, newSines)
	return t
}

// Transform sets the grid dst to the DST-I of src. They may be the same slice.
func (t *DST) Transform(dst, src []float64) { t.transform(dst, src, false) }

// separable applies a one-dimensional transform to the rows and to the columns.
type separable struct {
	rows, cols      int
	row, col        lines     // nil where bundles are not worth it
	rowLine, column sync.Pool // of line and *realColumn, used instead
	pass            sync.Pool // of *linePass
}

// A realColumn is a single sequence and its transform.
type realColumn struct {
	line line
	buf  []float64
}

// init prepares transforms that, of length n, go by one of length n+more.
func (t *separable) init(rows, cols, more int, newLine func(n int) line, newLines func(n int) lines) {
	checkGrid(rows, cols)
	t.rows, t.cols = rows, cols
	if bundled(rows, pairs, cols+more) {
		t.row = newLines(cols)
	}
	if bundled(cols, pairs, rows+more) {
		t.col = newLines(rows)
	}
	t.rowLine.New = func() any { return newLine(cols) }
	t.column.New = func() any { return &realColumn{newLine(rows), make([]float64, rows)} }
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
		run((t.rows+pairs-1)/pairs, t.rows*t.cols, p)
	}
	if t.rows > 1 {
		p.columns = true
		run((t.cols+pairs-1)/pairs, t.rows*t.cols, p)
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
	t := p.t
	lo, hi := k*pairs, (k+1)*pairs
	switch {
	case p.columns && t.col != nil:
		hi = min(hi, t.cols)
		b := t.col.get()
		gatherColumns(b.x[:t.rows], p.x, t.cols, lo, hi)
		t.col.transform(b, p.inverse)
		scatterColumns(p.x, b.x[:t.rows], t.cols, lo, hi)
		t.col.put(b)
	case p.columns:
		p.singleColumns(lo, min(hi, t.cols))
	case t.row != nil:
		rows := p.x[lo*t.cols : min(hi, t.rows)*t.cols]
		b := t.row.get()
		gatherRows(b.x[:t.cols], rows)
		t.row.transform(b, p.inverse)
		scatterRows(rows, b.x[:t.cols])
		t.row.put(b)
	default:
		p.singleRows(lo, min(hi, t.rows))
	}
}

func (p *linePass) singleRows(lo, hi int) {
	t := p.t
	l := t.rowLine.Get().(line)
	for i := lo; i < hi; i++ {
		l.transform(p.x[i*t.cols:(i+1)*t.cols], p.inverse)
	}
	t.rowLine.Put(l)
}

func (p *linePass) singleColumns(lo, hi int) {
	t := p.t
	w := t.column.Get().(*realColumn)
	for j := lo; j < hi; j++ {
		for i := range w.buf {
			w.buf[i] = p.x[i*t.cols+j]
		}
		w.line.transform(w.buf, p.inverse)
		for i, v := range w.buf {
			p.x[i*t.cols+j] = v
		}
	}
	t.column.Put(w)
}
