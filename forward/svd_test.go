package forward

import (
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// svdMatrix is a dense operator with its singular value decomposition.
type svdMatrix struct {
	a, u, v mat.Dense
	s       []float64
}

func (d *svdMatrix) Dims() (int, int)          { return d.a.Dims() }
func (d *svdMatrix) Apply(dst, x *mat.Dense)   { dst.Mul(x, d.a.T()) }
func (d *svdMatrix) Adjoint(dst, x *mat.Dense) { dst.Mul(x, &d.a) }
func (d *svdMatrix) SingularValues() []float64 { return d.s }
func (d *svdMatrix) MulV(dst, c *mat.Dense)    { dst.Mul(c, d.v.T()) }
func (d *svdMatrix) MulVT(dst, c *mat.Dense)   { dst.Mul(c, &d.v) }
func (d *svdMatrix) MulU(dst, c *mat.Dense)    { dst.Mul(c, d.u.T()) }
func (d *svdMatrix) MulUT(dst, c *mat.Dense)   { dst.Mul(c, &d.u) }
func denseOf(t *testing.T, a *mat.Dense) inverse.Spectral {
	d := &svdMatrix{}
	d.a.CloneFrom(a)
	var svd mat.SVD
	svd.Factorize(a, mat.SVDThin)
	svd.UTo(&d.u)
	svd.VTo(&d.v)
	d.s = svd.Values(nil)
	return d
}
