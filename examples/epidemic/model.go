package main

import (
	"context"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/prior"
)

// inBed are the boys confined to bed at the end of each day.
var inBed = []float64{3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4}

const boys = 763

// problem is the epidemic with its prior. Parameters are the rate β at which an
// infectious boy infects others, the rate γ at which he recovers, both a day,
// and the dispersion φ of the counts.
type problem struct {
	prior *prior.Product
	y     []float64 // square roots of the counts, which vary alike at all sizes
}

func newProblem() (*problem, error) {
	pri, err := prior.NewProduct([]distuv.LogProber{
		distuv.LogNormal{Mu: 0, Sigma: 1},               // β: 0.2 to 5 a day
		distuv.LogNormal{Mu: math.Log(0.4), Sigma: 0.5}, // γ: an infectious period of one day to a week
		distuv.LogNormal{Mu: math.Log(20), Sigma: 1},    // φ
	}, nil)
	p := &problem{prior: pri}
	for _, n := range inBed {
		p.y = append(p.y, math.Sqrt(n))
	}
	return p, err
}

// Dims returns the numbers of data and parameters.
func (p *problem) Dims() (m, n int) { return len(inBed), 3 }

// Simulate is a draw of the data: the process, and counts of those infectious
// at the end of each day, with a negative binomial distribution whose variance
// is I + I²/φ.
func (p *problem) Simulate(_ context.Context, y, theta []float64, src rand.Source) error {
	r := rand.New(src)
	e := newEpidemic()
	for k := range y {
		e.day(theta[0], theta[1], r)
		y[k] = math.Sqrt(count(e.infectious, theta[2], r))
	}
	return nil
}

// epidemic is the state of the process.
type epidemic struct{ susceptible, infectious float64 }

// newEpidemic is the day before the first count: one boy is infectious.
func newEpidemic() epidemic { return epidemic{boys - 1, 1} }

// day runs the process for a day, reaction by reaction (Gillespie, 1977).
func (e *epidemic) day(beta, gamma float64, r *rand.Rand) {
	for t := 0.0; e.infectious > 0; {
		infection := beta * e.susceptible * e.infectious / boys
		rate := infection + gamma*e.infectious
		if t += r.ExpFloat64() / rate; t > 1 {
			break // without memory: the next day draws anew
		}
		if r.Float64()*rate < infection {
			e.susceptible--
			e.infectious++
		} else {
			e.infectious--
		}
	}
}

// count draws a negative binomial number, a Poisson one whose mean is drawn
// from a gamma distribution.
func count(mean, dispersion float64, src rand.Source) float64 {
	if mean == 0 {
		return 0
	}
	lambda := distuv.Gamma{Alpha: dispersion, Beta: dispersion / mean, Src: src}.Rand()
	if lambda == 0 {
		return 0
	}
	return distuv.Poisson{Lambda: lambda, Src: src}.Rand()
}

// logCount is the logarithm of its probability.
func logCount(n, mean, dispersion float64) float64 {
	if mean == 0 {
		if n == 0 {
			return 0
		}
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(n + dispersion)
	b, _ := math.Lgamma(dispersion)
	c, _ := math.Lgamma(n + 1)
	return a - b - c - dispersion*math.Log1p(mean/dispersion) - n*math.Log1p(dispersion/mean)
}

// logLikelihood estimates the log likelihood of daily counts by a bootstrap
// particle filter (Gordon, Salmond and Smith, 1993), the likelihood itself
// without bias.
func logLikelihood(counts, theta []float64, particles int, r *rand.Rand) float64 {
	state, next := make([]epidemic, particles), make([]epidemic, particles)
	w := make([]float64, particles)
	for i := range state {
		state[i] = newEpidemic()
	}
	var total float64
	for _, n := range counts {
		top := math.Inf(-1)
		for i := range state {
			state[i].day(theta[0], theta[1], r)
			w[i] = logCount(n, state[i].infectious, theta[2])
			top = max(top, w[i])
		}
		if math.IsInf(top, -1) {
			return top
		}
		var sum float64
		for i, v := range w {
			sum += math.Exp(v - top)
			w[i] = sum
		}
		total += top + math.Log(sum/float64(particles))
		// Systematic resampling.
		u := r.Float64() / float64(particles) * sum
		for i, k := 0, 0; i < particles; i++ {
			for w[k] < u && k < particles-1 {
				k++
			}
			next[i] = state[k]
			u += sum / float64(particles)
		}
		state, next = next, state
	}
	return total
}
