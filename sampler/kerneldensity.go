package sampler

import (
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
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
	t       *factored  // z ↦ x̄ + V^½ z
	z       *mat.Dense // the centres, in units of V
	h       float64
	scratch sync.Pool
}

var _ variational = (*kernelDensity)(nil)

const heavyNu = 9 // degrees of freedom

func newKernelDensity(particles *mat.Dense) *kernelDensity {
	n, d := particles.Dims()
	q := &kernelDensity{
		t: newWhitening(particles),
		z: mat.NewDense(n, d, nil),
		h: min(1, math.Pow(4/(float64(n)*float64(d+2)), 1/float64(d+4))),
	}
	q.scratch.New = func() any {
		s := make([]float64, d)
		return &s
	}
	for i := range n {
		z := q.z.RawRowView(i)
		q.t.pull(z, particles.RawRowView(i))
		floats.Scale(math.Sqrt(1-q.h*q.h), z)
	}
	return q
}

func (q *kernelDensity) draw(u []float64, rnd *rand.Rand) float64 {
	n, _ := q.z.Dims()
	if rnd.Uint64()&1 == 0 {
		var chi2 float64
		for range heavyNu {
			e := rnd.NormFloat64()
			chi2 += e * e
		}
		scale := math.Sqrt((heavyNu - 2) / chi2)
		for i := range u {
			u[i] = scale * rnd.NormFloat64()
		}
	} else {
		centre := q.z.RawRowView(rnd.IntN(n))
		for i, c := range centre {
			u[i] = c + q.h*rnd.NormFloat64()
		}
	}
	q.t.push(u, u)
	return q.logProb(u)
}

func (q *kernelDensity) logProb(u []float64) float64 {
	z := q.scratch.Get().(*[]float64)
	defer q.scratch.Put(z)
	q.t.pull(*z, u)
	n, dim := q.z.Dims()
	d := float64(dim)
	kernels := math.Inf(-1)
	for i := range n {
		kernels = logAddExp(kernels, -squaredDistance(*z, q.z.RawRowView(i))/(2*q.h*q.h))
	}
	kernels -= math.Log(float64(n)) + d*(math.Log(q.h)+log2Pi/2)
	g1, _ := math.Lgamma((heavyNu + d) / 2)
	g2, _ := math.Lgamma(heavyNu / 2.0)
	heavy := g1 - g2 - d/2*math.Log((heavyNu-2)*math.Pi) - (heavyNu+d)/2*math.Log1p(floats.Dot(*z, *z)/(heavyNu-2))
	return logAddExp(kernels, heavy) - math.Ln2 - q.t.logDet/2
}
