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
	t.init(rows, cols, newCosine, newCosines)
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
	t.init(rows, cols, newSine, newSines)
	return t
}

// Transform sets the grid dst to the DST-I of src. They may be the same slice.
func (t *DST) Transform(dst, src []float64) { t.transform(dst, src, false) }

// A line is a one-dimensional transform of one sequence in place.
type line interface {
	transform(x []float64, inverse bool)
}

// lines is a one-dimensional transform of bundles of real sequences, two in a
// lane.
type lines interface {
	get() *bundle
	put(b *bundle)
	transform(b *bundle, inverse bool) // of the front of b.x, in place
}

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

func (t *separable) init(rows, cols int, newLine func(n int) line, newLines func(n int) lines) {
	checkGrid(rows, cols)
	t.rows, t.cols = rows, cols
	if bundled(rows, pairs, cols) {
		t.row = newLines(cols)
	}
	if bundled(cols, pairs, rows) {
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

// cosine is the DCT-II and III of one sequence of length n > 1 by a quarter-wave transform,
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

// sine is the DST-I of one sequence of length n > 1; gonum's is 2 Σ_i x[i] sin(π (k+1)(i+1)/(n+1)).
type sine struct{ fft *fourier.DST }

func newSine(n int) line { return sine{fourier.NewDST(n)} }

func (s sine) transform(x []float64, _ bool) {
	s.fft.Transform(x, x)
	c := math.Sqrt(1 / (2 * float64(len(x)+1)))
	scale(x, c, c)
}

// cosines is the DCT-II and III of length n > 1 of bundles, by a transform of
// the same length: Makhoul, A fast cosine transform in one and two dimensions
// (1980). With v = x[0], x[2], ..., x[3], x[1], of transform V, and
// w = exp(-πi k/2n),
//
//	Σ_i x[i] cos(π k (2i+1)/(2n)) = Re w V[k],
//
// and the value at n-k is -Im w V[k], which the inverse solves for V.
type cosines struct {
	*plan
	w []complex128 // exp(πi k/2n)
}

func newCosines(n int) lines {
	c := &cosines{plan: newPlan(n)}
	for k := range n/2 + 1 {
		sin, cos := math.Sincos(math.Pi * float64(k) / float64(2*n))
		c.w = append(c.w, complex(cos, sin))
	}
	return c
}

func (c *cosines) transform(b *bundle, inverse bool) {
	if inverse {
		c.synthesise(b)
	} else {
		c.analyse(b)
	}
}

func (c *cosines) analyse(b *bundle) {
	n := c.n
	v := b.scratch[:n]
	for i := range n {
		v[fold(i, n)] = b.x[i]
	}
	z := c.plan.transform(v, b.scratch[n:])
	first, rest := math.Sqrt(1/float64(n)), math.Sqrt(1/float64(2*n))
	out := b.x
	for k, w := range c.w {
		cos, sin := rest*real(w), rest*imag(w)
		u, v := z[k], z[(n-k)%n]
		p, q := &out[k], &out[(n-k)%n]
		if k == 0 {
			for i := range lanes {
				p.re[i], p.im[i] = first*u.re[i], first*u.im[i]
			}
			continue
		}
		for i := range lanes {
			// Twice the transforms of the real and of the imaginary part.
			ar, ai := u.re[i]+v.re[i], u.im[i]-v.im[i]
			br, bi := u.im[i]+v.im[i], v.re[i]-u.re[i]
			p.re[i], p.im[i] = cos*ar+sin*ai, cos*br+sin*bi
			q.re[i], q.im[i] = sin*ar-cos*ai, sin*br-cos*bi
		}
	}
}

func (c *cosines) synthesise(b *bundle) {
	n := c.n
	first, rest := math.Sqrt(1/float64(n)), math.Sqrt(1/float64(2*n))
	z := b.scratch[:n]
	for k, w := range c.w {
		cos, sin := rest*real(w), rest*imag(w)
		p, q := b.x[k], b.x[(n-k)%n]
		u, v := &z[k], &z[(n-k)%n]
		// Real and imaginary parts are exchanged, for the inverse transform.
		if k == 0 {
			for i := range lanes {
				u.im[i], u.re[i] = first*p.re[i], first*p.im[i]
			}
			continue
		}
		for i := range lanes {
			ar, ai := cos*p.re[i]+sin*q.re[i], sin*p.re[i]-cos*q.re[i]
			br, bi := cos*p.im[i]+sin*q.im[i], sin*p.im[i]-cos*q.im[i]
			v.im[i], v.re[i] = ar+bi, br-ai
			u.im[i], u.re[i] = ar-bi, br+ai
		}
	}
	z = c.plan.transform(z, b.scratch[n:])
	for i := range n {
		v := &z[fold(i, n)]
		b.x[i].re, b.x[i].im = v.im, v.re
	}
}

// fold returns where element i of n goes in x[0], x[2], ..., x[3], x[1].
func fold(i, n int) int {
	if i%2 == 0 {
		return i / 2
	}
	return n - 1 - i/2
}

// sines is the DST-I of length n > 1 of bundles, by the transform of the odd
// sequence 0, x[0], ..., x[n-1], 0, -x[n-1], ..., -x[0], which is
//
//	-2i Σ_i x[i] sin(π (k+1)(i+1)/(n+1))   at k+1.
type sines struct{ *plan } // of length 2n+2

func newSines(n int) lines { return sines{newPlan(2*n + 2)} }

func (s sines) transform(b *bundle, _ bool) {
	n := s.n/2 - 1
	v := b.scratch[:s.n]
	v[0], v[n+1] = block{}, block{}
	for j, x := range b.x[:n] {
		v[j+1] = x
		for i := range lanes {
			x.re[i], x.im[i] = -x.re[i], -x.im[i]
		}
		v[2*n+1-j] = x
	}
	z := s.plan.transform(v, b.scratch[s.n:])
	c := math.Sqrt(1 / (2 * float64(n+1)))
	for k := range n {
		p, u := &b.x[k], &z[k+1]
		for i := range lanes {
			p.re[i], p.im[i] = -c*u.im[i], c*u.re[i]
		}
	}
}
