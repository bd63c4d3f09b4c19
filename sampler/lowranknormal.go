package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"
)

// lowRankNormal is N(μ, D + B Bᵀ) with D = diag(e^2ω) and B of d×r, with
// parameters (μ, ω, B) and noise (ε, z): u = μ + e^ω ε + B z.
type lowRankNormal struct {
	theta   []float64
	sigma   []float64
	d, r    int
	chol    mat.Cholesky // of M = I + BᵀD⁻¹B
	inverse []float64    // M⁻¹, row-major
	logDet  float64      // log det of the covariance matrix
	scratch sync.Pool    // of *lowRankScratch
}

type lowRankScratch struct{ v, z, w []float64 }

var _ normal = (*lowRankNormal)(nil)

func newLowRankNormal(mu []float64, r int, rnd *rand.Rand) *lowRankNormal {
	d := len(mu)
	q := &lowRankNormal{theta: make([]float64, 2*d+d*r), sigma: make([]float64, d), d: d, r: r, inverse: make([]float64, r*r)}
	q.scratch.New = func() any {
		return &lowRankScratch{make([]float64, d), make([]float64, r), make([]float64, r)}
	}
	copy(q.theta, mu)
	// At B = 0 the gradient by B would stay 0 but for noise.
	for i := range q.b() {
		q.b()[i] = 0.01 * rnd.NormFloat64()
	}
	q.update()
	return q
}

// b returns B, row-major.
func (q *lowRankNormal) b() []float64 { return q.theta[2*q.d:] }

func (q *lowRankNormal) params() []float64 { return q.theta }

func (q *lowRankNormal) noise() int { return q.d + q.r }

func (q *lowRankNormal) update() error {
	q.logDet = 0
	for i, omega := range q.theta[q.d : 2*q.d] {
		q.sigma[i] = math.Exp(omega)
		q.logDet += 2 * omega
	}
	if !allFinite(q.theta) || !allFinite(q.sigma) {
		return errNotFinite
	}
	scaled := mat.NewDense(q.d, q.r, append([]float64(nil), q.b()...))
	for i, s := range q.sigma {
		row := scaled.RawRowView(i)
		for j := range row {
			row[j] /= s
		}
	}
	m := mat.NewSymDense(q.r, nil)
	m.SymOuterK(1, scaled.T())
	for j := range q.r {
		m.SetSym(j, j, m.At(j, j)+1)
	}
	if !q.chol.Factorize(m) {
		return errors.New("the covariance matrix is singular")
	}
	q.logDet += q.chol.LogDet()
	if err := q.chol.InverseTo(m); err != nil {
		return fmt.Errorf("the covariance matrix: %w", err)
	}
	for i := range q.r {
		for j := range q.r {
			q.inverse[i*q.r+j] = m.At(i, j)
		}
	}
	return nil
}

func (q *lowRankNormal) path(u, score, eps []float64) {
	q.fromNoise(u, eps)
	s := q.scratch.Get().(*lowRankScratch)
	defer q.scratch.Put(s)
	q.solve(score, u, s)
	for i := range score {
		score[i] = -score[i]
	}
}

func (q *lowRankNormal) fromNoise(u, eps []float64) {
	b, z := q.b(), eps[q.d:]
	for i, s := range q.sigma {
		v := q.theta[i] + s*eps[i]
		for j, zj := range z {
			v += b[i*q.r+j] * zj
		}
		u[i] = v
	}
}

// solve sets dst to Σ⁻¹(u-μ) by Woodbury's identity,
// D⁻¹v - D⁻¹B M⁻¹ BᵀD⁻¹v.
func (q *lowRankNormal) solve(dst, u []float64, s *lowRankScratch) {
	b := q.b()
	clear(s.z)
	for i, sigma := range q.sigma {
		v := (u[i] - q.theta[i]) / (sigma * sigma)
		dst[i] = v
		for j, bij := range b[i*q.r : (i+1)*q.r] {
			s.z[j] += bij * v
		}
	}
	for j := range s.w {
		var w float64
		for k, z := range s.z {
			w += q.inverse[j*q.r+k] * z
		}
		s.w[j] = w
	}
	for i, sigma := range q.sigma {
		var v float64
		for j, bij := range b[i*q.r : (i+1)*q.r] {
			v += bij * s.w[j]
		}
		dst[i] -= v / (sigma * sigma)
	}
}

func (q *lowRankNormal) pullback(grad, g, eps []float64) {
	z := eps[q.d:]
	for i, v := range g {
		grad[i] += v
		grad[q.d+i] += v * q.sigma[i] * eps[i]
		row := grad[2*q.d+i*q.r:]
		for j, zj := range z {
			row[j] += v * zj
		}
	}
}

func (q *lowRankNormal) draw(u []float64, rnd *rand.Rand) float64 {
	s := q.scratch.Get().(*lowRankScratch)
	defer q.scratch.Put(s)
	b := q.b()
	for j := range s.z {
		s.z[j] = rnd.NormFloat64()
	}
	for i, sigma := range q.sigma {
		v := q.theta[i] + sigma*rnd.NormFloat64()
		for j, zj := range s.z {
			v += b[i*q.r+j] * zj
		}
		u[i] = v
	}
	return q.logProb(u)
}

func (q *lowRankNormal) logProb(u []float64) float64 {
	s := q.scratch.Get().(*lowRankScratch)
	defer q.scratch.Put(s)
	// With w = M⁻¹BᵀD⁻¹v, vᵀΣ⁻¹v is |D^-½(v - B w)|² + |w|²: a sum of squares,
	// where vᵀ(D⁻¹v - D⁻¹B w) could be lost to cancellation.
	q.solve(s.v, u, s)
	lp := -(q.logDet + float64(q.d)*log2Pi) / 2
	for i, v := range s.v {
		z := v * q.sigma[i]
		lp -= z * z / 2
	}
	for _, w := range s.w {
		lp -= w * w / 2
	}
	return lp
}
