package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// kernelDensity is a kernel density estimate with the mean x̄ and the
// covariance matrix V of its particles (West, 1993), made safe for importance
// sampling by a half of a distribution with heavier tails (Hesterberg, 1995):
//
//	1/(2n) Σ_i N(a x_i + (1-a) x̄, h² V) + 1/2 t_9(x̄, V)
//
// where a² + h² = 1, h is that of Silverman's rule, and V is the covariance
// matrix, not the scale matrix, of the Student t distribution.
type kernelDensity struct {
	mean    []float64
	x       *mat.Dense // the centres a x_i + (1-a) x̄
	white   *mat.Dense // L⁻¹(x - x̄) for them
	h       float64
	l       []float64 // the Cholesky factor L of V, d×d, row-major
	logDet  float64   // log det L
	scratch sync.Pool
}

var _ variational = (*kernelDensity)(nil)

const heavyNu = 9 // degrees of freedom

func newKernelDensity(particles *mat.Dense) (*kernelDensity, error) {
	n, d := particles.Dims()
	var v mat.SymDense
	stat.CovarianceMatrix(&v, particles, nil)
	v.ScaleSym(float64(n-1)/float64(n), &v) // the covariance matrix of the n points themselves
	var chol mat.Cholesky
	if n <= d || !chol.Factorize(&v) {
		for i := range d {
			for j := range i {
				v.SetSym(i, j, 0)
			}
		}
		if !chol.Factorize(&v) {
			return nil, errors.New("the particles have run together")
		}
	}
	h := math.Pow(4/(float64(n)*float64(d+2)), 1/float64(d+4))
	h = min(h, 1)
	a := math.Sqrt(1 - h*h)

	q := &kernelDensity{mean: make([]float64, d), x: mat.NewDense(n, d, nil), white: mat.NewDense(n, d, nil), h: h, l: make([]float64, d*d)}
	var l mat.TriDense
	chol.LTo(&l)
	for i := range d {
		for j := range i + 1 {
			q.l[i*d+j] = l.At(i, j)
		}
		q.logDet += math.Log(q.l[i*d+i])
	}
	for j := range d {
		q.mean[j] = stat.Mean(mat.Col(nil, j, particles), nil)
		for i := range n {
			q.x.Set(i, j, q.mean[j]+a*(particles.At(i, j)-q.mean[j]))
		}
	}
	for i := range n {
		q.whiten(q.white.RawRowView(i), q.x.RawRowView(i))
	}
	q.scratch.New = func() any {
		s := make([]float64, d)
		return &s
	}
	return q, nil
}

// whiten sets z to L⁻¹(u - x̄).
func (q *kernelDensity) whiten(z, u []float64) {
	d := len(u)
	for i, v := range u {
		v -= q.mean[i]
		for j := range i {
			v -= q.l[i*d+j] * z[j]
		}
		z[i] = v / q.l[i*d+i]
	}
}

func (q *kernelDensity) draw(u []float64, rnd *rand.Rand) {
	z := q.scratch.Get().(*[]float64)
	defer q.scratch.Put(z)
	n, d := q.x.Dims()
	centre, scale := q.mean, 0.0
	if rnd.Uint64()&1 == 0 {
		var chi2 float64
		for range heavyNu {
			e := rnd.NormFloat64()
			chi2 += e * e
		}
		scale = math.Sqrt((heavyNu - 2) / chi2)
	} else {
		centre, scale = q.x.RawRowView(rnd.IntN(n)), q.h
	}
	for i := range *z {
		(*z)[i] = scale * rnd.NormFloat64()
	}
	for i, c := range centre {
		for j := range i + 1 {
			c += q.l[i*d+j] * (*z)[j]
		}
		u[i] = c
	}
}

func (q *kernelDensity) logProb(u []float64) float64 {
	z := q.scratch.Get().(*[]float64)
	defer q.scratch.Put(z)
	q.whiten(*z, u)
	n, dim := q.x.Dims()
	d := float64(dim)
	kernels := math.Inf(-1)
	var sq float64
	for i := range n {
		kernels = logAddExp(kernels, -squaredDistance(*z, q.white.RawRowView(i))/(2*q.h*q.h))
	}
	kernels -= math.Log(float64(n)) + d*(math.Log(q.h)+log2Pi/2)
	for _, v := range *z {
		sq += v * v
	}
	g1, _ := math.Lgamma((heavyNu + d) / 2)
	g2, _ := math.Lgamma(heavyNu / 2.0)
	heavy := g1 - g2 - d/2*math.Log((heavyNu-2)*math.Pi) - (heavyNu+d)/2*math.Log1p(sq/(heavyNu-2))
	return logAddExp(kernels, heavy) - math.Ln2 - q.logDet
}
