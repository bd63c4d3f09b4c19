package diffusion_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

// A prior with two modes, one datum, and the posterior by guided diffusion.
func Example() {
	means := mat.NewDense(2, 2, []float64{-2, -2, 2, 2})
	pri, err := prior.NewIsotropicMixture(nil, means, []float64{.5}, nil)
	if err != nil {
		log.Fatal(err)
	}
	op, err := forward.NewDense(mat.NewDense(1, 2, []float64{1, 0})) // only the first coordinate is seen
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{1.5}, 0.4)
	if err != nil {
		log.Fatal(err)
	}

	vp := diffusion.NewVP(0.1, 20)
	score, err := diffusion.Diffuse(pri, vp)
	if err != nil {
		log.Fatal(err)
	}
	guide, err := diffusion.NewExact(score, lik)
	if err != nil {
		log.Fatal(err)
	}
	post, err := posterior.Sum(score, guide)
	if err != nil {
		log.Fatal(err)
	}
	s := &diffusion.Reverse{Score: post, Schedule: vp, Steps: 50, Src: rand.NewPCG(1, 2)}
	draws := mat.NewDense(2000, 2, nil)
	if err := s.Sample(context.Background(), draws); err != nil {
		log.Fatal(err)
	}
	for j := range 2 {
		mean, std := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
		fmt.Printf("x%d = %.1f ± %.1f\n", j+1, mean, std)
	}
	// Output:
	// x1 = 1.7 ± 0.3
	// x2 = 2.0 ± 0.5
}

// Draws with the weights of modes right, and the evidence, by a particle
// filter. The posterior has two modes, one of which the data make likelier.
func ExampleTDS() {
	means := mat.NewDense(2, 2, []float64{-2, -2, 2, 2})
	pri, err := prior.NewIsotropicMixture([]float64{.7, .3}, means, []float64{.5}, nil)
	if err != nil {
		log.Fatal(err)
	}
	op, err := forward.NewDense(mat.NewDense(1, 2, []float64{1, 0}))
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{0.5}, 2)
	if err != nil {
		log.Fatal(err)
	}
	score, err := diffusion.Diffuse(pri, diffusion.NewVP(0.1, 20))
	if err != nil {
		log.Fatal(err)
	}
	twist, err := diffusion.NewMMPS(score, lik)
	if err != nil {
		log.Fatal(err)
	}
	s, err := diffusion.NewTDS(twist, lik)
	if err != nil {
		log.Fatal(err)
	}
	s.Particles, s.Src = 256, rand.NewPCG(1, 2)
	draws := mat.NewDense(10*256, 2, nil)
	report, err := s.Run(context.Background(), draws)
	if err != nil {
		log.Fatal(err)
	}
	right := 0.0
	for i := range 10 * 256 {
		if draws.At(i, 0) > 0 {
			right += 1. / (10 * 256)
		}
	}
	evidence, _ := report.Evidence()
	exact, err := posterior.NewMixture(pri, lik)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("mass of the right mode %.1f, exactly %.1f\n", right, exact.Weights(nil)[1])
	fmt.Printf("log evidence %.1f, exactly %.1f\n", evidence, exact.LogEvidence())
	// Output:
	// mass of the right mode 0.4, exactly 0.4
	// log evidence -2.2, exactly -2.2
}

// The log density of a diffusion model, by its probability flow.
func ExampleLogProb() {
	pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(2, 1, []float64{-1, 1}), []float64{.5}, nil)
	if err != nil {
		log.Fatal(err)
	}
	score, err := diffusion.Diffuse(pri, diffusion.NewEDM(0.001, 50))
	if err != nil {
		log.Fatal(err)
	}
	x := mat.NewDense(3, 1, []float64{-1, 0, 2})
	logp := make([]float64, 3)
	if err := diffusion.LogProb(context.Background(), logp, x, score, nil); err != nil {
		log.Fatal(err)
	}
	for i, v := range logp {
		fmt.Printf("%.2f %.2f\n", v, pri.LogProb(x.RawRowView(i)))
	}
	// Output:
	// -0.92 -0.92
	// -2.23 -2.23
	// -2.92 -2.92
}
