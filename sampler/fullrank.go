package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
)

// fullRank is N(μ, L Lᵀ) with L lower triangular, with parameters μ and the
// rows of L.
type fullRank struct {
	theta   []float64
	d       int
	logDet  float64 // log |det L|
	scratch sync.Pool
}

var _ normal = (*fullRank)(nil)

func newFullRank(mu []float64) *fullRank {
	d := len(mu)
	q := &fullRank{theta: make([]float64, d+d*(d+1)/2), d: d}
	q.scratch.New = func() any {
		v := make([]float64, d)
		return &v
	}
	copy(q.theta, mu)
	for i := range d {
		q.row(i)[i] = 1
	}
	q.update()
	return q
}

// row returns row i of L up to its diagonal.
func (q *fullRank) row(i int) []float64 {
	k := q.d + i*(i+1)/2
	return q.theta[k : k+i+1]
}

func (q *fullRank) l() blas64.TriangularPacked {
	return blas64.TriangularPacked{N: q.d, Data: q.theta[q.d:], Uplo: blas.Lower, Diag: blas.NonUnit}
}

func (q *fullRank) params() []float64 { return q.theta }

func (q *fullRank) noise() int { return q.d }

func (q *fullRank) update() error {
	q.logDet = 0
	for i := range q.d {
		q.logDet += math.Log(math.Abs(q.row(i)[i]))
	}
	if !allFinite(q.theta) {
		return errNotFinite
	}
	if math.IsInf(q.logDet, -1) {
		return errors.New("the covariance matrix is singular")
	}
	return nil
}

func (q *fullRank) path(u, score, eps []float64) {
	for i, e := range eps {
		score[i] = -e
	}
	v := blas64.Vector{N: q.d, Data: score, Inc: 1}
	blas64.Tpsv(blas.Trans, q.l(), v) // -L⁻ᵀε
	q.fromNoise(u, eps)
}

// fromNoise sets u to μ + Lε.
func (q *fullRank) fromNoise(u, eps []float64) {
	copy(u, eps)
	v := blas64.Vector{N: q.d, Data: u, Inc: 1}
	blas64.Tpmv(blas.NoTrans, q.l(), v)
	for i := range u {
		u[i] += q.theta[i]
	}
}

func (q *fullRank) pullback(grad, g, eps []float64) {
	k := q.d
	for i, v := range g {
		grad[i] += v
		row := grad[k : k+i+1]
		for j, e := range eps[:len(row)] {
			row[j] += v * e
		}
		k += i + 1
	}
}

func (q *fullRank) draw(u []float64, rnd *rand.Rand) float64 {
	eps := q.scratch.Get().(*[]float64)
	defer q.scratch.Put(eps)
	lp := -q.logDet - float64(q.d)*log2Pi/2
	for i := range *eps {
		e := rnd.NormFloat64()
		(*eps)[i] = e
		lp -= e * e / 2
	}
	q.fromNoise(u, *eps)
	return lp
}

func (q *fullRank) logProb(u []float64) float64 {
	z := q.scratch.Get().(*[]float64)
	defer q.scratch.Put(z)
	for i, v := range u {
		(*z)[i] = v - q.theta[i]
	}
	v := blas64.Vector{N: q.d, Data: *z, Inc: 1}
	blas64.Tpsv(blas.NoTrans, q.l(), v)
	return -q.logDet - float64(q.d)*log2Pi/2 - blas64.Dot(v, v)/2
}
