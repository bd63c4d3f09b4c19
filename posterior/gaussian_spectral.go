package posterior

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
)

// spectralPrior is a prior whose precision Q = V diag(q) Vᵀ can be taken
// apart, V being orthogonal, in the spelling of inverse.Spectral.
type spectralPrior interface {
	GaussianPrior
	Eigenvalues() []float64 // q
	MulV(dst, c *mat.Dense)
	MulVT(dst, x *mat.Dense)
	// SpectralVariance stores the diagonal of V diag(v) Vᵀ in dst.
	SpectralVariance(dst, v []float64)
}

// spectral solves mode by mode: prior and operator share the eigenvectors V,
// and the noise is white, so that H = V diag(h) Vᵀ.
type spectral struct {
	prior spectralPrior
	m     []float64
	h     []float64
}

// newSpectral returns nil if the problem does not have this structure.
func newSpectral(prior GaussianPrior, lik *likelihood.Gaussian, a inverse.Linear) *spectral {
	p, ok := prior.(spectralPrior)
	if !ok {
		return nil
	}
	op, ok := a.(inverse.Spectral)
	if !ok {
		return nil
	}
	sigma, ok := lik.Sigma()
	if !ok || !sameBasis(p, op) {
		return nil
	}
	n := p.Dim()
	s := &spectral{prior: p, m: p.Mean(nil), h: slices.Clone(p.Eigenvalues())}
	c := mat.NewDense(1, n, nil) // of AᵀΣ⁻¹(y - Aμ), then of m - μ
	op.MulUT(c, residual(p, lik))
	for k, sv := range op.SingularValues() {
		s.h[k] += sv * sv / (sigma * sigma)
		c.Set(0, k, c.At(0, k)*sv/(sigma*sigma)/s.h[k])
	}
	d := mat.NewDense(1, n, nil)
	p.MulV(d, c)
	floats.Add(s.m, d.RawRowView(0))
	return s
}

// sameBasis reports whether the eigenvectors of the prior are the right
// singular vectors of the operator, by trying a random vector.
func sameBasis(p spectralPrior, a inverse.Spectral) bool {
	n := p.Dim()
	if len(a.SingularValues()) != n {
		return false
	}
	x, c, d := mat.NewDense(1, n, nil), mat.NewDense(1, n, nil), mat.NewDense(1, n, nil)
	rng.FillNormal(x.RawRowView(0), rng.New(0, 0))
	p.MulVT(c, x)
	a.MulVT(d, x)
	return floats.Distance(c.RawRowView(0), d.RawRowView(0), math.Inf(1)) < 1e-9*math.Sqrt(float64(n))
}

func (s *spectral) block() int { return max(1, min(16, (1<<20)/len(s.h))) }

func (s *spectral) mean() ([]float64, error) { return s.m, nil }

func (s *spectral) draw(_ context.Context, dst *mat.Dense, src []rand.Source) error {
	z := mat.NewDense(len(src), len(s.h), nil)
	for i := range src {
		row := z.RawRowView(i)
		rng.FillNormal(row, src[i])
		for k, h := range s.h {
			row[k] /= math.Sqrt(h)
		}
	}
	s.prior.MulV(dst, z)
	for i := range src {
		floats.Add(dst.RawRowView(i), s.m)
	}
	return nil
}

func (s *spectral) mul(dst, x *mat.Dense) {
	rows, n := x.Dims()
	c := mat.NewDense(rows, n, nil)
	s.prior.MulVT(c, x)
	for i := range rows {
		floats.Mul(c.RawRowView(i), s.h)
	}
	s.prior.MulV(dst, c)
}

func (s *spectral) covariance(dst, x *mat.Dense) error {
	rows, n := x.Dims()
	c := mat.NewDense(rows, n, nil)
	s.prior.MulVT(c, x)
	for i := range rows {
		floats.Div(c.RawRowView(i), s.h)
	}
	s.prior.MulV(dst, c)
	return nil
}

func (s *spectral) logDet() (float64, error) {
	var sum float64
	for _, h := range s.h {
		sum += math.Log(h)
	}
	return sum, nil
}

func (s *spectral) variance(dst []float64) error {
	v := make([]float64, len(s.h))
	for k, h := range s.h {
		v[k] = 1 / h
	}
	s.prior.SpectralVariance(dst, v)
	return nil
}

// filter is a preconditioner for H that is diagonal in the eigenvectors of
// the prior's precision: AᵀΣ⁻¹A is replaced by a function d(q) of the prior's
// eigenvalues, which for a field are a measure of frequency.
type filter struct {
	prior spectralPrior
	inv   []float64 // 1 / (q + d(q))
}

// newFilter estimates the diagonal of VᵀAᵀΣ⁻¹A V with random signs
// (Bekas, Kokiopoulou and Saad, 2007) and averages it over bands of modes
// with neighbouring eigenvalues.
func newFilter(prior spectralPrior, lik *likelihood.Gaussian, a inverse.Linear) *filter {
	const (
		probes = 4
		band   = 8 // the least number of modes in a band
	)
	m, n := a.Dims()
	signs, x := mat.NewDense(probes, n, nil), mat.NewDense(probes, n, nil)
	src := rand.New(rng.New(0, 1))
	for i := range probes {
		row := signs.RawRowView(i)
		for j := range row {
			row[j] = float64(src.IntN(2)*2 - 1)
		}
	}
	prior.MulV(x, signs)
	ax := mat.NewDense(probes, m, nil)
	a.Apply(ax, x)
	lik.Precision(ax, ax)
	a.Adjoint(x, ax)
	c := mat.NewDense(probes, n, nil)
	prior.MulVT(c, x)
	signs.MulElem(signs, c)

	q := prior.Eigenvalues()
	order := make([]int, n)
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case q[i] < q[j]:
			return -1
		case q[i] > q[j]:
			return 1
		}
		return i - j
	})
	f := &filter{prior: prior, inv: make([]float64, n)}
	for lo := 0; lo < n; {
		hi := min(n, lo+max(band, lo/8)) // bands an eighth wide
		var d float64
		for _, k := range order[lo:hi] {
			for i := range probes {
				d += signs.At(i, k)
			}
		}
		d = max(0, d/float64(probes*(hi-lo)))
		for _, k := range order[lo:hi] {
			f.inv[k] = 1 / (q[k] + d)
		}
		lo = hi
	}
	return f
}

// apply sets the rows of dst to the filtered rows of r, using coef.
func (f *filter) apply(dst, r, coef *mat.Dense) {
	rows, n := r.Dims()
	shape(coef, rows, n)
	f.prior.MulVT(coef, r)
	for i := range rows {
		floats.Mul(coef.RawRowView(i), f.inv)
	}
	f.prior.MulV(dst, coef)
}
