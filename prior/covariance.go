package prior

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// covariance is a symmetric positive definite n×n matrix S = F Fᵀ, where F is
// diagonal, or the Cholesky factor L of S, or L⁻ᵀ with the factor L of S⁻¹.
type covariance struct {
	n         int
	sd        []float64         // the diagonal of F if it is diagonal, else nil
	l         blas64.Triangular // L
	precision bool              // L is the factor of S⁻¹
	logDet    float64           // log det S

	eigen  sync.Once
	lambda []float64 // eigenvalues of S
	v      []float64 // eigenvectors in columns, nil if S is diagonal
}

// newCovariance returns S from a covariance or, if precision, its inverse.
func newCovariance(name string, s mat.Symmetric, precision bool) (*covariance, error) {
	if s == nil {
		return nil, fmt.Errorf("%s is nil", name)
	}
	n := s.SymmetricDim()
	if n == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	if d, ok := s.(mat.Diagonal); ok {
		sd := make([]float64, n)
		for i := range sd {
			v := d.At(i, i)
			if !(v > 0) || math.IsInf(v, 1) {
				return nil, fmt.Errorf("%s is not positive definite: its element (%d, %d) is %g", name, i, i, v)
			}
			if sd[i] = math.Sqrt(v); precision {
				sd[i] = 1 / sd[i]
			}
		}
		return diagonalCovariance(sd), nil
	}
	for i := range n {
		for j := i; j < n; j++ {
			if v := s.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s: element (%d, %d) is %g", name, i, j, v)
			}
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(s) {
		return nil, fmt.Errorf("%s (%d×%d) is not positive definite", name, n, n)
	}
	return cholCovariance(&chol, precision), nil
}

func diagonalCovariance(sd []float64) *covariance {
	c := &covariance{n: len(sd), sd: sd}
	for _, v := range sd {
		c.logDet += 2 * math.Log(v)
	}
	return c
}

func cholCovariance(chol *mat.Cholesky, precision bool) *covariance {
	var l mat.TriDense
	chol.LTo(&l)
	return triangularCovariance(l.RawTriangular(), precision)
}

func triangularCovariance(l blas64.Triangular, precision bool) *covariance {
	c := &covariance{n: l.N, l: l, precision: precision}
	for i := range l.N {
		c.logDet += 2 * math.Log(l.Data[i*l.Stride+i])
	}
	if precision {
		c.logDet = -c.logDet
	}
	return c
}

// color sets x to F x: white noise becomes noise of covariance S.
func (c *covariance) color(x []float64) {
	switch {
	case c.sd != nil:
		floats.Mul(x, c.sd)
	case c.precision:
		blas64.Trsv(blas.Trans, c.l, vector(x))
	default:
		blas64.Trmv(blas.NoTrans, c.l, vector(x))
	}
}

// colorT sets x to Fᵀx.
func (c *covariance) colorT(x []float64) {
	switch {
	case c.sd != nil:
		floats.Mul(x, c.sd)
	case c.precision:
		blas64.Trsv(blas.NoTrans, c.l, vector(x))
	default:
		blas64.Trmv(blas.Trans, c.l, vector(x))
	}
}

// whiten sets x to F⁻¹x, whose squared norm is xᵀS⁻¹x.
func (c *covariance) whiten(x []float64) {
	switch {
	case c.sd != nil:
		floats.Div(x, c.sd)
	case c.precision:
		blas64.Trmv(blas.Trans, c.l, vector(x))
	default:
		blas64.Trsv(blas.NoTrans, c.l, vector(x))
	}
}

// whitenT sets x to F⁻ᵀx.
func (c *covariance) whitenT(x []float64) {
	switch {
	case c.sd != nil:
		floats.Div(x, c.sd)
	case c.precision:
		blas64.Trmv(blas.NoTrans, c.l, vector(x))
	default:
		blas64.Trsv(blas.Trans, c.l, vector(x))
	}
}

// to stores S in dst.
func (c *covariance) to(dst *mat.SymDense) {
	if dst.IsEmpty() {
		*dst = *mat.NewSymDense(c.n, nil)
	} else if dst.SymmetricDim() != c.n {
		panic(fmt.Sprintf("prior: dst is %d×%d, want %d×%d", dst.SymmetricDim(), dst.SymmetricDim(), c.n, c.n))
	}
	if c.sd == nil && !c.precision {
		l := mat.NewTriDense(c.n, mat.Lower, c.l.Data)
		dst.SymOuterK(1, l)
		return
	}
	row := make([]float64, c.n)
	for i := range c.n {
		clear(row)
		row[i] = 1
		c.colorT(row)
		c.color(row)
		for j := i; j < c.n; j++ {
			dst.SetSym(i, j, row[j])
		}
	}
}

// decompose finds S = V diag(λ) Vᵀ, once.
func (c *covariance) decompose() { c.eigen.Do(c.decomposeOnce) }

func (c *covariance) decomposeOnce() {
	c.lambda = make([]float64, c.n)
	if c.sd != nil {
		for i, v := range c.sd {
			c.lambda[i] = v * v
		}
		return
	}
	// Of L Lᵀ, that is of S or of S⁻¹.
	m := mat.NewSymDense(c.n, nil)
	(&covariance{n: c.n, l: c.l}).to(m)
	var e mat.EigenSym
	if !e.Factorize(m, true) {
		panic("prior: the eigenvalues of a positive definite matrix do not converge") // not seen to happen
	}
	e.Values(c.lambda)
	var v mat.Dense
	e.VectorsTo(&v)
	c.v = v.RawMatrix().Data
	// Rounding may bring the smallest to 0 or below.
	floor := c.lambda[c.n-1] * 1e-17
	for i, l := range c.lambda {
		c.lambda[i] = math.Max(l, floor)
		if c.precision {
			c.lambda[i] = 1 / c.lambda[i]
		}
	}
}

// toEigen sets the r rows of dst to Vᵀx_l. Call decompose first; where v is
// nil, V = I.
func (c *covariance) toEigen(r int, dst, x []float64) {
	kernel.Gemm(false, false, r, c.n, c.n, 1, x, c.n, c.v, c.n, 0, dst, c.n)
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }
