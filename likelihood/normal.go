package likelihood

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

const halfLog2Pi = 0.91893853320467274178032973640561763986139747363778

// Normal is Gaussian noise, y = f + e with e ~ N(0, Σ). It is made by
// [NewNormal] or [NewNormalCov].
type Normal struct {
	sigma []float64         // one for all data or one for each; nil if Σ is full
	u     blas64.Triangular // Σ = UᵀU, if it is full
}

var _ Noise = (*Normal)(nil)

// NewNormal returns independent Gaussian noise of standard deviation sigma:
// one for all data, or one for each datum.
func NewNormal(sigma ...float64) (*Normal, error) {
	if len(sigma) == 0 {
		return nil, errors.New("likelihood: sigma is empty")
	}
	for i, s := range sigma {
		if !(s > 0) || math.IsInf(s, 1) {
			return nil, fmt.Errorf("likelihood: sigma[%d] is %g, want a positive number", i, s)
		}
	}
	return &Normal{sigma: slices.Clone(sigma)}, nil
}

// NewNormalCov returns Gaussian noise of covariance cov, which must be
// positive definite.
func NewNormalCov(cov mat.Symmetric) (*Normal, error) {
	if cov == nil || cov.SymmetricDim() == 0 {
		return nil, errors.New("likelihood: cov is empty")
	}
	m := cov.SymmetricDim()
	for i := range m {
		for j := range m {
			if v := cov.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("likelihood: cov[%d, %d] is %g", i, j, v)
			}
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		return nil, fmt.Errorf("likelihood: cov (%d×%d) is not positive definite", m, m)
	}
	var u mat.TriDense
	chol.UTo(&u)
	return &Normal{u: u.RawTriangular()}, nil
}

// Check accepts any finite data of the covariance's dimension.
func (n *Normal) Check(y []float64) error {
	switch {
	case n.sigma == nil && n.u.N == 0:
		return errors.New("likelihood: Normal is not made by NewNormal or NewNormalCov")
	case len(n.sigma) > 1 && len(n.sigma) != len(y):
		return fmt.Errorf("likelihood: sigma has length %d, the data %d", len(n.sigma), len(y))
	case n.sigma == nil && n.u.N != len(y):
		return fmt.Errorf("likelihood: cov is %d×%d, the data have length %d", n.u.N, n.u.N, len(y))
	}
	return nil
}

// LogProbScore implements [Noise]. The gradient is Σ⁻¹(y - f).
func (n *Normal) LogProbScore(score, y, f []float64) float64 {
	return n.logNorm(len(y)) - n.mahalanobis(score, y, f)/2
}

// Rand implements [Noise].
func (n *Normal) Rand(dst, f []float64, src rand.Source) {
	rng.FillNormal(dst, src)
	switch {
	case n.sigma == nil:
		blas64.Trmv(blas.Trans, n.u, vector(dst))
	case len(n.sigma) == 1:
		for i := range dst {
			dst[i] *= n.sigma[0]
		}
	default:
		for i := range dst {
			dst[i] *= n.sigma[i]
		}
	}
	for i, v := range f {
		dst[i] += v
	}
}

// mahalanobis returns (y - f)ᵀΣ⁻¹(y - f) and stores Σ⁻¹(y - f) in dst.
func (n *Normal) mahalanobis(dst, y, f []float64) float64 {
	var q float64
	switch {
	case n.sigma == nil:
		for i, v := range y {
			dst[i] = v - f[i]
		}
		z := vector(dst)
		blas64.Trsv(blas.Trans, n.u, z)
		q = blas64.Dot(z, z)
		blas64.Trsv(blas.NoTrans, n.u, z)
	case len(n.sigma) == 1:
		inv := 1 / n.sigma[0]
		for i, v := range y {
			z := (v - f[i]) * inv
			q += z * z
			dst[i] = z * inv
		}
	default:
		for i, v := range y {
			z := (v - f[i]) / n.sigma[i]
			q += z * z
			dst[i] = z / n.sigma[i]
		}
	}
	return q
}

// logDet returns log det Σ for m data.
func (n *Normal) logDet(m int) float64 {
	var d float64
	switch {
	case n.sigma == nil:
		for i := range m {
			d += math.Log(n.u.Data[i*n.u.Stride+i])
		}
	case len(n.sigma) == 1:
		d = float64(m) * math.Log(n.sigma[0])
	default:
		for _, s := range n.sigma {
			d += math.Log(s)
		}
	}
	return 2 * d
}

func (n *Normal) logNorm(m int) float64 { return -float64(m)*halfLog2Pi - n.logDet(m)/2 }

// reduce: the mean of k repeats is sufficient, with precision k Σ⁻¹.
func (n *Normal) reduce(y [][]float64) (kernel, []float64, float64) {
	k := float64(len(y))
	mean := sum(y)
	for i := range mean {
		mean[i] /= k
	}
	logConst := k * n.logNorm(len(mean))
	tmp := make([]float64, len(mean))
	for _, row := range y {
		logConst -= n.mahalanobis(tmp, row, mean) / 2
	}
	return normalMean{n, k}, mean, logConst
}

// normalMean is the law of the mean of k repeats, without its constant.
type normalMean struct {
	*Normal
	k float64
}

func (n normalMean) LogProbScore(score, mean, f []float64) float64 {
	q := n.mahalanobis(score, mean, f)
	if n.k != 1 {
		for i := range score {
			score[i] *= n.k
		}
	}
	return -n.k * q / 2
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Inc: 1, Data: x} }
