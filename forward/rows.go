package forward

import (
	"fmt"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// checkBatch panics unless dst and x have equally many rows, of dstCols and
// xCols values.
func checkBatch(dst *mat.Dense, dstCols int, x *mat.Dense, xCols int) {
	dr, dc := dst.Dims()
	xr, xc := x.Dims()
	if dr != xr || dc != dstCols || xc != xCols {
		panic(fmt.Sprintf("forward: destination is %d×%d and input %d×%d, want r×%d and r×%d", dr, dc, xr, xc, dstCols, xCols))
	}
}

// A vectorMap is a matrix and its transpose acting on one vector. It is safe
// for concurrent use.
type vectorMap interface {
	apply(dst, x []float64)
	adjoint(dst, y []float64)
}

// A vectorSVD is a singular value decomposition acting on one vector. It is
// safe for concurrent use.
type vectorSVD interface {
	values() []float64
	mulV(dst, c []float64)
	mulVT(dst, x []float64)
	mulU(dst, c []float64)
	mulUT(dst, y []float64)
}

// linearRows is a vectorMap as an operator on batches, whose rows are spread
// over the cores.
type linearRows struct {
	m, n int
	a    vectorMap
}

// spectralRows is a linearRows with the decomposition of the same matrix.
type spectralRows struct {
	linearRows
	svd vectorSVD
}

var (
	_ inverse.Linear   = (*linearRows)(nil)
	_ inverse.Spectral = (*spectralRows)(nil)
)

// newRows returns the m×n operator of a, which is Spectral if svd is not nil.
func newRows(m, n int, a vectorMap, svd vectorSVD) inverse.Linear {
	if svd == nil {
		return &linearRows{m, n, a}
	}
	return &spectralRows{linearRows{m, n, a}, svd}
}

func (o *linearRows) Dims() (m, n int)          { return o.m, o.n }
func (o *linearRows) Apply(dst, x *mat.Dense)   { runRows(dst, o.m, x, o.n, o.a, nil, apply) }
func (o *linearRows) Adjoint(dst, y *mat.Dense) { runRows(dst, o.n, y, o.m, o.a, nil, adjoint) }

func (o *spectralRows) SingularValues() []float64 { return o.svd.values() }
func (o *spectralRows) MulV(dst, c *mat.Dense)    { runRows(dst, o.n, c, o.rank(), nil, o.svd, mulV) }
func (o *spectralRows) MulVT(dst, x *mat.Dense)   { runRows(dst, o.rank(), x, o.n, nil, o.svd, mulVT) }
func (o *spectralRows) MulU(dst, c *mat.Dense)    { runRows(dst, o.m, c, o.rank(), nil, o.svd, mulU) }
func (o *spectralRows) MulUT(dst, y *mat.Dense)   { runRows(dst, o.rank(), y, o.m, nil, o.svd, mulUT) }
func (o *spectralRows) rank() int                 { return min(o.m, o.n) }

type rowMethod int

const (
	apply rowMethod = iota
	adjoint
	mulV
	mulVT
	mulU
	mulUT
)

// rowPass is the body of the loop over the rows of a batch.
type rowPass struct {
	dst, x *mat.Dense
	a      vectorMap
	svd    vectorSVD
	method rowMethod
}

var rowPasses = sync.Pool{New: func() any { return new(rowPass) }}

// manyValues is the number of values in a batch from which its rows are worth
// spreading over the cores.
const manyValues = 1 << 13

func runRows(dst *mat.Dense, dstCols int, x *mat.Dense, xCols int, a vectorMap, svd vectorSVD, method rowMethod) {
	checkBatch(dst, dstCols, x, xCols)
	r, _ := x.Dims()
	p := rowPasses.Get().(*rowPass)
	*p = rowPass{dst, x, a, svd, method}
	if r*max(dstCols, xCols) >= manyValues {
		par.Run(r, p)
	} else {
		for i := range r {
			p.Do(i)
		}
	}
	*p = rowPass{}
	rowPasses.Put(p)
}

// Do does row i.
func (p *rowPass) Do(i int) {
	dst, x := p.dst.RawRowView(i), p.x.RawRowView(i)
	switch p.method {
	case apply:
		p.a.apply(dst, x)
	case adjoint:
		p.a.adjoint(dst, x)
	case mulV:
		p.svd.mulV(dst, x)
	case mulVT:
		p.svd.mulVT(dst, x)
	case mulU:
		p.svd.mulU(dst, x)
	case mulUT:
		p.svd.mulUT(dst, x)
	}
}
