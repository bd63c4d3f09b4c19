package diffusion

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/likelihood"
)

// PiGDM is pseudo-inverse guidance (Song et al. 2023): x₀ given x_t is taken
// for Gaussian with covariance r²I about the denoised mean D, so that
//
//	∇ log p(y|x_t) ≈ JᵀAᵀ(Σ + r²AAᵀ)⁻¹(y - AD),  r² = σ²v/(α²v + σ²),
//
// with the prior variance v of a coordinate. It is exact for the prior
// N(μ, vI), and costs one backward pass.
type PiGDM struct {
	// Variance is the variance v of a coordinate of x₀; 1 if 0, as in the
	// paper.
	Variance float64

	*guide
	lin *linearGaussian
}

var _ Guidance = (*PiGDM)(nil)

// NewPiGDM returns the guidance of a Gaussian likelihood of a linear operator.
// If it is not inverse.Spectral with white noise, its matrix is formed, and
// it may have at most 2048 data.
func NewPiGDM(score Score, lik *likelihood.Gaussian) (*PiGDM, error) {
	lin, g, err := linearGuide("PiGDM", score, lik)
	if err != nil {
		return nil, err
	}
	if err := lin.decompose("PiGDM"); err != nil {
		return nil, err
	}
	p := &PiGDM{guide: g, lin: lin}
	g.add = p.add
	return p, nil
}

// linearGuide returns what the guidances of linear operators start with.
func linearGuide(method string, score Score, lik *likelihood.Gaussian) (*linearGaussian, *guide, error) {
	lin, err := newLinearGaussian(method, lik)
	if err != nil {
		return nil, nil, err
	}
	g, err := newGuide(score, lin.n)
	return lin, g, err
}

func (g *PiGDM) add(dst *mat.Dense, logp []float64, p *point) {
	v := g.Variance
	if v == 0 {
		v = 1
	}
	a2, s2 := p.alpha*p.alpha, p.sigma*p.sigma
	back := g.lin.back(&p.mean, s2*v/(a2*v+s2), logp, p)
	pulled := resize(&p.full[1], dst.RawMatrix().Rows, g.lin.n)
	p.pull(pulled, back)
	addScaled(dst, 1, pulled)
}

// back returns Aᵀ(Σ + c AAᵀ)⁻¹(y - Ax) for the rows of x, in scratch of p,
// and sets logp, if not nil, to log N(y; Ax, Σ + c AAᵀ).
func (g *linearGaussian) back(x *mat.Dense, c float64, logp []float64, p *point) *mat.Dense {
	rows := x.RawMatrix().Rows
	r := resize(&p.data[0], rows, g.m)
	g.residual(r, x)
	g.solve(r, &p.data[1], &p.data[2], c, logp)
	back := resize(&p.full[0], rows, g.n)
	g.a.Adjoint(back, r)
	return back
}

// flat is the guidance of [NewFlat].
type flat struct {
	*guide
	lin *linearGaussian
}

// NewFlat returns the guidance in closed form
//
//	∇ log p(y|x_t) = Aᵀ(Σ + σ²/α² AAᵀ)⁻¹(y - Ax_t/α)/α
//
// that takes x₀ given x_t for N(x_t/α, σ²/α² I). That is so only if the
// prior is flat; for any other prior it is an approximation, and a poor one
// where α is small. It needs no derivative of the score. The likelihood is a
// Gaussian one of a linear operator, under the conditions of [NewPiGDM].
func NewFlat(score Score, lik *likelihood.Gaussian) (Guidance, error) {
	lin, g, err := linearGuide("Flat", score, lik)
	if err != nil {
		return nil, err
	}
	if err := lin.decompose("Flat"); err != nil {
		return nil, err
	}
	f := &flat{guide: g, lin: lin}
	g.add = f.add
	return f, nil
}

func (g *flat) add(dst *mat.Dense, logp []float64, p *point) {
	rows, n := p.x.Dims()
	scaled := resize(&p.full[1], rows, n)
	combine(scaled, 1/p.alpha, p.x, 0, p.x)
	ratio := p.sigma / p.alpha
	addScaled(dst, 1/p.alpha, g.lin.back(scaled, ratio*ratio, logp, p))
}

// tmpd is the guidance of [NewTMPD].
type tmpd struct {
	*guide
	lin   *linearGaussian
	noise []float64 // variances
}

// NewTMPD returns the guidance of Tweedie moment projected diffusion (Boys et
// al. 2023) for a Gaussian likelihood of a linear operator with independent
// noise: with the covariance C = (σ²/α)J of x₀ given x_t, A C Aᵀ is replaced
// by the diagonal matrix of its row sums,
//
//	∇ log p(y|x_t) ≈ JᵀAᵀ(Σ + diag(A C Aᵀ1))⁻¹(y - AD).
//
// It is exact for a Gaussian prior where A C Aᵀ is diagonal, as for a single
// datum. It costs two backward passes.
func NewTMPD(score Score, lik *likelihood.Gaussian) (Guidance, error) {
	lin, g, err := linearGuide("TMPD", score, lik)
	if err != nil {
		return nil, err
	}
	t := &tmpd{guide: g, lin: lin, noise: make([]float64, lin.m)}
	if sigma, white := lik.Sigma(); white {
		for i := range t.noise {
			t.noise[i] = sigma * sigma
		}
	} else {
		cov := mat.NewSymDense(lin.m, nil)
		lik.AddCovariance(cov)
		for i := range t.noise {
			t.noise[i] = cov.At(i, i)
			for j := range i {
				if cov.At(i, j) != 0 {
					return nil, fmt.Errorf("diffusion: TMPD: the noise of data %d and %d is correlated; use MMPS", j, i)
				}
			}
		}
	}
	g.add = t.add
	return t, nil
}

func (g *tmpd) add(dst *mat.Dense, logp []float64, p *point) {
	rows, n := p.x.Dims()
	r, sums := resize(&p.data[0], rows, g.lin.m), resize(&p.data[1], rows, g.lin.m)
	back, pulled := resize(&p.full[0], rows, n), resize(&p.full[1], rows, n)
	for i := range rows {
		row := sums.RawRowView(i)
		for j := range row {
			row[j] = 1
		}
	}
	g.lin.a.Adjoint(back, sums)
	p.pull(pulled, back)
	g.lin.a.Apply(sums, pulled)
	g.lin.residual(r, &p.mean)
	scale := p.sigma * p.sigma / p.alpha
	for i := range rows {
		res, sum := r.RawRowView(i), sums.RawRowView(i)
		quad := 0.0
		for j, v := range res {
			variance := g.noise[j] + max(0, scale*sum[j])
			res[j] = v / variance
			quad += logNormal(v, variance)
		}
		if logp != nil {
			logp[i] = quad
		}
	}
	g.lin.a.Adjoint(back, r)
	p.pull(pulled, back)
	addScaled(dst, 1, pulled)
}
