package posterior

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// Laplace is the Gaussian approximation of a density at a mode: its mean is
// the mode, its precision the negative Hessian of the log density there.
type Laplace struct {
	// Src is the source of Sample's draws. If it is nil, it is freshly seeded.
	Src rand.Source

	mode *Mode
	chol mat.Cholesky
	u    blas64.Triangular // -∇² log p = UᵀU
}

var (
	_ inverse.Sampler               = (*Laplace)(nil)
	_ inverse.DifferentiableDensity = (*Laplace)(nil)
)

// NewLaplace returns the Laplace approximation of the density at a mode, as
// [MAP] finds it. The Hessian is taken by central differences of the score,
// 2n evaluations in all. It is an error if it is not negative definite.
func NewLaplace(target inverse.DifferentiableDensity, mode *Mode) (*Laplace, error) {
	if mode == nil || len(mode.X) == 0 {
		return nil, fmt.Errorf("posterior: mode is empty")
	}
	if err := scoreError(target); err != nil {
		return nil, fmt.Errorf("posterior: Laplace needs a score: %w", err)
	}
	n := len(mode.X)
	h := mat.NewSymDense(n, nil)
	x := append([]float64(nil), mode.X...)
	lo, hi := make([]float64, n), make([]float64, n)
	for i := range n {
		step := math.Cbrt(epsilon) * max(1, math.Abs(x[i]))
		x[i] = mode.X[i] + step
		target.ScoreInput(hi, x)
		x[i] = mode.X[i] - step
		target.ScoreInput(lo, x)
		x[i] = mode.X[i]
		for j := range n {
			d := (lo[j] - hi[j]) / (2 * step)
			if math.IsNaN(d) || math.IsInf(d, 0) {
				return nil, fmt.Errorf("posterior: the Hessian at the mode has the element (%d, %d) = %g", i, j, d)
			}
			// The mean of the two estimates of a symmetric element.
			h.SetSym(i, j, h.At(i, j)+d/2)
			if i == j {
				h.SetSym(i, i, h.At(i, i)+d/2)
			}
		}
	}
	l := &Laplace{mode: mode}
	if !l.chol.Factorize(h) {
		return nil, fmt.Errorf("posterior: the density is not concave at the mode: its negative Hessian is not positive definite")
	}
	l.u = l.chol.RawU().(*mat.TriDense).RawTriangular()
	return l, nil
}

// epsilon is the distance from 1 to the next number.
const epsilon = 0x1p-52

// Dim returns the dimension of x.
func (l *Laplace) Dim() int { return len(l.mode.X) }

// Mean stores the mode in dst and returns it. A nil dst is allocated.
func (l *Laplace) Mean(dst []float64) []float64 {
	dst = use(dst, len(l.mode.X))
	copy(dst, l.mode.X)
	return dst
}

// Covariance stores the covariance in dst, whose size must be that of x or
// which must be empty.
func (l *Laplace) Covariance(dst *mat.SymDense) error { return l.chol.InverseTo(dst) }

// LogProb returns the normalised log density of the approximation at x.
func (l *Laplace) LogProb(x []float64) float64 {
	d := l.deviation(x)
	u := blas64.Vector{N: len(d), Data: d, Inc: 1}
	blas64.Trmv(blas.NoTrans, l.u, u)
	q := blas64.Nrm2(u)
	return (l.chol.LogDet() - float64(len(x))*math.Log(2*math.Pi) - q*q) / 2
}

// ScoreInput stores the score of the approximation at x in score and returns
// it. A nil score is allocated.
func (l *Laplace) ScoreInput(score, x []float64) []float64 {
	score = use(score, len(l.mode.X))
	copy(score, l.deviation(x))
	v := blas64.Vector{N: len(score), Data: score, Inc: 1}
	blas64.Trmv(blas.NoTrans, l.u, v)
	blas64.Trmv(blas.Trans, l.u, v)
	blas64.Scal(-1, v)
	return score
}

func (l *Laplace) deviation(x []float64) []float64 {
	if len(x) != len(l.mode.X) {
		panic(fmt.Sprintf("posterior: x has length %d, want %d", len(x), len(l.mode.X)))
	}
	d := make([]float64, len(x))
	for i, v := range x {
		d[i] = v - l.mode.X[i]
	}
	return d
}

// LogEvidence returns the approximation to the log of the density's integral,
// log p(m) + (n log 2π - log det(-∇² log p)) / 2: the log evidence if the
// density is prior times likelihood.
func (l *Laplace) LogEvidence() float64 { return l.mode.LogProb - l.LogProb(l.mode.X) }

// Sample fills the rows of dst with independent draws of the approximation.
func (l *Laplace) Sample(ctx context.Context, dst *mat.Dense) error {
	r, n := dst.Dims()
	if n != len(l.mode.X) {
		panic(fmt.Sprintf("posterior: dst is %d×%d, want %d columns", r, n, len(l.mode.X)))
	}
	src := rng.Or(l.Src)
	for i := range r {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := dst.RawRowView(i)
		rng.FillNormal(row, src)
		blas64.Trsv(blas.NoTrans, l.u, blas64.Vector{N: n, Data: row, Inc: 1})
		for j, m := range l.mode.X {
			row[j] += m
		}
	}
	return nil
}
