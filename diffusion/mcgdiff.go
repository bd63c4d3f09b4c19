package diffusion

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/likelihood"
)

// MCGDiff is the particle filter of Cardoso et al. (2024) for linear operators
// with a singular value decomposition. In the coordinates Vᵀx it treats the
// datum y_i = s_i x_i + e as a noisy look at the diffusion itself: at a level
// where σ/α is below the noise of y_i/s_i,
//
//	∫ N(x_t; α y_i/s_i, α²σ_y²/s_i² - σ²) p(x_t|x₀) dx_t ∝ p(y_i|x₀),
//
// so that guiding coordinate i there, and leaving it free afterwards, gives
// the posterior. Above this level the coordinate is drawn towards the datum by
// the optimal proposal, and particles are weighted. It needs no derivative of
// the score. The variance above is exact for the grid at hand, where the paper
// takes a small constant κ and adds levels to the grid.
type MCGDiff struct {
	Filter
	score Score
	op    inverse.Spectral
	s     []float64 // singular values
	y     []float64 // Uᵀy/s, where s > 0
	sigma float64
	rest  float64 // log density of the data outside of the range of U
}

var _ inverse.Sampler = (*MCGDiff)(nil)

// NewMCGDiff returns the sampler of the posterior of the score's density and
// a likelihood with white noise and an operator that is inverse.Spectral.
func NewMCGDiff(score Score, lik *likelihood.Gaussian) (*MCGDiff, error) {
	if score == nil {
		return nil, errors.New("diffusion: the score is nil")
	}
	l, err := newSpectralGaussian("MCGDiff", lik)
	if err != nil {
		return nil, err
	}
	if n := score.Dim(); n != l.n {
		return nil, fmt.Errorf("diffusion: the score has dimension %d, the likelihood %d", n, l.n)
	}
	m := &MCGDiff{score: score, op: l.spectral, s: l.spectral.SingularValues(), y: l.modes(), sigma: l.sigma}
	// What no coordinate explains: data whose singular value is 0, and those
	// orthogonal to U.
	quad := floats.Dot(lik.Data(), lik.Data())
	seen := 0
	for i, s := range m.s {
		if s > 0 {
			quad -= m.y[i] * m.y[i] * s * s
			seen++
		}
	}
	m.rest = -0.5 * (math.Max(0, quad)/(m.sigma*m.sigma) + float64(l.m-seen)*math.Log(2*math.Pi*m.sigma*m.sigma))
	return m, nil
}

// Dim returns the dimension n of a draw.
func (m *MCGDiff) Dim() int { return m.score.Dim() }

// Sample fills the rows of dst with draws, see [Filter].
func (m *MCGDiff) Sample(ctx context.Context, dst *mat.Dense) error {
	_, err := m.Run(ctx, dst)
	return err
}

// Run is Sample with a report.
func (m *MCGDiff) Run(ctx context.Context, dst *mat.Dense) (*FilterReport, error) {
	if len(m.Start.Var) > 1 {
		return nil, fmt.Errorf("diffusion: MCGDiff: Start.Var has length %d, want 1: the same variance in all directions", len(m.Start.Var))
	}
	eta := m.Eta
	if eta == 0 {
		eta = 1
	}
	return m.run(ctx, dst, m.score, func(w *walk) filterKind {
		k := len(m.s)
		f := &mcgdiff{MCGDiff: m, eta: eta, d: w.scratch(), z: w.scratch(), e: w.scratch(), before: w.scratch(), c: mat.NewDense(w.r, k, nil), free: mat.NewDense(w.r, k, nil), until: make([]int, k)}
		size := blockRows(w.n)
		blocks := make([]struct{ x, d mat.Dense }, (w.r+size-1)/size)
		f.work = func(lo, hi int) error {
			b := &blocks[lo/size]
			w.denoise(rows(&b.d, f.d, lo, hi), rows(&b.x, w.x, lo, hi), w.t[w.k])
			return nil
		}
		for i, s := range m.s {
			if s > 0 {
				f.until[i] = m.level(w, s)
			} else {
				f.until[i] = -1
			}
		}
		return f
	})
}

// margin is the least variance of a datum at the level where it is released,
// relative to σ².
const margin = 1e-2

// level returns the first level whose noise is below that of a datum with
// singular value s. At the last level, t = 0, there is none.
func (m *MCGDiff) level(w *walk, s float64) int {
	for k := range w.t {
		v := w.alpha[k] * m.sigma / s
		if v*v >= (1+margin)*w.sigma[k]*w.sigma[k] {
			return k
		}
	}
	return w.steps()
}

type mcgdiff struct {
	*MCGDiff
	eta     float64
	d, z    *mat.Dense
	e       *mat.Dense // forecast
	before  *mat.Dense // denoised means of the step before
	c, free *mat.Dense // coordinates Vᵀ of the particles, and of the unguided step
	until   []int      // level up to which a coordinate is guided, -1 for never

	work func(lo, hi int) error // denoises a block of particles
}

// potential returns mean and variance of the Gaussian in coordinate i that
// guides level k: that at the level of release, diffused on.
func (f *mcgdiff) potential(w *walk, i, k int) (mean, variance float64) {
	u := f.until[i]
	ratio := w.alpha[k] / w.alpha[u]
	noise := w.alpha[u] * f.sigma / f.s[i]
	return w.alpha[k] * f.y[i], ratio*ratio*(noise*noise-2*w.sigma[u]*w.sigma[u]) + w.sigma[k]*w.sigma[k]
}

// start draws the guided coordinates from the product of the Gaussian start
// and the potential; all particles have the same weight.
func (f *mcgdiff) start(s *swarm) error {
	s.walk.start(f.Start)
	_, variance := f.Start.at(0)
	a, sd := s.alpha[0], s.sigma[0]
	spread := a*a*variance + sd*sd
	mean := mat.NewDense(1, s.n, nil)
	for j := range s.n {
		m, _ := f.Start.at(j)
		mean.Set(0, j, a*m)
	}
	center := mat.NewDense(1, len(f.s), nil)
	f.op.MulVT(center, mean)
	f.op.MulVT(f.free, s.x)
	f.c.Zero()
	logw := f.rest
	for i, u := range f.until {
		if u < 0 {
			continue
		}
		logw += math.Log(s.alpha[u] / f.s[i])
		mu, v := f.potential(s.walk, i, 0)
		m := center.At(0, i)
		logw += logNormal(mu-m, v+spread)
		weight := spread / (spread + v)
		for j := range s.r {
			free := f.free.At(j, i)
			f.c.Set(j, i, m+weight*(mu-m)+math.Sqrt(1-weight)*(free-m)-free)
		}
	}
	f.op.MulV(f.d, f.c)
	addScaled(s.x, 1, f.d)
	for i := range s.logw {
		s.logw[i] = logw
	}
	return nil
}

func (f *mcgdiff) step(s *swarm) error {
	x, d, v := s.ancestral(f.eta)
	if err := s.blocks(f.work); err != nil {
		return err
	}
	f.op.MulVT(f.c, s.x)
	s.forecast(f.e, f.d, f.before)
	combine(s.x, x, s.x, d, f.e) // the mean of the unguided step
	f.before.Copy(f.d)
	f.op.MulVT(f.free, s.x)
	for i, u := range f.until {
		if s.k+1 > u {
			continue
		}
		before, vb := f.potential(s.walk, i, s.k)
		after, va := f.potential(s.walk, i, s.k+1)
		for j := range s.r {
			s.logw[j] += logNormal(f.free.At(j, i)-after, va+v*v) - logNormal(f.c.At(j, i)-before, vb)
		}
	}
	if ancestor := s.resample(); ancestor != nil {
		if err := s.gather(s.x, f.free, f.before); err != nil {
			return err
		}
	}
	if v == 0 {
		return nil
	}
	s.noise(f.z)
	f.op.MulVT(f.c, f.z)
	for i, u := range f.until {
		if s.k+1 > u {
			for j := range s.r {
				f.c.Set(j, i, 0)
			}
			continue
		}
		mu, va := f.potential(s.walk, i, s.k+1)
		weight := v * v / (v*v + va)
		shrink := (math.Sqrt(1-weight) - 1) * v
		for j := range s.r {
			f.c.Set(j, i, weight*(mu-f.free.At(j, i))+shrink*f.c.At(j, i))
		}
	}
	f.op.MulV(f.d, f.c)
	addScaled(s.x, v, f.z)
	addScaled(s.x, 1, f.d)
	return nil
}
