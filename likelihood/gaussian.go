package likelihood

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// Gaussian is the likelihood of y = A(x) + e with e ~ N(0, Σ). Beside what
// every [Likelihood] has, its covariance can be applied, which is what exact
// posteriors and least-squares methods need. With Σ = LLᵀ, the matrices
// below are applied to each row of a batch; dst may be the input.
type Gaussian struct {
	*Likelihood
	normal *Normal
}

// NewGaussian returns the likelihood of data with independent noise of
// standard deviation sigma.
func NewGaussian(op inverse.Operator, y []float64, sigma float64) (*Gaussian, error) {
	if !(sigma > 0) {
		return nil, fmt.Errorf("likelihood: sigma is %g, want a positive number", sigma)
	}
	normal, err := NewNormal(sigma)
	return newGaussian(op, y, normal, err)
}

// NewGaussianDiag returns the likelihood of data with independent noise,
// sigma[i] being the standard deviation of y[i].
func NewGaussianDiag(op inverse.Operator, y, sigma []float64) (*Gaussian, error) {
	if len(sigma) != len(y) {
		return nil, fmt.Errorf("likelihood: sigma has length %d, y %d", len(sigma), len(y))
	}
	normal, err := NewNormal(sigma...)
	return newGaussian(op, y, normal, err)
}

// NewGaussianCov returns the likelihood of data with noise of covariance cov,
// which must be positive definite.
func NewGaussianCov(op inverse.Operator, y []float64, cov mat.Symmetric) (*Gaussian, error) {
	normal, err := NewNormalCov(cov)
	return newGaussian(op, y, normal, err)
}

func newGaussian(op inverse.Operator, y []float64, normal *Normal, err error) (*Gaussian, error) {
	if err != nil {
		return nil, err
	}
	l, err := New(op, y, normal)
	if err != nil {
		return nil, err
	}
	return &Gaussian{Likelihood: l, normal: normal}, nil
}

// Sigma returns the standard deviation of the noise if it is independent and
// the same for all data.
func (g *Gaussian) Sigma() (sigma float64, ok bool) {
	if len(g.normal.sigma) != 1 {
		return 0, false
	}
	return g.normal.sigma[0], true
}

// LogDet returns log det Σ.
func (g *Gaussian) LogDet() float64 { return g.normal.logDet(g.m) }

// AddCovariance adds Σ to dst (m×m).
func (g *Gaussian) AddCovariance(dst *mat.SymDense) {
	if n := dst.SymmetricDim(); n != g.m {
		panic(fmt.Sprintf("likelihood: dst is %d×%d, want %d×%d", n, n, g.m, g.m))
	}
	if g.normal.sigma == nil {
		u := mat.NewTriDense(g.m, mat.Upper, nil)
		u.SetRawTriangular(g.normal.u)
		var cov mat.SymDense
		cov.SymOuterK(1, u.T())
		dst.AddSym(dst, &cov)
		return
	}
	for i := range g.m {
		s := g.normal.sigma[min(i, len(g.normal.sigma)-1)]
		dst.SetSym(i, i, dst.At(i, i)+s*s)
	}
}

// Precision sets the rows of dst to Σ⁻¹r_i for the rows r_i of r (k×m).
func (g *Gaussian) Precision(dst, r *mat.Dense) {
	g.rows(dst, r, func(s float64) float64 { return 1 / (s * s) }, func(u blas64.Triangular, b blas64.General) {
		blas64.Trsm(blas.Right, blas.NoTrans, 1, u, b)
		blas64.Trsm(blas.Right, blas.Trans, 1, u, b)
	})
}

// Whiten sets the rows of dst to L⁻¹r_i for the rows r_i of r (k×m): noise
// becomes standard normal.
func (g *Gaussian) Whiten(dst, r *mat.Dense) {
	g.rows(dst, r, func(s float64) float64 { return 1 / s }, func(u blas64.Triangular, b blas64.General) {
		blas64.Trsm(blas.Right, blas.NoTrans, 1, u, b)
	})
}

// WhitenT sets the rows of dst to L⁻ᵀz_i for the rows z_i of z (k×m), so that
// Precision is Whiten and then WhitenT.
func (g *Gaussian) WhitenT(dst, z *mat.Dense) {
	g.rows(dst, z, func(s float64) float64 { return 1 / s }, func(u blas64.Triangular, b blas64.General) {
		blas64.Trsm(blas.Right, blas.Trans, 1, u, b)
	})
}

// Color sets the rows of dst to L z_i for the rows z_i of z (k×m): standard
// normal draws become draws of the noise.
func (g *Gaussian) Color(dst, z *mat.Dense) {
	g.rows(dst, z, func(s float64) float64 { return s }, func(u blas64.Triangular, b blas64.General) {
		blas64.Trmm(blas.Right, blas.NoTrans, 1, u, b)
	})
}

// rows applies a matrix that is diagonal with entries diag(σ_i), or full and
// applied from the right by full, to the rows of src.
func (g *Gaussian) rows(dst, src *mat.Dense, diag func(float64) float64, full func(blas64.Triangular, blas64.General)) {
	k, c := src.Dims()
	if dk, dc := dst.Dims(); c != g.m || dk != k || dc != c {
		panic(fmt.Sprintf("likelihood: dst is %d×%d, the input %d×%d, the data have length %d", dk, dc, k, c, g.m))
	}
	if dst != src {
		dst.Copy(src)
	}
	sigma := g.normal.sigma
	if sigma == nil {
		full(g.normal.u, dst.RawMatrix())
		return
	}
	for i := range k {
		row := dst.RawRowView(i)
		if len(sigma) == 1 {
			blas64.Scal(diag(sigma[0]), vector(row))
			continue
		}
		for j, s := range sigma {
			row[j] *= diag(s)
		}
	}
}
