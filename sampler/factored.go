package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
)

// factored is a normal distribution whose covariance matrix is diagonal plus
// one of low rank,
//
//	Σ = diag(α) + β γ βᵀ = D (I + Q (L Lᵀ - I) Qᵀ) D,   D = diag(α)^½
//
// with Q of d×k with orthonormal columns and L lower triangular, so that
// u = μ + D (z + Q (L - I) Qᵀz) for standard normal z. No matrix is d×d
// unless k is d.
type factored struct {
	mu, scale []float64 // μ and D
	q         []float64 // Q, row-major
	l         []float64 // L, k×k, row-major
	k         int
	logDet    float64 // log det Σ
	scratch   sync.Pool
}

type factoredScratch struct{ v, a, b []float64 }

var _ variational = (*factored)(nil)

// newFactored returns N(x + Σ g, Σ).
func newFactored(x, g, alpha []float64, beta *mat.Dense, gamma *mat.SymDense) (*factored, error) {
	d, m := beta.Dims()
	f := &factored{mu: make([]float64, d), scale: make([]float64, d), k: min(d, m)}
	scaled := mat.NewDense(d, m, nil) // D⁻¹β = Q R
	for i, a := range alpha {
		f.scale[i] = math.Sqrt(a)
		f.logDet += math.Log(a)
		row, from := scaled.RawRowView(i), beta.RawRowView(i)
		for j := range row {
			row[j] = from[j] / f.scale[i]
		}
	}
	q, r := scaled, mat.NewDense(f.k, m, nil)
	if d > m {
		// mat.QR would make a d×d matrix of Q.
		tau, work := make([]float64, m), make([]float64, 64*m)
		lapack64.Geqrf(q.RawMatrix(), tau, work, len(work))
		for i := range m {
			copy(r.RawRowView(i)[i:], q.RawRowView(i)[i:])
		}
		lapack64.Orgqr(q.RawMatrix(), tau, work, len(work))
	} else {
		r.Copy(scaled)
		q = mat.NewDense(d, d, nil)
		for i := range d {
			q.Set(i, i, 1)
		}
	}
	f.q = q.RawMatrix().Data

	var inner mat.Dense
	inner.Product(r, gamma, r.T())
	c := mat.NewSymDense(f.k, nil)
	for i := range f.k {
		for j := i; j < f.k; j++ {
			c.SetSym(i, j, (inner.At(i, j)+inner.At(j, i))/2)
		}
		c.SetSym(i, i, c.At(i, i)+1)
	}
	var chol mat.Cholesky
	if !chol.Factorize(c) {
		return nil, errors.New("the covariance matrix is not positive definite")
	}
	var l mat.TriDense
	chol.LTo(&l)
	f.l = make([]float64, f.k*f.k)
	for i := range f.k {
		for j := range i + 1 {
			f.l[i*f.k+j] = l.At(i, j)
		}
	}
	f.logDet += chol.LogDet()

	// μ = x + α g + β γ βᵀg
	var t, u mat.VecDense
	t.MulVec(beta.T(), mat.NewVecDense(d, g))
	u.MulVec(gamma, &t)
	t.Reset()
	t.MulVec(beta, &u)
	for i := range f.mu {
		f.mu[i] = x[i] + alpha[i]*g[i] + t.AtVec(i)
	}
	if !allFinite(f.mu) || math.IsInf(f.logDet, 0) || math.IsNaN(f.logDet) {
		return nil, errNotFinite
	}
	f.scratch.New = func() any {
		return &factoredScratch{make([]float64, d), make([]float64, f.k), make([]float64, f.k)}
	}
	return f, nil
}

// draw sets u to μ + D (z + Q (L - I) Qᵀz).
func (f *factored) draw(u []float64, rnd *rand.Rand) {
	s := f.scratch.Get().(*factoredScratch)
	defer f.scratch.Put(s)
	for i := range u {
		u[i] = rnd.NormFloat64()
	}
	f.project(s.a, u)
	for i := f.k - 1; i >= 0; i-- {
		b := -s.a[i]
		for j := range i + 1 {
			b += f.l[i*f.k+j] * s.a[j]
		}
		s.b[i] = b
	}
	for i := range u {
		v := u[i]
		for j, b := range s.b {
			v += f.q[i*f.k+j] * b
		}
		u[i] = f.mu[i] + f.scale[i]*v
	}
}

// project sets a to Qᵀz.
func (f *factored) project(a, z []float64) {
	clear(a)
	for i, v := range z {
		for j, x := range f.q[i*f.k : (i+1)*f.k] {
			a[j] += x * v
		}
	}
}

func (f *factored) logProb(u []float64) float64 {
	s := f.scratch.Get().(*factoredScratch)
	defer f.scratch.Put(s)
	// |z|² for z = (I + Q (L⁻¹ - I) Qᵀ) v with v = D⁻¹(u - μ): the part of v
	// in the span of Q becomes L⁻¹Qᵀv.
	var sq float64
	for i := range u {
		s.v[i] = (u[i] - f.mu[i]) / f.scale[i]
		sq += s.v[i] * s.v[i]
	}
	f.project(s.a, s.v)
	for i := range f.k {
		b := s.a[i]
		for j := range i {
			b -= f.l[i*f.k+j] * s.b[j]
		}
		b /= f.l[i*f.k+i]
		s.b[i] = b
		sq += b*b - s.a[i]*s.a[i]
	}
	return -(f.logDet + float64(len(u))*log2Pi + sq) / 2
}
