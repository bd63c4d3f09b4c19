package forward

import (
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// kronecker is the decomposition of A_row ⊗ A_col, the convolution with a
// separable point spread function, by those of its two small factors.
type kronecker struct {
	row, col func() denseSVD // computed when first asked for
	s        func() []float64
	scratch  sync.Pool // of *[]float64
}

func newKronecker(row, col axis, f separable) *kronecker {
	k := &kronecker{
		row: sync.OnceValue(func() denseSVD { return newDenseSVD(row.matrix(f.a)) }),
		col: sync.OnceValue(func() denseSVD { return newDenseSVD(col.matrix(f.b)) }),
	}
	k.s = sync.OnceValue(func() []float64 {
		var s []float64
		for _, r := range k.row().s {
			for _, c := range k.col().s {
				s = append(s, r*c)
			}
		}
		return s
	})
	k.scratch.New = func() any {
		grid := make([]float64, row.n*col.n)
		return &grid
	}
	return k
}

// matrix returns the convolution along the axis with g, turned around, as a
// matrix.
func (a *axis) matrix(g []float64) *mat.Dense {
	d := mat.NewDense(a.m, a.n, nil)
	for i := range a.m {
		for q, v := range g {
			if j := a.source[a.stride*i+q]; j >= 0 {
				d.Set(i, j, d.At(i, j)+v)
			}
		}
	}
	return d
}

func (k *kronecker) values() []float64      { return k.s() }
func (k *kronecker) mulV(dst, c []float64)  { k.mul(dst, c, k.row().v, k.col().v, false) }
func (k *kronecker) mulVT(dst, x []float64) { k.mul(dst, x, k.row().v, k.col().v, true) }
func (k *kronecker) mulU(dst, c []float64)  { k.mul(dst, c, k.row().u, k.col().u, false) }
func (k *kronecker) mulUT(dst, y []float64) { k.mul(dst, y, k.row().u, k.col().u, true) }

// mul sets the grid dst to P C Qᵀ for the grid c or, with trans, to Pᵀ C Q.
func (k *kronecker) mul(dst, c []float64, p, q *mat.Dense, trans bool) {
	to, from := p.Dims()
	toCols, fromCols := q.Dims()
	if trans {
		to, from, toCols, fromCols = from, to, fromCols, toCols
	}
	grid := k.scratch.Get().(*[]float64)
	a, b := p.RawMatrix(), q.RawMatrix()
	half := (*grid)[:from*toCols]
	kernel.Gemm(false, !trans, from, toCols, fromCols, 1, c, fromCols, b.Data, b.Stride, 0, half, toCols)
	kernel.Gemm(trans, false, to, toCols, from, 1, a.Data, a.Stride, half, toCols, 0, dst, toCols)
	k.scratch.Put(grid)
}
