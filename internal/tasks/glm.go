package tasks

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/prior"
)

const (
	glmBins   = 100
	glmParams = 10
)

// glmDesign returns the design matrix: a column of ones for the offset, and
// the white-noise stimulus at lags 0 to 8.
func glmDesign() *mat.Dense {
	r := newNumPy(42)
	var stimulus [glmBins]float64
	for t := range stimulus {
		stimulus[t] = float64(float32(r.normal()))
	}
	x := mat.NewDense(glmBins, glmParams, nil)
	for t := range glmBins {
		x.Set(t, 0, 1)
		for j := range min(t+1, glmParams-1) {
			x.Set(t, 1+j, stimulus[t-j])
		}
	}
	return x
}

// glmPrior is N(0, B): variance 2 of the offset, and the precision FᵀF of a
// smooth filter, F = D² + diag(√(i/9)) with D the first difference.
func glmPrior() *prior.Gaussian {
	const k = glmParams - 1
	d := mat.NewDense(k, k, nil)
	for i := range k {
		d.Set(i, i, 1)
		if i > 0 {
			d.Set(i, i-1, -1)
		}
	}
	var f, ff mat.Dense
	f.Mul(d, d)
	for i := range k {
		f.Set(i, i, f.At(i, i)+math.Sqrt(float64(i)/k))
	}
	ff.Mul(f.T(), &f)
	p := mat.NewSymDense(glmParams, nil)
	p.SetSym(0, 0, 0.5)
	for i := range k {
		for j := i; j < k; j++ {
			p.SetSym(1+i, 1+j, ff.At(i, j))
		}
	}
	return must(prior.NewGaussianPrecision(nil, p, nil))
}

// bernoulliGLM: spikes z_t ~ Bernoulli(1/(1 + exp(-(Xθ)_t))) in 100 bins, and
// data Xᵀz, which are sufficient.
func bernoulliGLM() *Task {
	g := newGLM()
	return &Task{
		Prior: g.prior, data: glmParams,
		simulate: func(y, theta []float64, r *rand.Rand) error {
			var z [glmBins]float64
			g.spikes(z[:], theta, r)
			g.statistics(y, z[:])
			return nil
		},
		logLik: g.logLik,
		chains: g.reference,
	}
}

// bernoulliGLMRaw is bernoulliGLM with the 100 spikes as data.
func bernoulliGLMRaw() *Task {
	g := newGLM()
	return &Task{
		Prior: g.prior, data: glmBins,
		simulate: func(y, theta []float64, r *rand.Rand) error {
			g.spikes(y, theta, r)
			return nil
		},
		logLik: func(theta, y []float64) float64 {
			var s [glmParams]float64
			g.statistics(s[:], y)
			return g.logLik(theta, s[:])
		},
		chains: func(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
			var s [glmParams]float64
			g.statistics(s[:], y)
			return g.reference(ctx, dst, s[:], src)
		},
	}
}

type glm struct {
	prior *prior.Gaussian
	x     *mat.Dense
}

func newGLM() *glm { return &glm{glmPrior(), glmDesign()} }

func (g *glm) spikes(z, theta []float64, r *rand.Rand) {
	for t := range z {
		z[t] = 0
		if r.Float64() < 1/(1+math.Exp(-floats.Dot(g.x.RawRowView(t), theta))) {
			z[t] = 1
		}
	}
}

func (g *glm) statistics(y, z []float64) {
	clear(y)
	for t, v := range z {
		floats.AddScaled(y, v, g.x.RawRowView(t))
	}
}

// logLik is θᵀXᵀz - Σ log(1 + exp((Xθ)_t)).
func (g *glm) logLik(theta, y []float64) float64 {
	p := floats.Dot(theta, y)
	for t := range glmBins {
		a := floats.Dot(g.x.RawRowView(t), theta)
		p -= math.Max(a, 0) + math.Log1p(math.Exp(-math.Abs(a)))
	}
	return p
}

func (g *glm) reference(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
	y = slices.Clone(y)
	target := &density{dim: glmParams,
		logProb: func(t []float64) float64 { return g.prior.LogProb(t) + g.logLik(t, y) },
		score: func(s, t []float64) {
			g.prior.ScoreInput(s, t)
			floats.Add(s, y)
			for k := range glmBins {
				x := g.x.RawRowView(k)
				floats.AddScaled(s, -1/(1+math.Exp(-floats.Dot(x, t))), x)
			}
		}}
	return target.sample(ctx, dst, g.prior, src)
}
