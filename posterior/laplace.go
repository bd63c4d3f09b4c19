package posterior

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// Laplace is the Gaussian approximation of a density at a mode: its mean is
// the mode, its precision the negative Hessian of the log density there.
type Laplace struct {
	// Src is the source of Sample's draws. If it is nil, it is freshly seeded.
	Src rand.Source

	*prior.Gaussian
	logEvidence float64
}

var _ inverse.Sampler = (*Laplace)(nil)

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
	g, err := prior.NewGaussianPrecision(mode.X, h, nil)
	if err != nil {
		return nil, fmt.Errorf("posterior: the density is not concave at the mode: its negative Hessian is not positive definite")
	}
	return &Laplace{Gaussian: g, logEvidence: mode.LogProb - g.LogProb(mode.X)}, nil
}

// epsilon is the distance from 1 to the next number.
const epsilon = 0x1p-52

// LogEvidence returns the approximation to the log of the density's integral,
// log p(m) + (n log 2π - log det(-∇² log p)) / 2: the log evidence if the
// density is prior times likelihood.
func (l *Laplace) LogEvidence() float64 { return l.logEvidence }

// Sample fills the rows of dst with independent draws of the approximation
// from Src.
func (l *Laplace) Sample(ctx context.Context, dst *mat.Dense) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.Draw(dst, rng.Or(l.Src))
	return nil
}
