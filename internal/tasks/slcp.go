package tasks

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// slcp, "simple likelihood, complex posterior": θ ~ U[-3, 3]⁵, and x is four
// draws of N(m, S) with
//
//	m = (θ₁, θ₂),  s₁ = θ₃², s₂ = θ₄², ρ = tanh θ₅,  S = [s₁² ρs₁s₂; ρs₁s₂ s₂²] + 10⁻⁶I.
//
// The posterior does not change with the signs of θ₃ and θ₄, so that it is
// drawn where both are positive, by Markov chains, and given random signs.
func slcp() *Task {
	return &Task{
		Prior: box(5, 3), data: 8,
		simulate: slcpSimulate,
		logLik:   slcpLogLik,
		chains: func(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
			return slcpReference(ctx, dst, y, src)
		},
	}
}

// slcpNoise returns the Cholesky factor [l11 0; l21 l22] of S.
func slcpNoise(t []float64) (l11, l21, l22 float64) {
	s1, s2, rho := t[2]*t[2], t[3]*t[3], math.Tanh(t[4])
	const jitter = 1e-6
	l11 = math.Sqrt(s1*s1 + jitter)
	l21 = rho * s1 * s2 / l11
	l22 = math.Sqrt(math.Max(s2*s2+jitter-l21*l21, jitter*jitter))
	return
}

func slcpSimulate(y, t []float64, r *rand.Rand) error {
	l11, l21, l22 := slcpNoise(t)
	for k := 0; k < 8; k += 2 {
		z1, z2 := r.NormFloat64(), r.NormFloat64()
		y[k] = t[0] + l11*z1
		y[k+1] = t[1] + l21*z1 + l22*z2
	}
	return nil
}

func slcpLogLik(t, y []float64) float64 {
	l11, l21, l22 := slcpNoise(t)
	p := -4 * math.Log(l11*l22)
	for k := 0; k < 8; k += 2 {
		z1 := (y[k] - t[0]) / l11
		z2 := (y[k+1] - t[1] - l21*z1) / l22
		p -= (z1*z1 + z2*z2) / 2
	}
	return p
}

func slcpReference(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
	seed := rng.Seed(src)
	target := &density{dim: 5, transform: interval([]float64{-3, -3, 0, 0, -3}, []float64{3, 3, 3, 3, 3}),
		logProb: func(t []float64) float64 {
			for i, v := range t {
				if v < -3 || v > 3 || (i == 2 || i == 3) && v < 0 {
					return math.Inf(-1)
				}
			}
			return slcpLogLik(t, y)
		}}
	pri := box(5, 3)
	if err := target.sample(ctx, dst, pri, rng.New(seed, 0)); err != nil {
		return err
	}
	r := rand.New(rng.New(seed, 1))
	n, _ := dst.Dims()
	for i := range n {
		row := dst.RawRowView(i)
		for _, j := range []int{2, 3} {
			if r.Uint64()&1 == 0 {
				row[j] = -row[j]
			}
		}
	}
	return nil
}

// slcpDistractors is slcp with 92 further data that say nothing about θ: one
// draw of a mixture of 20 Student-t distributions with 2 degrees of freedom,
// and then all 100 in a fixed order.
func slcpDistractors() *Task {
	d := distractorsOnce()
	informative := func(y []float64) []float64 {
		x := make([]float64, 8)
		for k, j := range d.order {
			if j < 8 {
				x[j] = y[k]
			}
		}
		return x
	}
	return &Task{
		Prior: box(5, 3), data: 100,
		simulate: func(y, t []float64, r *rand.Rand) error {
			var x [100]float64
			if err := slcpSimulate(x[:8], t, r); err != nil {
				return err
			}
			d.draw(x[8:], r)
			for k, j := range d.order {
				y[k] = x[j]
			}
			return nil
		},
		logLik: func(t, y []float64) float64 { return slcpLogLik(t, informative(y)) },
		chains: func(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
			return slcpReference(ctx, dst, informative(y), src)
		},
	}
}

const (
	distractorDims       = 92
	distractorComponents = 20
)

// distractors are the locations and lower triangles of the scales of the
// mixture, drawn once by the benchmark with NumPy's generator and seed 42:
// the 20 locations, 15 z; for each component a matrix of normals and the
// logarithms of what is added to its diagonal, and 3 times the sum; and the
// order of the data.
type distractors struct {
	loc   [distractorComponents][distractorDims]float64
	scale [distractorComponents][distractorDims][distractorDims]float64
	order []int
}

var distractorsOnce = sync.OnceValue(func() *distractors {
	r := newNumPy(42)
	d := new(distractors)
	for k := range d.loc {
		for i := range d.loc[k] {
			d.loc[k][i] = 15 * r.normal()
		}
	}
	for k := range d.scale {
		s := &d.scale[k]
		for i := range s {
			for j := range s[i] {
				if z := r.normal(); j <= i {
					s[i][j] = 3 * z
				}
			}
		}
		for i := range s {
			s[i][i] += 3 * math.Exp(r.normal())
		}
	}
	d.order = r.permutation(100)
	return d
})

func (d *distractors) draw(x []float64, r *rand.Rand) {
	k := r.IntN(distractorComponents)
	var z [distractorDims]float64
	for i := range z {
		z[i] = r.NormFloat64()
	}
	// With 2 degrees of freedom χ²/2 is a standard exponential variable.
	t := 1 / math.Sqrt(r.ExpFloat64())
	for i := range x {
		var s float64
		for j, l := range d.scale[k][i][:i+1] {
			s += l * z[j]
		}
		x[i] = d.loc[k][i] + t*s
	}
}
