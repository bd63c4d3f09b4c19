package forward

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// A stencil describes a convolution of rows×cols images of which every
// stride-th output is kept, and chooses how to compute it.
type stencil struct {
	rows, cols         int
	rowStride          int
	colStride          int
	h                  *mat.Dense // the point spread function
	rowShift, colShift int        // see axis
	boundary           Boundary
}

// maxDenseSide is the longest side of an image for which the decomposition
// of a separable convolution is offered, as it takes O(side³) time.
const maxDenseSide = 2048

// operator returns the convolution, which is Spectral if the boundary is
// periodic, or if the point spread function is even and the boundary
// Reflect, or if it is separable.
func (s stencil) operator() inverse.Linear {
	row, col, g := s.axes()
	pr, pc := row.p, col.p
	f := factor(g, pr, pc)
	taps := pr + pc
	if f.a == nil {
		taps = nonzero(g)
	}
	var (
		a   vectorMap
		svd vectorSVD
	)
	switch {
	case s.boundary == Periodic:
		c := newCirculant(row, col, g)
		a, svd = c, c
	case s.boundary == Reflect && even(row, col, g):
		c := newReflecting(row, col, g)
		a, svd = c, c
	case f.a != nil && max(s.rows, s.cols) <= maxDenseSide:
		svd = newKronecker(row, col, f)
	}
	if taps <= directTaps*row.stride*col.stride {
		a = newDirect(row, col, g, f)
	} else if a == nil {
		a = newPadded(row, col, g, s.boundary)
	}
	return newRows(row.m*col.m, row.n*col.n, a, svd)
}

// axes returns the two axes and, row by row, the point spread function turned
// by 180°.
func (s stencil) axes() (row, col axis, g []float64) {
	s.trim()
	pr, pc := s.h.Dims()
	g = make([]float64, 0, pr*pc)
	for i := range pr {
		for j := range pc {
			g = append(g, s.h.At(pr-1-i, pc-1-j))
		}
	}
	row = newAxis(s.rows, s.rowStride, pr, s.rowShift, s.boundary)
	col = newAxis(s.cols, s.colStride, pc, s.colShift, s.boundary)
	return row, col, g
}

// directTaps is the number of entries of a point spread function, or rows and
// columns of a separable one, up to which summing over them is faster than
// Fourier transforms: see BenchmarkAlgorithms.
const directTaps = 32

// trim replaces the point spread function by a smaller one of the same effect
// where part of it never meets the image, or where it wraps around.
func (s *stencil) trim() {
	pr, pc := s.h.Dims()
	switch s.boundary {
	case Zero:
		r0, r1 := reach(s.rows, s.rowStride, pr, s.rowShift)
		c0, c1 := reach(s.cols, s.colStride, pc, s.colShift)
		if r0 >= r1 || c0 >= c1 {
			s.h, s.rowShift, s.colShift = mat.NewDense(1, 1, nil), 0, 0
			return
		}
		s.h = s.h.Slice(r0, r1, c0, c1).(*mat.Dense)
		s.rowShift -= r0
		s.colShift -= c0
	case Periodic:
		if pr <= s.rows && pc <= s.cols {
			return
		}
		h := mat.NewDense(min(pr, s.rows), min(pc, s.cols), nil)
		qr, qc := h.Dims()
		for i := range pr {
			for j := range pc {
				h.Set(i%qr, j%qc, h.At(i%qr, j%qc)+s.h.At(i, j))
			}
		}
		s.h = h
	}
}

// reach returns the entries [lo, hi) of a point spread function of size p that
// meet some x in [0, n) for some output.
func reach(n, stride, p, shift int) (lo, hi int) {
	last := stride * (n/stride - 1)
	return max(0, shift-(n-1)), min(p, last+shift+1)
}

// even reports whether every output is kept and the point spread function is
// even in both directions about its centre.
func even(row, col axis, g []float64) bool {
	if row.stride != 1 || col.stride != 1 {
		return false
	}
	at := func(i, j int) float64 {
		if i < 0 || i >= row.p || j < 0 || j >= col.p {
			return 0
		}
		return g[i*col.p+j]
	}
	tol := 4 * eps * floats.Norm(g, math.Inf(1))
	for i := range row.p {
		for j := range col.p {
			k, l := 2*(row.p-1-row.shift)-i, 2*(col.p-1-col.shift)-j
			if v := at(i, j); math.Abs(v-at(k, j)) > tol || math.Abs(v-at(i, l)) > tol {
				return false
			}
		}
	}
	return true
}

func nonzero(x []float64) int {
	n := 0
	for _, v := range x {
		if v != 0 {
			n++
		}
	}
	return n
}

// eps is the distance from 1 to the next float64.
const eps = 0x1p-52

// factor returns the factors of g = a bᵀ, or nothing unless g (p×q row by row)
// has rank one up to rounding.
func factor(g []float64, p, q int) separable {
	f := separable{a: make([]float64, p), b: make([]float64, q)}
	at, largest := 0, 0.0
	for i, v := range g {
		if math.Abs(v) > largest {
			at, largest = i, math.Abs(v)
		}
	}
	if largest == 0 {
		return f
	}
	copy(f.b, g[at/q*q:(at/q+1)*q])
	for i := range f.a {
		f.a[i] = g[i*q+at%q] / g[at]
	}
	for i, a := range f.a {
		for j, b := range f.b {
			if math.Abs(g[i*q+j]-a*b) > 8*eps*largest {
				return separable{}
			}
		}
	}
	return f
}
