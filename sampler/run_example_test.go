package sampler_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/sampler"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// A gonum normal distribution is a target as it stands.
func ExampleRun() {
	target, ok := distmv.NewNormal([]float64{1, -2}, mat.NewSymDense(2, []float64{4, 1, 1, 1}), nil)
	if !ok {
		fmt.Println("the covariance is not positive definite")
		return
	}
	run, err := sampler.Run(context.Background(), target, &sampler.NUTS{}, &sampler.Settings{Src: rand.NewPCG(1, 2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := run.Summary()
	for _, p := range s.Params {
		fmt.Printf("%s  mean %.0f  sd %.0f\n", p.Name, p.Mean, p.SD)
	}
	fmt.Println("converged:", s.Converged(), " divergences:", run.Divergences)
	// Output:
	// x[1]  mean 1  sd 2
	// x[2]  mean -2  sd 1
	// converged: true  divergences: 0
}

// An interrupted run is saved, and goes on as if nothing had happened.
func ExampleResult_MarshalBinary() {
	target, _ := distmv.NewNormal([]float64{1, -2}, mat.NewSymDense(2, []float64{4, 1, 1, 1}), nil)
	ctx, cancel := context.WithCancel(context.Background())
	run, err := sampler.Run(ctx, target, &sampler.NUTS{}, &sampler.Settings{
		Src:      rand.NewPCG(1, 2),
		Progress: func(p sampler.Progress) { cancel() },
	})
	fmt.Println(err)
	saved, err := run.MarshalBinary()
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err = sampler.Run(context.Background(), target, &sampler.NUTS{}, &sampler.Settings{Resume: saved})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(run.Chains), "chains")
	// Output:
	// context canceled
	// 4 chains
}

// Precisions and means have conjugate conditional distributions, which Gibbs
// draws from; any other kernel could take the place of one of the blocks.
func ExampleGibbs() {
	y := []float64{1.2, -0.3, 2.5, 0.8, 1.9}
	// y_i ~ N(m, 1/tau), m ~ N(0, 10²), tau ~ Gamma(2, 1).
	model := logProb(func(x []float64) float64 {
		m, tau := x[0], x[1]
		if tau <= 0 {
			return math.Inf(-1)
		}
		lp := -m*m/200 + math.Log(tau) - tau
		for _, v := range y {
			lp += math.Log(tau)/2 - tau*(v-m)*(v-m)/2
		}
		return lp
	})
	gibbs := &sampler.Gibbs{Blocks: []sampler.Block{
		sampler.NormalBlock([]int{0}, func(q *mat.SymDense, b, x []float64) {
			q.SetSym(0, 0, 0.01+float64(len(y))*x[1])
			for _, v := range y {
				b[0] += x[1] * v
			}
		}),
		sampler.GammaBlock([]int{1}, func(shape, rate, x []float64) {
			shape[0], rate[0] = 2+float64(len(y))/2, 1
			for _, v := range y {
				rate[0] += (v - x[0]) * (v - x[0]) / 2
			}
		}),
	}}
	run, err := sampler.Run(context.Background(), model, gibbs, &sampler.Settings{
		Warmup: 100,
		Init:   mat.NewDense(1, 2, []float64{0, 1}),
		Names:  []string{"m", "tau"},
		Src:    rand.NewPCG(1, 2),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range run.Summary().Params {
		fmt.Printf("%s: %.1f ± %.1f\n", p.Name, p.Mean, p.SD)
	}
	// Output:
	// m: 1.2 ± 0.5
	// tau: 1.2 ± 0.6
}

type logProb func(x []float64) float64

func (f logProb) LogProb(x []float64) float64 { return f(x) }

// From a prior that can be drawn from to the posterior, with the evidence.
func ExampleSMC() {
	prior, _ := distmv.NewNormal([]float64{2}, mat.NewSymDense(1, []float64{1}), nil)
	// One observation y = 1 with unit noise.
	posterior := logProb(func(x []float64) float64 {
		r := 1 - x[0]
		return prior.LogProb(x) - r*r/2 - math.Log(2*math.Pi)/2
	})
	smc, err := sampler.SMC(context.Background(), prior, posterior, &sampler.SMCSettings{Src: rand.NewPCG(1, 2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	exact, _ := distmv.NewNormal([]float64{2}, mat.NewSymDense(1, []float64{2}), nil)
	fmt.Printf("log evidence %.1f, exactly %.1f\n", smc.LogEvidence, exact.LogProb([]float64{1}))
	fmt.Printf("mean %.1f, exactly 1.5\n", mat.Sum(smc.Draws)/1000)
	// Output:
	// log evidence -1.5, exactly -1.5
	// mean 1.5, exactly 1.5
}
