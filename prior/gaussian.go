package prior

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/internal/rng"
)

// GaussianOptions are the options of the constructors of a Gaussian.
type GaussianOptions struct {
	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// Gaussian is the density N(μ, S) on Rⁿ by a covariance, a precision or a
// Cholesky factor. Evaluation and draws cost n² operations, or n if S is
// diagonal.
type Gaussian struct {
	mean    []float64
	cov     *covariance
	logNorm float64
	src     rand.Source
	scratch scratch

	once     sync.Once
	diffused *diffused
}

var (
	_ Prior         = (*Gaussian)(nil)
	_ Diffusible    = (*Gaussian)(nil)
	_ distmv.Rander = (*Gaussian)(nil)
)

// NewGaussian returns N(mean, cov). A nil mean is 0. A *mat.DiagDense stays
// diagonal. It returns an error if cov is not positive definite, if the
// dimensions differ, or if an element is not finite.
func NewGaussian(mean []float64, cov mat.Symmetric, opt *GaussianOptions) (*Gaussian, error) {
	c, err := newCovariance("cov", cov, false)
	if err != nil {
		return nil, fmt.Errorf("prior: Gaussian: %w", err)
	}
	return newGaussian(mean, c, opt)
}

// NewGaussianPrecision is NewGaussian by the precision, the inverse of the
// covariance. The precision is not inverted.
func NewGaussianPrecision(mean []float64, prec mat.Symmetric, opt *GaussianOptions) (*Gaussian, error) {
	c, err := newCovariance("prec", prec, true)
	if err != nil {
		return nil, fmt.Errorf("prior: Gaussian: %w", err)
	}
	return newGaussian(mean, c, opt)
}

// NewGaussianChol is NewGaussian by the Cholesky factor of the covariance.
func NewGaussianChol(mean []float64, chol *mat.Cholesky, opt *GaussianOptions) (*Gaussian, error) {
	if chol == nil || chol.IsEmpty() {
		return nil, fmt.Errorf("prior: Gaussian: chol is empty")
	}
	return newGaussian(mean, cholCovariance(chol, false), opt)
}

func newGaussian(mean []float64, c *covariance, opt *GaussianOptions) (*Gaussian, error) {
	if opt == nil {
		opt = &GaussianOptions{}
	}
	mean, err := checkMean(mean, c.n)
	if err != nil {
		return nil, fmt.Errorf("prior: Gaussian: %w", err)
	}
	g := &Gaussian{
		mean:    mean,
		cov:     c,
		logNorm: -0.5 * (float64(c.n)*math.Log(2*math.Pi) + c.logDet),
		src:     rng.Or(opt.Src),
	}
	return g, nil
}

// checkMean returns a copy of mean, or 0 if it is nil.
func checkMean(mean []float64, n int) ([]float64, error) {
	if mean == nil {
		return make([]float64, n), nil
	}
	if len(mean) != n {
		return nil, fmt.Errorf("mean has length %d, want %d", len(mean), n)
	}
	for i, v := range mean {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("mean[%d] is %g", i, v)
		}
	}
	return append([]float64(nil), mean...), nil
}

// Dim returns n.
func (g *Gaussian) Dim() int { return g.cov.n }

// Mean stores μ in dst, which is allocated if nil, and returns it.
func (g *Gaussian) Mean(dst []float64) []float64 {
	dst = use(dst, g.Dim())
	copy(dst, g.mean)
	return dst
}

// CovarianceMatrix stores S in dst, which may be empty.
func (g *Gaussian) CovarianceMatrix(dst *mat.SymDense) { g.cov.to(dst) }

// Variance stores the diagonal of S in dst, which is allocated if nil, and
// returns it.
func (g *Gaussian) Variance(dst []float64) []float64 {
	dst = use(dst, g.Dim())
	row := make([]float64, g.Dim())
	for i := range dst {
		clear(row)
		row[i] = 1
		g.cov.colorT(row)
		dst[i] = floats.Dot(row, row)
	}
	return dst
}

// LogDet returns log det S.
func (g *Gaussian) LogDet() float64 { return g.cov.logDet }

// LogProb returns the log density at x.
func (g *Gaussian) LogProb(x []float64) float64 {
	checkPoint(x, g.Dim())
	p := g.scratch.get(g.Dim())
	d := *p
	floats.SubTo(d, x, g.mean)
	g.cov.whiten(d)
	logp := g.logNorm - 0.5*floats.Dot(d, d)
	g.scratch.put(p)
	return logp
}

// ScoreInput stores -S⁻¹(x - μ) in score, which is allocated if nil, and
// returns it.
func (g *Gaussian) ScoreInput(score, x []float64) []float64 { return scoreOf(g, score, x) }

// LogProbScore stores the score in score and returns the log density.
func (g *Gaussian) LogProbScore(score, x []float64) float64 {
	checkPoint(x, g.Dim())
	checkPoint(score, g.Dim())
	floats.SubTo(score, g.mean, x)
	g.cov.whiten(score)
	logp := g.logNorm - 0.5*floats.Dot(score, score)
	g.cov.whitenT(score)
	return logp
}

// MulPrecision sets the rows of dst to S⁻¹x_i. It may be x itself.
func (g *Gaussian) MulPrecision(dst, x *mat.Dense) { g.mul(dst, x, !g.cov.precision) }

// MulCovariance sets the rows of dst to S x_i. It may be x itself.
func (g *Gaussian) MulCovariance(dst, x *mat.Dense) { g.mul(dst, x, g.cov.precision) }

// mul multiplies by L Lᵀ or its inverse; for a diagonal S, whose precision is
// false, by S or its inverse.
func (g *Gaussian) mul(dst, x *mat.Dense, inverse bool) {
	checkRows(dst, x, g.Dim())
	dst.Copy(x)
	if g.cov.sd != nil {
		for i := range dst.RawMatrix().Rows {
			row := dst.RawRowView(i)
			for j, s := range g.cov.sd {
				if inverse {
					row[j] /= s * s
				} else {
					row[j] *= s * s
				}
			}
		}
		return
	}
	if inverse {
		blas64.Trsm(blas.Right, blas.Trans, 1, g.cov.l, dst.RawMatrix())
		blas64.Trsm(blas.Right, blas.NoTrans, 1, g.cov.l, dst.RawMatrix())
	} else {
		blas64.Trmm(blas.Right, blas.NoTrans, 1, g.cov.l, dst.RawMatrix())
		blas64.Trmm(blas.Right, blas.Trans, 1, g.cov.l, dst.RawMatrix())
	}
}

// Rand draws from the options' source into x, which is allocated if nil.
func (g *Gaussian) Rand(x []float64) []float64 { return randOf(g, x, g.src) }

// Draw fills the rows of dst with independent draws from src.
func (g *Gaussian) Draw(dst *mat.Dense, src rand.Source) { drawRows(g, dst, src) }

func (g *Gaussian) draw(x []float64, src rand.Source) {
	rng.FillNormal(x, src)
	g.cov.color(x)
	floats.Add(x, g.mean)
}

// Condition returns the posterior of x ~ N(μ, S) given data y = A x + e with
// noise e ~ N(0, R), and the log evidence log N(y; A μ, A S Aᵀ + R):
//
//	mean        μ + S Aᵀ(A S Aᵀ + R)⁻¹(y - A μ)
//	covariance  S - S Aᵀ(A S Aᵀ + R)⁻¹A S
//
// It solves in the smaller of the dimensions of x and y. A *mat.DiagDense R
// stays diagonal. The posterior's Rand has a freshly seeded source.
func (g *Gaussian) Condition(a mat.Matrix, y []float64, r mat.Symmetric) (post *Gaussian, logEvidence float64, err error) {
	u, err := newUpdate(g.cov, a, r)
	if err != nil {
		return nil, 0, fmt.Errorf("prior: Gaussian: condition: %w", err)
	}
	mean, logEvidence, err := u.mean(g.mean, y)
	if err != nil {
		return nil, 0, fmt.Errorf("prior: Gaussian: condition: %w", err)
	}
	post, err = newGaussian(mean, u.post, nil)
	return post, logEvidence, err
}

// DiffusedLogProb, DiffusedScore, DiffusedVJP and Denoise make a Gaussian
// Diffusible. The first call finds the eigenvectors of S, n³ operations;
// after that a row costs n², or n if S is diagonal.
func (g *Gaussian) DiffusedLogProb(dst []float64, x *mat.Dense, alpha, sigma float64) {
	g.diffusible().logProb(dst, x, alpha, sigma)
}

// DiffusedScore: see Diffusible.
func (g *Gaussian) DiffusedScore(dst, x *mat.Dense, alpha, sigma float64) {
	g.diffusible().score(dst, x, alpha, sigma)
}

// DiffusedVJP: see Diffusible.
func (g *Gaussian) DiffusedVJP(dst, x, v *mat.Dense, alpha, sigma float64) {
	g.diffusible().vjp(dst, x, v, alpha, sigma)
}

// Denoise: see Diffusible.
func (g *Gaussian) Denoise(dst, x *mat.Dense, alpha, sigma float64) {
	g.diffusible().denoise(dst, x, alpha, sigma)
}

// diffusible returns g as a mixture of one component.
func (g *Gaussian) diffusible() *diffused {
	g.once.Do(func() {
		g.diffused = newDiffused([]float64{0}, mat.NewDense(1, g.Dim(), g.mean), []*covariance{g.cov})
	})
	return g.diffused
}
