package diffusion

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/likelihood"
)

// linearGaussian is y = Ax + e with e ~ N(0, Σ), and the solution of
// (Σ + c AAᵀ) v = r for any c ≥ 0. With L⁻¹A = U diag(s) Vᵀ, where Σ = LLᵀ,
// it is v = L⁻ᵀU (1 + c s²)⁻¹ UᵀL⁻¹r.
type linearGaussian struct {
	lik  *likelihood.Gaussian
	a    inverse.Linear
	m, n int

	spectral inverse.Spectral // white noise of standard deviation sigma
	sigma    float64
	u        []float64 // else U (m×m)
	square   []float64 // s², of the modes with s > 0 or of all
}

// maxDense bounds the number of data whose AAᵀ is decomposed.
const maxDense = 2048

// newLinearGaussian checks the operator of a likelihood.
func newLinearGaussian(method string, lik *likelihood.Gaussian) (*linearGaussian, error) {
	if lik == nil {
		return nil, errors.New("diffusion: the likelihood is nil")
	}
	a, ok := lik.Operator().(inverse.Linear)
	if !ok {
		return nil, fmt.Errorf("diffusion: %s: the operator %T is not inverse.Linear; DPS and MMPS take any operator with a derivative", method, lik.Operator())
	}
	g := &linearGaussian{lik: lik, a: a}
	g.m, g.n = a.Dims()
	if len(lik.Data()) != g.m {
		return nil, fmt.Errorf("diffusion: %s: the likelihood has %d data for %d outputs of the operator", method, len(lik.Data()), g.m)
	}
	return g, nil
}

// newSpectralGaussian checks that the operator is spectral and the noise white.
func newSpectralGaussian(method string, lik *likelihood.Gaussian) (*linearGaussian, error) {
	g, err := newLinearGaussian(method, lik)
	if err != nil {
		return nil, err
	}
	s, ok := g.a.(inverse.Spectral)
	if !ok {
		return nil, fmt.Errorf("diffusion: %s: the operator %T is not inverse.Spectral, it has no singular value decomposition", method, g.a)
	}
	sigma, white := lik.Sigma()
	if !white {
		return nil, fmt.Errorf("diffusion: %s: the noise must have the same standard deviation for all data and no correlation", method)
	}
	g.spectral, g.sigma = s, sigma
	return g, nil
}

// modes returns Uᵀy/s, and 0 where the singular value s is 0.
func (g *linearGaussian) modes() []float64 {
	s := g.spectral.SingularValues()
	y := mat.NewDense(1, len(s), nil)
	g.spectral.MulUT(y, mat.NewDense(1, g.m, g.lik.Data()))
	modes := y.RawRowView(0)
	for i, v := range s {
		if v > 0 {
			modes[i] /= v
		} else {
			modes[i] = 0
		}
	}
	return modes
}

// decompose prepares solve.
func (g *linearGaussian) decompose(method string) error {
	if s, ok := g.a.(inverse.Spectral); ok {
		if sigma, white := g.lik.Sigma(); white {
			g.spectral, g.sigma = s, sigma
			for _, v := range s.SingularValues() {
				g.square = append(g.square, v*v/(sigma*sigma))
			}
			return nil
		}
	}
	if g.m > maxDense {
		return fmt.Errorf("diffusion: %s: the operator %T with %d data is not inverse.Spectral with white noise; MMPS needs neither", method, g.a, g.m)
	}
	at := matrixT(g.a)
	g.lik.Whiten(at, at)
	var gram mat.SymDense
	gram.SymOuterK(1, at.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, true) {
		return fmt.Errorf("diffusion: %s: the singular values of the operator were not found", method)
	}
	g.square = eigen.Values(nil)
	for i, v := range g.square {
		g.square[i] = math.Max(0, v)
	}
	var u mat.Dense
	eigen.VectorsTo(&u)
	g.u = u.RawMatrix().Data
	return nil
}

// matrixT returns the transpose of the matrix of an operator.
func matrixT(a inverse.Linear) *mat.Dense {
	m, n := a.Dims()
	at := mat.NewDense(n, m, nil)
	const block = 64
	for lo := 0; lo < n; lo += block {
		hi := min(lo+block, n)
		e := mat.NewDense(hi-lo, n, nil)
		for i := lo; i < hi; i++ {
			e.Set(i-lo, i, 1)
		}
		a.Apply(at.Slice(lo, hi, 0, m).(*mat.Dense), e)
	}
	return at
}

// residual sets the rows of dst to y - Ax_i.
func (g *linearGaussian) residual(dst, x *mat.Dense) {
	g.a.Apply(dst, x)
	y := g.lik.Data()
	for i := range dst.RawMatrix().Rows {
		row := dst.RawRowView(i)
		floats.SubTo(row, y, row)
	}
}

// solve sets the rows of r to (Σ + c AAᵀ)⁻¹r_i, and logp[i], if it is not nil,
// to log N(r_i; 0, Σ + c AAᵀ). e and e2 are scratch.
func (g *linearGaussian) solve(r, e, e2 *mat.Dense, c float64, logp []float64) {
	rows, _ := r.Dims()
	logDet := g.lik.LogDet() + float64(g.m)*math.Log(2*math.Pi)
	for _, s := range g.square {
		logDet += math.Log1p(c * s)
	}
	if g.spectral != nil {
		// (1 + cs²)⁻¹ = 1 - cs²/(1 + cs²): outside of the range of U nothing changes.
		resize(e, rows, len(g.square))
		g.spectral.MulUT(e, r)
		for i := range rows {
			row := e.RawRowView(i)
			if logp != nil {
				quad := floats.Dot(r.RawRowView(i), r.RawRowView(i))
				for j, s := range g.square {
					quad -= row[j] * row[j] * c * s / (1 + c*s)
				}
				logp[i] = -0.5 * (logDet + quad/(g.sigma*g.sigma))
			}
			for j, s := range g.square {
				row[j] *= -c * s / (1 + c*s)
			}
		}
		g.spectral.MulU(resize(e2, rows, g.m), e)
		combine(r, 1/(g.sigma*g.sigma), r, 1/(g.sigma*g.sigma), e2)
		return
	}
	g.lik.Whiten(r, r)
	resize(e, rows, g.m)
	raw := r.RawMatrix()
	kernel.Gemm(false, false, rows, g.m, g.m, 1, raw.Data, raw.Stride, g.u, g.m, 0, e.RawMatrix().Data, g.m)
	for i := range rows {
		row := e.RawRowView(i)
		quad := 0.0
		for j, s := range g.square {
			quad += row[j] * row[j] / (1 + c*s)
			row[j] /= 1 + c*s
		}
		if logp != nil {
			logp[i] = -0.5 * (logDet + quad)
		}
	}
	kernel.Gemm(false, true, rows, g.m, g.m, 1, e.RawMatrix().Data, g.m, g.u, g.m, 0, raw.Data, raw.Stride)
	g.lik.WhitenT(r, r)
}
