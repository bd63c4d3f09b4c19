package sbi_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// Two networks that learn to invert the same operator, one of exact data and
// one of noisy ones, and what they do to perturbations of the data.
func ExampleRegression() {
	ctx := context.Background()
	pri, err := prior.NewGaussian(nil, mat.NewDiagDense(2, []float64{1, 1}), nil)
	if err != nil {
		log.Fatal(err)
	}
	op, err := forward.NewDense(mat.NewDense(2, 2, []float64{1, 0.98, 0.98, 1})) // σ_min is 0.02
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{0, 0}, 1e-9)
	if err != nil {
		log.Fatal(err)
	}
	table, err := sbi.Simulate(ctx, pri, sbi.FromLikelihood(lik), 2000, &sbi.SimulateOptions{Src: rand.NewPCG(1, 1)})
	if err != nil {
		log.Fatal(err)
	}
	for _, noise := range []float64{0, 0.1} {
		net, err := sbi.Regression(ctx, table, &sbi.RegressionOptions{
			Hidden: []int{}, Noise: []float64{noise}, Src: rand.NewPCG(2, 2),
		})
		if err != nil {
			log.Fatal(err)
		}
		worst, err := forward.WorstCase(ctx, net, []float64{1, 1}, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("trained with noise of %.1f: amplifies perturbations by up to %.2g\n", noise, worst.Gain)
	}
	domain, err := sbi.NewDomain(table, rand.NewPCG(3, 3))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(domain.Check([]float64{1, 1}))
	fmt.Println(domain.Check([]float64{1, -1}))
	// Output:
	// trained with noise of 0.0: amplifies perturbations by up to 49
	// trained with noise of 0.1: amplifies perturbations by up to 2
	// <nil>
	// sbi: the data are outside of what was simulated (p = 0.001): a network trained on that extrapolates here
}
