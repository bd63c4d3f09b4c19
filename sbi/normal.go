package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// normalCoordinates are unconstrained coordinates in which a prior is Gaussian.
type normalCoordinates struct {
	transform prior.Transform
	prior     *prior.Gaussian
}

// newNormalCoordinates returns the coordinates of a Gaussian, a log-normal or
// any other prior that is Gaussian in its own unconstrained coordinates, and of
// a uniform prior on a box.
func newNormalCoordinates(pri Prior) (*normalCoordinates, error) {
	if box, ok := pri.(*prior.Box); ok {
		n := box.Dim()
		g, err := prior.NewGaussian(nil, mat.NewDiagDense(n, ones(n)), nil)
		return &normalCoordinates{newProbit(box), g}, err
	}
	tr := Coordinates(pri)
	d, n := tr.Dims()
	if d != n {
		return nil, fmt.Errorf("the prior has %d parameters and %d unconstrained ones: Mixtures and PostHoc do not apply; use Atomic", d, n)
	}
	x := make([]float64, n)
	f := func(u []float64) float64 { return tr.Constrain(x, u) + pri.LogProb(x) }
	// A quadratic function is its values at a few points: of the draws' spread,
	// so that rounding does not count.
	draws := mat.NewDense(200, n, nil)
	pri.Draw(draws, rng.New(1, 0))
	u, err := unconstrained(pri, draws)
	if err != nil {
		return nil, err
	}
	center, h := moments(u)
	at := func(i, j int, a, b float64) float64 {
		v := append([]float64(nil), center...)
		v[i] += a * h[i]
		v[j] += b * h[j]
		return f(v)
	}
	f0 := f(center)
	prec, grad := mat.NewSymDense(n, nil), mat.NewVecDense(n, nil)
	for i := range n {
		p, m := at(i, i, 1, 0), at(i, i, -1, 0)
		grad.SetVec(i, (p-m)/(2*h[i]))
		prec.SetSym(i, i, -(p-2*f0+m)/(h[i]*h[i]))
		for j := range i {
			prec.SetSym(i, j, -(at(i, j, 1, 1)-at(i, j, 1, -1)-at(i, j, -1, 1)+at(i, j, -1, -1))/(4*h[i]*h[j]))
		}
	}
	notNormal := errors.New("the prior is neither Gaussian in its unconstrained coordinates nor uniform on a box: Mixtures and PostHoc do not apply; use Atomic")
	var chol mat.Cholesky
	if !chol.Factorize(prec) {
		return nil, notNormal
	}
	var mean mat.VecDense
	if err := chol.SolveVecTo(&mean, grad); err != nil {
		return nil, notNormal
	}
	mean.AddVec(&mean, mat.NewVecDense(n, center))
	g, err := prior.NewGaussianPrecision(mean.RawVector().Data, prec, nil)
	if err != nil {
		return nil, notNormal
	}
	for i := range 100 {
		if a, b := g.LogProb(u.RawRowView(i)), f(u.RawRowView(i)); math.Abs(a-b) > 1e-6*(1+math.Abs(b)) {
			return nil, notNormal
		}
	}
	return &normalCoordinates{tr, g}, nil
}

func ones(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// probit is the transform x = L + (U - L) Φ(u) onto a box, in whose coordinates
// the uniform density is the standard normal one.
type probit struct{ lower, width []float64 }

func newProbit(box *prior.Box) *probit {
	lower, width := sides(box)
	for i, l := range lower {
		width[i] -= l
	}
	return &probit{lower, width}
}

func (p *probit) Dims() (x, u int) { return len(p.lower), len(p.lower) }

// leastTail keeps x off the sides of the box.
const leastTail = 1e-15

func (p *probit) Constrain(x, u []float64) (logDet float64) {
	for i, v := range u {
		c := math.Min(math.Max(distuv.UnitNormal.CDF(v), leastTail), 1-leastTail)
		logDet += math.Log(p.width[i]) + distuv.UnitNormal.LogProb(v)
		h := p.lower[i] + p.width[i]
		x[i] = math.Min(math.Max(p.lower[i]+p.width[i]*c, math.Nextafter(p.lower[i], h)), math.Nextafter(h, p.lower[i]))
	}
	return logDet
}

func (p *probit) Unconstrain(u, x []float64) error {
	for i, v := range x {
		c := (v - p.lower[i]) / p.width[i]
		if !(c > 0 && c < 1) {
			return fmt.Errorf("sbi: x[%d] = %g is not inside (%g, %g)", i, v, p.lower[i], p.lower[i]+p.width[i])
		}
		u[i] = distuv.UnitNormal.Quantile(c)
	}
	return nil
}

func (p *probit) Pullback(gu, u, x, gx []float64) {
	for i, v := range u {
		gu[i] = gx[i]*p.width[i]*distuv.UnitNormal.Prob(v) - v
	}
}

// mixer is a conditional density that is a mixture of normal densities in
// unconstrained coordinates.
type mixer interface {
	flow.Conditional
	mixtureAt(y []float64) (*prior.Mixture, error)
}

// mixture is a mixture density network.
type mixture struct{ *flow.Flow }

func (m *mixture) mixtureAt(y []float64) (*prior.Mixture, error) { return flow.MixtureAt(m.Flow, y) }

// mixing makes the flow of a posterior a mixer.
func (s *snpe) mixing(q *NeuralPosterior, err error) (*NeuralPosterior, error) {
	if err != nil {
		return nil, err
	}
	q.Flow = &mixture{q.Flow.(*flow.Flow)}
	return q, nil
}

// dividedMixture is SNPE-A's posterior q p/p̃ (Papamakarios and Murray, 2016,
// appendix C): of component k of q with precision P_k and a proposal of
// precision P̃,
//
//	P = P_k - P̃ + P₀,  P m = P_k m_k - P̃ m̃ + P₀ m₀.
type dividedMixture struct {
	*mixture
	proposal *prior.Mixture // of one component
	prior    *prior.Gaussian
	tr       prior.Transform
}

func (d *dividedMixture) mixtureAt(y []float64) (*prior.Mixture, error) {
	q, err := d.mixture.mixtureAt(y)
	if err != nil {
		return nil, err
	}
	n := q.Dim()
	natural := func(g *prior.Gaussian) (p *mat.SymDense, h *mat.VecDense, level float64) {
		var cov mat.SymDense
		g.CovarianceMatrix(&cov)
		var chol mat.Cholesky
		p, h = new(mat.SymDense), new(mat.VecDense)
		if !chol.Factorize(&cov) || chol.InverseTo(p) != nil {
			return p, h, math.NaN()
		}
		m := mat.NewVecDense(n, g.Mean(nil))
		h.MulVec(p, m)
		return p, h, -chol.LogDet()/2 - mat.Dot(h, m)/2
	}
	p0, h0, l0 := natural(d.prior)
	minus, ht, lt := natural(d.proposal.Component(0))
	minus.ScaleSym(-1, minus)
	k := q.Len()
	logw, means, covs := make([]float64, k), mat.NewDense(k, n, nil), make([]mat.Symmetric, k)
	for i, w := range q.Weights(nil) {
		p, h, l := natural(q.Component(i))
		p.AddSym(p, p0)
		p.AddSym(p, minus)
		h.AddVec(h, h0)
		h.SubVec(h, ht)
		var chol mat.Cholesky
		if math.IsNaN(l+l0+lt) || !chol.Factorize(p) {
			return nil, errors.New("the posterior for the proposal is wider than the proposal, and cannot be divided by it: use the correction Atomic, more simulations in a round, or fewer rounds")
		}
		var m mat.VecDense
		cov := new(mat.SymDense)
		if err := errors.Join(chol.SolveVecTo(&m, h), chol.InverseTo(cov)); err != nil {
			return nil, fmt.Errorf("SNPE-A: component %d: %w", i, err)
		}
		means.SetRow(i, m.RawVector().Data)
		covs[i] = cov
		// ∫ of the component's product is exp(l + l₀ - l̃) |P|^(-1/2) exp(h'm/2).
		logw[i] = math.Log(w) + l + l0 - lt - chol.LogDet()/2 + mat.Dot(h, &m)/2
	}
	weights, top := make([]float64, k), math.Inf(-1)
	for _, l := range logw {
		top = math.Max(top, l)
	}
	for i, l := range logw {
		weights[i] = math.Exp(l - top)
	}
	return prior.NewMixture(weights, means, covs, nil)
}

// LogProb is that of flow.Conditional. Where the division fails it is NaN.
func (d *dividedMixture) LogProb(dst []float64, x, y *mat.Dense) {
	n, dim := x.Dims()
	u, back := make([]float64, dim), make([]float64, dim)
	ys, _ := y.Dims()
	var q *prior.Mixture
	var err error
	for i := range n {
		if i == 0 || ys > 1 {
			q, err = d.mixtureAt(y.RawRowView(i))
		}
		switch {
		case err != nil:
			dst[i] = math.NaN()
		case d.tr.Unconstrain(u, x.RawRowView(i)) != nil:
			dst[i] = math.Inf(-1)
		default:
			dst[i] = q.LogProb(u) - d.tr.Constrain(back, u)
		}
	}
}

// Draw is that of flow.Conditional.
func (d *dividedMixture) Draw(ctx context.Context, dst, y *mat.Dense, src rand.Source) error {
	n, dim := dst.Dims()
	ys, _ := y.Dims()
	src = rng.Or(src)
	u := mat.NewDense(1, dim, nil)
	var q *prior.Mixture
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == 0 || ys > 1 {
			var err error
			if q, err = d.mixtureAt(y.RawRowView(i)); err != nil {
				return fmt.Errorf("sbi: %w", err)
			}
		}
		q.Draw(u, src)
		d.tr.Constrain(dst.RawRowView(i), u.RawRowView(0))
	}
	return nil
}
