package forward

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/par"
)

// Dense is a dense matrix as an operator. Its singular value decomposition
// is computed when it is first asked for, in O(m n min(m, n)) time, and kept;
// the singular values are in descending order.
type Dense struct {
	a   *mat.Dense
	svd func() denseSVD
}

var _ inverse.Spectral = (*Dense)(nil)

// NewDense returns the operator of a copy of a. It is an error if a is empty
// or has an element that is not finite.
func NewDense(a mat.Matrix) (*Dense, error) {
	if err := checkFinite("matrix", a); err != nil {
		return nil, err
	}
	o := &Dense{a: mat.DenseCopyOf(a)}
	o.svd = sync.OnceValue(func() denseSVD { return newDenseSVD(o.a) })
	return o, nil
}

// checkFinite returns an error unless a, named for the message, is a matrix
// of finite values that is not empty.
func checkFinite(name string, a mat.Matrix) error {
	if a == nil {
		return errors.New("forward: " + name + " is nil")
	}
	m, n := a.Dims()
	if m == 0 || n == 0 {
		return fmt.Errorf("forward: %s is empty (%d×%d)", name, m, n)
	}
	for i := range m {
		for j := range n {
			if v := a.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("forward: %s has %g at [%d,%d], want finite values", name, v, i, j)
			}
		}
	}
	return nil
}

// Dims returns the size of the matrix.
func (o *Dense) Dims() (m, n int) { return o.a.Dims() }

// Apply sets the rows of dst to A x_i.
func (o *Dense) Apply(dst, x *mat.Dense) { mulRows(dst, x, o.a, true) }

// Adjoint sets the rows of dst to Aᵀy_i.
func (o *Dense) Adjoint(dst, y *mat.Dense) { mulRows(dst, y, o.a, false) }

// SingularValues returns the singular values in descending order.
func (o *Dense) SingularValues() []float64 { return o.svd().s }

// MulV sets the rows of dst to V c_i.
func (o *Dense) MulV(dst, c *mat.Dense) { mulRows(dst, c, o.svd().v, true) }

// MulVT sets the rows of dst to Vᵀx_i.
func (o *Dense) MulVT(dst, x *mat.Dense) { mulRows(dst, x, o.svd().v, false) }

// MulU sets the rows of dst to U c_i.
func (o *Dense) MulU(dst, c *mat.Dense) { mulRows(dst, c, o.svd().u, true) }

// MulUT sets the rows of dst to Uᵀy_i.
func (o *Dense) MulUT(dst, y *mat.Dense) { mulRows(dst, y, o.svd().u, false) }

// denseSVD is the thin singular value decomposition a = u diag(s) vᵀ.
type denseSVD struct {
	u, v *mat.Dense
	s    []float64
}

func newDenseSVD(a mat.Matrix) denseSVD {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		// LAPACK's QR iteration allows 6 sweeps a singular value, which no
		// finite matrix is known to need.
		panic("forward: the singular value decomposition did not converge")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	return denseSVD{&u, &v, svd.Values(nil)}
}

// mulRows sets dst to x aᵀ or, without trans, to x a.
func mulRows(dst, x, a *mat.Dense, trans bool) {
	out, in := a.Dims()
	if !trans {
		out, in = in, out
	}
	checkBatch(dst, out, x, in)
	p := products.Get().(*product)
	*p = product{dst.RawMatrix(), x.RawMatrix(), a.RawMatrix(), trans}
	blocks := (out + productBlock - 1) / productBlock
	if p.x.Rows*in*out >= manyProducts {
		par.Run(blocks, p)
	} else {
		for i := range blocks {
			p.Do(i)
		}
	}
	*p = product{}
	products.Put(p)
}

const (
	productBlock = 128     // columns of the product that are computed together
	manyProducts = 1 << 16 // multiplications worth spreading over the cores
)

// product is the body of the loop of mulRows over blocks of dst's columns.
type product struct {
	dst, x, a blas64.General
	trans     bool
}

var products = sync.Pool{New: func() any { return new(product) }}

// Do computes block i.
func (p *product) Do(i int) {
	lo := i * productBlock
	width := min(productBlock, p.dst.Cols-lo)
	b := p.a.Data[lo:]
	if p.trans {
		b = p.a.Data[lo*p.a.Stride:]
	}
	kernel.Gemm(false, p.trans, p.x.Rows, width, p.x.Cols, 1, p.x.Data, p.x.Stride, b, p.a.Stride, 0, p.dst.Data[lo:], p.dst.Stride)
}
