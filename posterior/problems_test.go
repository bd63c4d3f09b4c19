package posterior

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// eigenPrior is N(μ, Q⁻¹) by the eigenvectors of Q.
type eigenPrior struct {
	*distmv.Normal
	q, v *mat.Dense
	lam  []float64
	mu   []float64
}

func newEigenPrior(t *testing.T, mu []float64, q *mat.SymDense) *eigenPrior {
	t.Helper()
	var eig mat.EigenSym
	if !eig.Factorize(q, true) {
		t.Fatal("no eigenvectors")
	}
	p := &eigenPrior{q: mat.DenseCopyOf(q), v: new(mat.Dense), lam: eig.Values(nil), mu: mu}
	eig.VectorsTo(p.v)
	norm, ok := distmv.NewNormalPrecision(mu, q, nil)
	if !ok {
		t.Fatal("precision is not positive definite")
	}
	p.Normal = norm
	return p
}

func (p *eigenPrior) Mean(dst []float64) []float64   { return append(dst[:0], p.mu...) }
func (p *eigenPrior) MulPrecision(dst, x *mat.Dense) { dst.Mul(x, p.q) }
func (p *eigenPrior) Eigenvalues() []float64         { return p.lam }
func (p *eigenPrior) MulV(dst, c *mat.Dense)         { dst.Mul(c, p.v.T()) }
func (p *eigenPrior) MulVT(dst, x *mat.Dense)        { dst.Mul(x, p.v) }
func (p *eigenPrior) SpectralVariance(dst, s []float64) {
	for i := range dst {
		dst[i] = 0
		for k, v := range s {
			dst[i] += p.v.At(i, k) * p.v.At(i, k) * v
		}
	}
}
func (p *eigenPrior) Draw(dst *mat.Dense, src rand.Source) {
	r, n := dst.Dims()
	z := mat.NewDense(r, n, nil)
	for i := range r {
		row := z.RawRowView(i)
		rng.FillNormal(row, src)
		for k, l := range p.lam {
			row[k] /= math.Sqrt(l)
		}
	}
	p.MulV(dst, z)
	for i := range r {
		for j, m := range p.mu {
			dst.Set(i, j, dst.At(i, j)+m)
		}
	}
}

// sameVectors is an operator U diag(s) Vᵀ with the V of a prior and U = V P
// for a permutation P that reverses the order.
type sameVectors struct {
	p *eigenPrior
	s []float64
}

func (a sameVectors) Dims() (m, n int)          { return len(a.s), len(a.s) }
func (a sameVectors) SingularValues() []float64 { return a.s }
func (a sameVectors) MulV(dst, c *mat.Dense)    { a.p.MulV(dst, c) }
func (a sameVectors) MulVT(dst, x *mat.Dense)   { a.p.MulVT(dst, x) }
func (a sameVectors) MulU(dst, c *mat.Dense)    { a.p.MulV(dst, reversed(c)) }
func (a sameVectors) MulUT(dst, y *mat.Dense)   { a.p.MulVT(dst, y); dst.Copy(reversed(dst)) }
func (a sameVectors) Apply(dst, x *mat.Dense)   { a.through(dst, x, a.MulVT, a.MulU) }
func (a sameVectors) Adjoint(dst, y *mat.Dense) { a.through(dst, y, a.MulUT, a.MulV) }
func (a sameVectors) through(dst, x *mat.Dense, in, out func(dst, x *mat.Dense)) {
	c := mat.DenseCopyOf(x)
	in(c, x)
	r, _ := c.Dims()
	for i := range r {
		for k, s := range a.s {
			c.Set(i, k, c.At(i, k)*s)
		}
	}
	out(dst, c)
}

func reversed(c *mat.Dense) *mat.Dense {
	r, n := c.Dims()
	d := mat.NewDense(r, n, nil)
	for i := range r {
		for j := range n {
			d.Set(i, j, c.At(i, n-1-j))
		}
	}
	return d
}

// randomProblem is a problem with a correlated prior of non-zero mean.
func randomProblem(t *testing.T, m, n int, src rand.Source) (*eigenPrior, *forward.Dense, []float64) {
	t.Helper()
	b := mat.NewDense(n, n, nil)
	rng.FillNormal(b.RawMatrix().Data, src)
	var q mat.SymDense
	q.SymOuterK(1, b)
	for i := range n {
		q.SetSym(i, i, q.At(i, i)+1)
	}
	mu := make([]float64, n)
	rng.FillNormal(mu, src)
	ad := mat.NewDense(m, n, nil)
	rng.FillNormal(ad.RawMatrix().Data, src)
	a, err := forward.NewDense(ad)
	if err != nil {
		t.Fatal(err)
	}
	y := make([]float64, m)
	rng.FillNormal(y, src)
	return newEigenPrior(t, mu, &q), a, y
}

// solvers returns the posterior by every route that can compute it.
func solvers(t *testing.T, p *eigenPrior, lik *likelihood.Gaussian) map[string]*Gaussian {
	t.Helper()
	a := lik.Operator().(inverse.Linear)
	d, err := newDense(p, lik, a)
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]solver{"dense": d, "iterative": newIterative(p, lik, a)}
	g, err := prior.NewGaussianPrecision(p.mu, symmetric(p.q), nil)
	if err != nil {
		t.Fatal(err)
	}
	if routes["conjugate"], err = newDense(g, lik, a); err != nil {
		t.Fatal(err)
	}
	if s := newSpectral(p, lik, a); s != nil {
		routes["spectral"] = s
	}
	posts := make(map[string]*Gaussian)
	for name, s := range routes {
		g, err := newGaussian(p, lik, s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		posts[name] = g
	}
	return posts
}

// The textbook's covariance form, which shares no matrix with the solvers:
// K = S Aᵀ(A S Aᵀ + Σ)⁻¹, m = μ + K(y - Aμ), C = S - K A S.
func textbook(p *eigenPrior, a mat.Matrix, y []float64, sigma mat.Matrix) (mean *mat.VecDense, cov *mat.Dense, logEvidence float64) {
	var s, sat, g, k mat.Dense
	if err := s.Inverse(p.q); err != nil {
		panic(err)
	}
	sat.Mul(&s, a.T())
	g.Mul(a, &sat)
	g.Add(&g, sigma)
	var gInv mat.Dense
	if err := gInv.Inverse(&g); err != nil {
		panic(err)
	}
	k.Mul(&sat, &gInv)
	mu := mat.NewVecDense(len(p.mu), p.mu)
	var r, gr mat.VecDense
	r.MulVec(a, mu)
	r.SubVec(mat.NewVecDense(len(y), y), &r)
	mean = new(mat.VecDense)
	mean.MulVec(&k, &r)
	mean.AddVec(mean, mu)
	cov = new(mat.Dense)
	cov.Mul(&k, sat.T())
	cov.Sub(&s, cov)
	gr.MulVec(&gInv, &r)
	logDet, _ := mat.LogDet(&g)
	logEvidence = -(mat.Dot(&r, &gr) + logDet + float64(len(y))*math.Log(2*math.Pi)) / 2
	return mean, cov, logEvidence
}

// dense2 returns the matrix of an operator.
func dense2(a inverse.Operator) *mat.Dense {
	m, n := a.Dims()
	at := mat.NewDense(n, m, nil)
	id := mat.NewDense(n, n, nil)
	for i := range n {
		id.Set(i, i, 1)
	}
	a.Apply(at, id)
	return mat.DenseCopyOf(at.T())
}

// moments integrates exp(logp) over the plane by the trapezoidal rule, which
// for smooth functions that vanish at the ends is as good as any.
func moments(logp func(x []float64) float64) (z float64, mean []float64, cov *mat.SymDense) {
	const (
		n    = 160
		half = 10.
		step = 2 * half / n
	)
	mean = make([]float64, 2)
	second := mat.NewSymDense(2, nil)
	x := make([]float64, 2)
	for i := range n {
		x[0] = -half + step*float64(i)
		for j := range n {
			x[1] = -half + step*float64(j)
			w := math.Exp(logp(x)) * step * step
			z += w
			floats.AddScaled(mean, w, x)
			second.SymRankOne(second, w, mat.NewVecDense(2, x))
		}
	}
	floats.Scale(1/z, mean)
	cov = mat.NewSymDense(2, nil)
	cov.ScaleSym(1/z, second)
	cov.SymRankOne(cov, -1, mat.NewVecDense(2, mean))
	return z, mean, cov
}
