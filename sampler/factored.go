package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
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
	f.setCholesky(&chol)

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
	return f, nil
}

// newScaled returns N(μ, diag(scale²)).
func newScaled(mu, scale []float64) *factored {
	f := &factored{mu: mu, scale: scale}
	for _, s := range scale {
		f.logDet += 2 * math.Log(s)
	}
	f.scratch.New = func() any { return &factoredScratch{v: make([]float64, len(mu))} }
	return f
}

// newWhitening returns the normal distribution with the mean and the
// covariance matrix of points, one a row, or with the variances alone if the
// points are not more than twice as many as the dimensions. Variances that are
// zero are taken to be 1.
func newWhitening(points *mat.Dense) *factored {
	n, d := points.Dims()
	mu, scale := make([]float64, d), make([]float64, d)
	for j := range d {
		x := mat.Col(nil, j, points)
		mu[j], scale[j] = stat.PopMeanStdDev(x, nil)
		if !(scale[j] > 1e-150) {
			scale[j] = 1
		}
	}
	if n <= 2*d {
		return newScaled(mu, scale)
	}
	cor := mat.NewSymDense(d, nil)
	z := make([]float64, d)
	for i := range n {
		for j, v := range points.RawRowView(i) {
			z[j] = (v - mu[j]) / scale[j]
		}
		cor.SymRankOne(cor, 1/float64(n), mat.NewVecDense(d, z))
	}
	var chol mat.Cholesky
	f := newScaled(mu, scale)
	if chol.Factorize(cor) {
		f.k = d
		f.q = make([]float64, d*d)
		for i := range d {
			f.q[i*d+i] = 1
		}
		f.setCholesky(&chol)
	}
	return f
}

// setCholesky sets L.
func (f *factored) setCholesky(chol *mat.Cholesky) {
	var l mat.TriDense
	chol.LTo(&l)
	f.l = make([]float64, f.k*f.k)
	for i := range f.k {
		for j := range i + 1 {
			f.l[i*f.k+j] = l.At(i, j)
		}
	}
	f.logDet += chol.LogDet()
	d, k := len(f.mu), f.k
	f.scratch.New = func() any {
		return &factoredScratch{make([]float64, d), make([]float64, k), make([]float64, k)}
	}
}

// conditionalScales returns the standard deviations of each coordinate given
// the others, the roots of 1/(Σ⁻¹)_ii.
func (f *factored) conditionalScales() []float64 {
	sd := make([]float64, len(f.mu))
	c := make([]float64, f.k)
	for i, s := range f.scale {
		// (D Σ⁻¹ D)_ii is 1 - |q|² + |L⁻¹q|², q being row i of Q.
		p := 1.0
		for a, x := range f.q[i*f.k : (i+1)*f.k] {
			c[a] = x
			for b := range a {
				c[a] -= f.l[a*f.k+b] * c[b]
			}
			c[a] /= f.l[a*f.k+a]
			p += c[a]*c[a] - x*x
		}
		sd[i] = s / math.Sqrt(p)
	}
	return sd
}

func (f *factored) draw(u []float64, rnd *rand.Rand) float64 {
	lp := -(f.logDet + float64(len(u))*log2Pi) / 2
	for i := range u {
		u[i] = rnd.NormFloat64()
		lp -= u[i] * u[i] / 2
	}
	f.push(u, u)
	return lp
}

// push sets u to μ + T z with T = D (I + Q (L - I) Qᵀ); u may be z.
func (f *factored) push(u, z []float64) {
	s := f.scratch.Get().(*factoredScratch)
	defer f.scratch.Put(s)
	f.project(s.a, z)
	for i := range f.k {
		b := -s.a[i]
		for j := range i + 1 {
			b += f.l[i*f.k+j] * s.a[j]
		}
		s.b[i] = b
	}
	for i, v := range z {
		for j, b := range s.b {
			v += f.q[i*f.k+j] * b
		}
		u[i] = f.mu[i] + f.scale[i]*v
	}
}

// pull sets z to T⁻¹(u - μ), in which the part in the span of Q is L⁻¹Qᵀ of
// D⁻¹(u - μ).
func (f *factored) pull(z, u []float64) {
	s := f.scratch.Get().(*factoredScratch)
	defer f.scratch.Put(s)
	for i := range u {
		z[i] = (u[i] - f.mu[i]) / f.scale[i]
	}
	f.project(s.a, z)
	for i := range f.k {
		b := s.a[i]
		for j := range i {
			b -= f.l[i*f.k+j] * s.b[j]
		}
		s.b[i] = b / f.l[i*f.k+i]
	}
	for i := range z {
		for j, b := range s.b {
			z[i] += f.q[i*f.k+j] * (b - s.a[j])
		}
	}
}

// pullback sets g to Tᵀg.
func (f *factored) pullback(g []float64) {
	s := f.scratch.Get().(*factoredScratch)
	defer f.scratch.Put(s)
	for i := range g {
		g[i] *= f.scale[i]
	}
	f.project(s.a, g)
	for j := range f.k {
		b := -s.a[j]
		for i := j; i < f.k; i++ {
			b += f.l[i*f.k+j] * s.a[i]
		}
		s.b[j] = b
	}
	for i := range g {
		for j, b := range s.b {
			g[i] += f.q[i*f.k+j] * b
		}
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
	f.pull(s.v, u)
	var sq float64
	for _, z := range s.v {
		sq += z * z
	}
	return -(f.logDet + float64(len(u))*log2Pi + sq) / 2
}

// moved is a distribution of z taken to u = μ + T z.
type moved struct {
	variational
	t *factored
}

func (m *moved) draw(u []float64, rnd *rand.Rand) float64 {
	lp := m.variational.draw(u, rnd)
	m.t.push(u, u)
	return lp - m.t.logDet/2
}

func (m *moved) logProb(u []float64) float64 {
	s := m.t.scratch.Get().(*factoredScratch)
	defer m.t.scratch.Put(s)
	m.t.pull(s.v, u)
	return m.variational.logProb(s.v) - m.t.logDet/2
}
