package sampler_test

import (
	"context"
	"fmt"
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
