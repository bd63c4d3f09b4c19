package tasks

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/ode"
	"github.com/go-inverse/inverse/prior"
)

// system is an ordinary differential equation solved at fixed times.
type system struct {
	sys   ode.System
	set   ode.Settings
	y0    []float64
	times []float64
	pool  sync.Pool
}

type solution struct {
	solver *ode.Solver
	y      []float64
}

func newSystem(sys ode.System, set ode.Settings, y0, times []float64) *system {
	s := &system{sys: sys, set: set, y0: y0, times: times}
	s.pool.New = func() any {
		return &solution{must(ode.NewSolver(sys, nil, set)), make([]float64, len(times)*len(y0))}
	}
	return s
}

// solve calls f with the solution, the states at the times one after another.
func (s *system) solve(p []float64, f func(y []float64)) error {
	w := s.pool.Get().(*solution)
	defer s.pool.Put(w)
	if err := w.solver.Solve(w.y, nil, 0, s.y0, p, s.times); err != nil {
		return err
	}
	f(w.y)
	return nil
}

func logNormals(mu, sigma []float64) *prior.Product {
	d := make([]distuv.LogProber, len(mu))
	for i := range d {
		d[i] = distuv.LogNormal{Mu: mu[i], Sigma: sigma[i]}
	}
	return must(prior.NewProduct(d, nil))
}

// sir: an epidemic in a population of 10⁶ with one infected at first,
//
//	S' = -βSI/N,  I' = βSI/N - γI,  β ~ LogNormal(log 0.4, 0.5),  γ ~ LogNormal(log 0.125, 0.2);
//
// data are the numbers of infected among 1000 at 10 times, 17 days apart. The
// unknown R = N - S - I is left out of the equations.
func sir() *Task {
	const population, tested = 1e6, 1000
	times := make([]float64, 10)
	for k := range times {
		times[k] = 17 * float64(k)
	}
	s := newSystem(ode.System{Dim: 2, Params: 2, Func: func(d []float64, _ float64, y, p []float64) {
		infections := p[0] * y[0] * y[1] / population
		d[0] = -infections
		d[1] = infections - p[1]*y[1]
	}}, ode.Settings{RelTol: 1e-8, AbsTol: 1e-8}, []float64{population - 1, 1}, times)
	pri := logNormals([]float64{math.Log(0.4), math.Log(0.125)}, []float64{0.5, 0.2})
	prevalence := func(i float64) float64 { return min(max(i/population, 0), 1) }
	logLik := func(t, y []float64) float64 {
		var p float64
		err := s.solve(t, func(u []float64) {
			for k, n := range y {
				q := prevalence(u[2*k+1])
				if n > 0 {
					p += n * math.Log(q)
				}
				if n < tested {
					p += (tested - n) * math.Log1p(-q)
				}
			}
		})
		if err != nil {
			return math.Inf(-1)
		}
		return p
	}
	return &Task{
		Prior: pri, data: 10,
		simulate: func(y, t []float64, r *rand.Rand) error {
			return s.solve(t, func(u []float64) {
				for k := range y {
					y[k] = distuv.Binomial{N: tested, P: prevalence(u[2*k+1]), Src: r}.Rand()
				}
			})
		},
		logLik: logLik,
		chains: positiveChains(pri, logLik),
	}
}

// lotkaVolterra: prey x and predators y,
//
//	x' = αx - βxy,  y' = -γy + δxy,  (30, 1) at time 0,
//	α, γ ~ LogNormal(-0.125, 0.5),  β, δ ~ LogNormal(-3, 0.5);
//
// data are LogNormal(log u, 0.1) at the times 0, 2.1, ..., 18.9, the prey first.
func lotkaVolterra() *Task {
	times := make([]float64, 10)
	for k := range times {
		times[k] = 2.1 * float64(k)
	}
	s := newSystem(ode.System{Dim: 2, Params: 4, Func: func(d []float64, _ float64, y, p []float64) {
		d[0] = p[0]*y[0] - p[1]*y[0]*y[1]
		d[1] = -p[2]*y[1] + p[3]*y[0]*y[1]
	}}, ode.Settings{RelTol: 1e-7, AbsTol: 1e-9}, []float64{30, 1}, times)
	pri := logNormals([]float64{-0.125, -3, -0.125, -3}, []float64{0.5, 0.5, 0.5, 0.5})
	level := func(u []float64, k int) float64 { // of datum k
		return math.Log(min(max(u[2*(k%10)+k/10], 1e-10), 1e4))
	}
	logLik := func(t, y []float64) float64 {
		var p float64
		err := s.solve(t, func(u []float64) {
			for k, v := range y {
				e := (math.Log(v) - level(u, k)) / 0.1
				p -= e * e / 2
			}
		})
		if err != nil {
			return math.Inf(-1)
		}
		return p
	}
	return &Task{
		Prior: pri, data: 20,
		simulate: func(y, t []float64, r *rand.Rand) error {
			return s.solve(t, func(u []float64) {
				for k := range y {
					y[k] = math.Exp(level(u, k) + 0.1*r.NormFloat64())
				}
			})
		},
		logLik: logLik,
		chains: positiveChains(pri, logLik),
	}
}

// positiveChains samples a posterior of positive parameters.
func positiveChains(pri *prior.Product, logLik func(t, y []float64) float64) func(context.Context, *mat.Dense, []float64, rand.Source) error {
	return func(ctx context.Context, dst *mat.Dense, y []float64, src rand.Source) error {
		y = slices.Clone(y)
		target := &density{dim: pri.Dim(), transform: pri.Transform(), logProb: func(t []float64) float64 {
			p := pri.LogProb(t)
			if math.IsInf(p, -1) {
				return p
			}
			return p + logLik(t, y)
		}}
		return target.sample(ctx, dst, pri, src)
	}
}
