package forward

import (
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/dft"
)

// reflecting is a convolution with an even point spread function and Reflect
// boundary, which the cosine transform diagonalises: with offsets d, e from
// the centre the eigenvalues are
//
//	λ[k,l] = Σ_de h[d,e] cos(π k d/rows) cos(π l e/cols),
//
// V is the inverse transform, and U is V with the signs of λ.
type reflecting struct {
	dct          *dft.DCT
	lambda, s    []float64
	scratchGrids sync.Pool // of *[]float64
}

func newReflecting(row, col axis, g []float64) *reflecting {
	c := &reflecting{dct: dft.NewDCT(row.n, col.n)}
	double := dft.NewFFT(2*row.n, 2*col.n)
	h := transform(double, row, col, g)
	_, half := double.SpectrumDims()
	c.lambda, c.s = make([]float64, row.n*col.n), make([]float64, row.n*col.n)
	for i := range c.lambda {
		c.lambda[i] = real(h[i/col.n*half+i%col.n])
		c.s[i] = math.Abs(c.lambda[i])
	}
	c.scratchGrids.New = func() any {
		grid := make([]float64, row.n*col.n)
		return &grid
	}
	return c
}

func (c *reflecting) apply(dst, x []float64) {
	c.dct.Forward(dst, x)
	for i, l := range c.lambda {
		dst[i] *= l
	}
	c.dct.Inverse(dst, dst)
}

func (c *reflecting) adjoint(dst, y []float64) { c.apply(dst, y) }
func (c *reflecting) values() []float64        { return c.s }
func (c *reflecting) mulV(dst, coef []float64) { c.dct.Inverse(dst, coef) }
func (c *reflecting) mulVT(dst, x []float64)   { c.dct.Forward(dst, x) }

func (c *reflecting) mulU(dst, coef []float64) {
	grid := c.scratchGrids.Get().(*[]float64)
	c.signed(*grid, coef)
	c.dct.Inverse(dst, *grid)
	c.scratchGrids.Put(grid)
}

func (c *reflecting) mulUT(dst, y []float64) {
	c.dct.Forward(dst, y)
	c.signed(dst, dst)
}

func (c *reflecting) signed(dst, src []float64) {
	for i, l := range c.lambda {
		dst[i] = math.Copysign(1, l) * src[i]
	}
}
