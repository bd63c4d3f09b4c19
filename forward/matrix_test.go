package forward

import (
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// matrix is a dense operator with its singular value decomposition.
type matrix struct {
	a, u, v mat.Dense
	s       []float64
}

func (d *matrix) Dims() (int, int)          { return d.a.Dims() }
func (d *matrix) Apply(dst, x *mat.Dense)   { dst.Mul(x, d.a.T()) }
func (d *matrix) Adjoint(dst, x *mat.Dense) { dst.Mul(x, &d.a) }
func (d *matrix) SingularValues() []float64 { return d.s }
func (d *matrix) MulV(dst, c *mat.Dense)    { dst.Mul(c, d.v.T()) }
func (d *matrix) MulVT(dst, c *mat.Dense)   { dst.Mul(c, &d.v) }
func (d *matrix) MulU(dst, c *mat.Dense)    { dst.Mul(c, d.u.T()) }
func (d *matrix) MulUT(dst, c *mat.Dense)   { dst.Mul(c, &d.u) }
func denseOf(t *testing.T, a *mat.Dense) inverse.Spectral {
	d := &matrix{}
	d.a.CloneFrom(a)
	var svd mat.SVD
	svd.Factorize(a, mat.SVDThin)
	svd.UTo(&d.u)
	svd.VTo(&d.v)
	d.s = svd.Values(nil)
	return d
}
