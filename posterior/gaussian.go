package posterior

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

// GaussianPrior is what an exact posterior needs of a prior N(μ, Q⁻¹): the
// Gaussian and the Gaussian Markov random fields of package prior are ones.
type GaussianPrior interface {
	inverse.Density
	// Dim returns the dimension n of x.
	Dim() int
	// Mean stores μ in dst and returns it. A nil dst is allocated.
	Mean(dst []float64) []float64
	// MulPrecision sets the rows of dst to Q x_i for the rows x_i of x.
	MulPrecision(dst, x *mat.Dense)
	// Draw fills the rows of dst with independent draws from src.
	Draw(dst *mat.Dense, src rand.Source)
}

// Gaussian is the exact posterior N(m, H⁻¹) of a Gaussian prior N(μ, Q⁻¹)
// and linear data with Gaussian noise N(0, Σ):
//
//	H = AᵀΣ⁻¹A + Q,    H (m - μ) = AᵀΣ⁻¹(y - Aμ).
//
// It is computed in one of three ways, chosen by [NewGaussian]: mode by mode
// where the prior and the operator share their eigenvectors (a blur with
// reflecting or periodic boundaries and a Markov random field with the same),
// by a Cholesky factor where the dimension is small, and otherwise without
// any matrix, by conjugate gradients.
//
// The exported fields may be set before use. Its methods are then safe for
// concurrent use, but for Sample, which draws from Src.
type Gaussian struct {
	// Src is the source of Sample's draws. If it is nil, it is freshly seeded.
	Src rand.Source
	// Workers bounds the goroutines of Sample. If it is 0, it is GOMAXPROCS;
	// it is 1 for an operator that is not safe for concurrent use.
	Workers int
	// Progress, if it is not nil, is called by Sample with the number of
	// draws done and wanted, by one goroutine at a time.
	Progress func(done, total int)

	m     []float64
	prior GaussianPrior
	lik   *likelihood.Gaussian
	solver
}

var (
	_ inverse.Sampler               = (*Gaussian)(nil)
	_ inverse.DifferentiableDensity = (*Gaussian)(nil)
)

// ErrIntractable is the error of quantities that would need the determinant
// or the inverse of a matrix too large to factorise.
var ErrIntractable = errors.New("posterior: intractable without a factorisation of the posterior precision")

// solver is one way to compute with the posterior precision H.
type solver interface {
	// mean returns the posterior mean.
	mean() ([]float64, error)
	// block returns how many draws to make together.
	block() int
	// draw fills the rows of dst with draws, row i from its own source.
	draw(ctx context.Context, dst *mat.Dense, src []rand.Source) error
	// mul sets the rows of dst to H x_i.
	mul(dst, x *mat.Dense)
	// covariance sets the rows of dst to H⁻¹x_i.
	covariance(dst, x *mat.Dense) error
	// logDet returns log det H.
	logDet() (float64, error)
	// variance stores the diagonal of H⁻¹ in dst.
	variance(dst []float64) error
}

// maxDense is the dimension up to which a dense factorisation is preferred to
// conjugate gradients.
const maxDense = 1200

// NewGaussian returns the posterior of a Gaussian prior and a Gaussian
// likelihood whose operator is Linear. It returns an error if it is not, if
// the dimensions differ, or if the mean cannot be computed.
func NewGaussian(prior GaussianPrior, lik *likelihood.Gaussian) (*Gaussian, error) {
	switch {
	case prior == nil:
		return nil, errors.New("posterior: prior is nil")
	case lik == nil:
		return nil, errors.New("posterior: likelihood is nil")
	case prior.Dim() != lik.Dim():
		return nil, fmt.Errorf("posterior: the prior has dimension %d, the likelihood %d", prior.Dim(), lik.Dim())
	}
	a, err := linear(lik)
	if err != nil {
		return nil, err
	}
	if s := newSpectral(prior, lik, a); s != nil {
		return newGaussian(prior, lik, s)
	}
	if prior.Dim() > maxDense {
		return newGaussian(prior, lik, newIterative(prior, lik, a))
	}
	s, err := newDense(prior, lik, a)
	if err != nil {
		return nil, err
	}
	return newGaussian(prior, lik, s)
}

func newGaussian(prior GaussianPrior, lik *likelihood.Gaussian, s solver) (*Gaussian, error) {
	m, err := s.mean()
	if err != nil {
		return nil, fmt.Errorf("posterior: mean: %w", err)
	}
	for i, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("posterior: mean[%d] is %g", i, v)
		}
	}
	return &Gaussian{m: m, prior: prior, lik: lik, solver: s}, nil
}

// residual returns y - Aμ, one row.
func residual(prior GaussianPrior, lik *likelihood.Gaussian) *mat.Dense {
	op := lik.Operator()
	m, n := op.Dims()
	r := mat.NewDense(1, m, nil)
	op.Apply(r, mat.NewDense(1, n, prior.Mean(nil)))
	r.Sub(mat.NewDense(1, m, lik.Data()), r)
	return r
}

// Dim returns the dimension n of x.
func (g *Gaussian) Dim() int { return len(g.m) }

// Mean stores the posterior mean m in dst and returns it. A nil dst is
// allocated.
func (g *Gaussian) Mean(dst []float64) []float64 {
	dst = use(dst, len(g.m))
	copy(dst, g.m)
	return dst
}

// Variance stores the marginal posterior variances in dst and returns it. A
// nil dst is allocated. The error is ErrIntractable where the posterior is
// solved by conjugate gradients: take the variances of draws then.
func (g *Gaussian) Variance(dst []float64) ([]float64, error) {
	dst = use(dst, len(g.m))
	return dst, g.variance(dst)
}

// LogEvidence returns log p(y), the log density of the data under prior and
// likelihood together, by which priors are compared. The error is
// ErrIntractable where the posterior is solved by conjugate gradients.
func (g *Gaussian) LogEvidence() (float64, error) {
	if _, err := g.logDet(); err != nil {
		return 0, err
	}
	// Bayes' rule, at x = m.
	return g.lik.LogProb(g.m) + g.prior.LogProb(g.m) - g.LogProb(g.m), nil
}

// LogProb returns the log density at x. It is normalised unless the
// posterior is solved by conjugate gradients.
func (g *Gaussian) LogProb(x []float64) float64 {
	d, hd := g.deviation(x)
	logDet, err := g.logDet()
	if err == nil {
		logDet -= float64(len(x)) * math.Log(2*math.Pi)
	}
	return (logDet - floats.Dot(d, hd)) / 2
}

// ScoreInput stores the score H(m - x) in score and returns it. A nil score
// is allocated.
func (g *Gaussian) ScoreInput(score, x []float64) []float64 {
	score = use(score, len(g.m))
	_, hd := g.deviation(x)
	for i, v := range hd {
		score[i] = -v
	}
	return score
}

// deviation returns x - m and H(x - m).
func (g *Gaussian) deviation(x []float64) (d, hd []float64) {
	if len(x) != len(g.m) {
		panic(fmt.Sprintf("posterior: x has length %d, want %d", len(x), len(g.m)))
	}
	n := len(x)
	d, hd = make([]float64, n), make([]float64, n)
	for i := range d {
		d[i] = x[i] - g.m[i]
	}
	g.mul(mat.NewDense(1, n, hd), mat.NewDense(1, n, d))
	return d, hd
}

// Sample fills the rows of dst with independent exact draws, in parallel. It
// returns ctx's error if that comes first, or that of a solver that does not
// converge.
func (g *Gaussian) Sample(ctx context.Context, dst *mat.Dense) error {
	rows, n := dst.Dims()
	if n != len(g.m) {
		panic(fmt.Sprintf("posterior: dst is %d×%d, want %d columns", rows, n, len(g.m)))
	}
	seed := rng.Seed(g.Src)
	progress := par.NewProgress(rows, g.Progress)
	return par.For(ctx, g.Workers, rows, g.block(), func(lo, hi int) error {
		src := make([]rand.Source, hi-lo)
		for i := range src {
			src[i] = rng.New(seed, uint64(lo+i))
		}
		if err := g.draw(ctx, dst.Slice(lo, hi, 0, n).(*mat.Dense), src); err != nil {
			return err
		}
		progress.Add(hi - lo)
		return nil
	})
}

func use(dst []float64, n int) []float64 {
	if dst == nil {
		return make([]float64, n)
	}
	if len(dst) != n {
		panic(fmt.Sprintf("posterior: destination has length %d, want %d", len(dst), n))
	}
	return dst
}
