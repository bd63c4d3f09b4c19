package diffusion

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/likelihood"
)

// DAPS is decoupled annealing posterior sampling (Zhang et al. 2024): at each
// level the probability flow leads to a mean D, x₀ is drawn from the product
// of N(D, r²I), r = σ/α, and the likelihood, and diffused to the next level. It
// takes x₀ given x_t for N(D, r²I), and samples the posterior as far as that
// is true.
//
// For a *likelihood.Gaussian of a linear operator, see [NewPiGDM], the draw of
// x₀ is exact. For any other likelihood with a derivative it is the end of a
// Markov chain that starts at D.
type DAPS struct {
	Lik   Likelihood
	Inner int     // steps of the flow, 5 if 0
	Scale float64 // of r, 1 if 0
	Chain int     // steps of the chain, each one gradient of the likelihood, 50 if 0
}

func (d DAPS) check(p *path) error {
	if d.Inner < 0 || !(d.Scale >= 0) || d.Chain < 0 {
		return fmt.Errorf("diffusion: DAPS: Inner is %d, Scale %g and Chain %d, want numbers that are not negative", d.Inner, d.Scale, d.Chain)
	}
	if g, ok := d.linear(); ok {
		return p.prepare("DAPS", g)
	}
	if err := checkLikelihood(d.Lik); err != nil {
		return err
	}
	if n := d.Lik.Dim(); n != p.n {
		return fmt.Errorf("diffusion: DAPS: the likelihood has dimension %d, the score %d", n, p.n)
	}
	return nil
}

// linear returns the likelihood if x₀ can be drawn exactly.
func (d DAPS) linear() (*likelihood.Gaussian, bool) {
	g, ok := d.Lik.(*likelihood.Gaussian)
	if !ok || g == nil {
		return nil, false
	}
	_, ok = g.Operator().(inverse.Linear)
	return g, ok
}

func (DAPS) levels() (Grid, bool) { return Karras(7), true }
func (DAPS) remedy() string       { return moreSteps }

func (d DAPS) begin(w *walk) stepper {
	if d.Inner == 0 {
		d.Inner = 5
	}
	if d.Scale == 0 {
		d.Scale = 1
	}
	if d.Chain == 0 {
		d.Chain = 50
	}
	s := &daps{scale: d.Scale, flow: &ddim{0, w.scratch(), w.scratch()}, d: w.scratch(), z: w.scratch(), lanes: innerPath(w.path, d.Inner)}
	if _, ok := d.linear(); ok {
		s.draw = (&proximal{linearGaussian: w.lin}).draw
	} else {
		s.draw = newLangevin(d.Lik, d.Chain, w.r).draw
	}
	return s
}

type daps struct {
	scale float64
	draw  func(x, z *mat.Dense, r float64, src rand.Source) // x from p(y|x) N(x; x, r²I)
	flow  *ddim
	d, z  *mat.Dense
	lanes *path
}

func (d *daps) step(w *walk) {
	d.d.Copy(w.x)
	d.lanes.from(w.t[w.k], w.t[w.steps()-1])
	inner := walk{path: d.lanes, x: d.d, r: w.r, src: w.src}
	for inner.k = 0; inner.k < inner.steps(); inner.k++ {
		d.flow.step(&inner)
	}
	d.draw(d.d, d.z, d.scale*w.sigma[w.k]/w.alpha[w.k], w.src)
	w.noise(d.z)
	combine(w.x, w.alpha[w.k+1], d.d, w.sigma[w.k+1], d.z)
}

// langevin draws from p(y|x) N(x; D, r²I) by the Metropolis-adjusted Langevin
// algorithm whose proposals leave N(D, r²I) as it is (Cotter et al. 2013, pCNL).
// With u = x - D and g = ∇ log p(y|x), it proposes
//
//	v = ((2 - δ) u + 2δ r² g + √(8δ) r ξ)/(2 + δ),  ξ ~ N(0, I).
//
// Each row has its own δ, which is adapted in the first half of a chain and
// kept for the next one.
type langevin struct {
	lik   Likelihood
	steps int

	u, v       mat.Dense // from D, and the state and the proposal themselves:
	x, y       mat.Dense
	atX, atY   mat.Dense // ∇ log p
	logX, logY []float64
	delta      []float64
}

// acceptance is the rate that is the best for the Langevin algorithm in many
// dimensions (Roberts and Rosenthal 1998).
const acceptance = 0.574

func newLangevin(lik Likelihood, steps, rows int) *langevin {
	l := &langevin{lik: lik, steps: steps, logX: make([]float64, rows), logY: make([]float64, rows), delta: make([]float64, rows)}
	for i := range l.delta {
		l.delta[i] = 1
	}
	return l
}

// draw replaces the rows D of d. z is scratch.
func (l *langevin) draw(d, z *mat.Dense, r float64, src rand.Source) {
	rows, n := d.Dims()
	for _, m := range []*mat.Dense{&l.u, &l.v, &l.y, &l.atX, &l.atY} {
		resize(m, rows, n)
	}
	keep(&l.x, d)
	l.u.Zero()
	l.lik.Scores(&l.atX, l.logX, &l.x)
	uniform := rand.New(src)
	for k := range l.steps {
		noise(z, src)
		for i, delta := range l.delta {
			u, v, g := l.u.RawRowView(i), l.v.RawRowView(i), l.atX.RawRowView(i)
			kernel.Combine(v, (2-delta)/(2+delta), u, 2*delta*r*r/(2+delta), g)
			kernel.Axpy(v, math.Sqrt(8*delta)*r/(2+delta), z.RawRowView(i))
			kernel.Add(l.y.RawRowView(i), d.RawRowView(i), v)
		}
		l.lik.Scores(&l.atY, l.logY, &l.y)
		for i := range rows {
			u, v, gu, gv := l.u.RawRowView(i), l.v.RawRowView(i), l.atX.RawRowView(i), l.atY.RawRowView(i)
			// A state that has no likelihood is left for any that has.
			accept := math.Min(1, math.Exp(l.logY[i]-l.logX[i]+flux(v, u, gv, l.delta[i], r)-flux(u, v, gu, l.delta[i], r)))
			if uniform.Float64() < accept {
				copy(u, v)
				copy(gu, gv)
				copy(l.x.RawRowView(i), l.y.RawRowView(i))
				l.logX[i] = l.logY[i]
			}
			if k < l.steps/2 && !math.IsNaN(accept) {
				l.delta[i] = math.Min(2, l.delta[i]*math.Exp(2*(accept-acceptance)))
			}
		}
	}
	d.Copy(&l.x)
}

// flux is what the proposal of v from u adds to the likelihood in the
// acceptance: (v - u)ᵀg/2 + δ (u + v)ᵀg/4 - δ r² gᵀg/4 for the gradient g of log p
// at u.
func flux(u, v, g []float64, delta, r float64) float64 {
	ug, vg := kernel.Dot(u, g), kernel.Dot(v, g)
	return (vg-ug)/2 + delta/4*(ug+vg-r*r*kernel.SumSquares(g))
}
