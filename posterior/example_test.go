package posterior_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

// The speed of something that starts near 0 and is seen, with noise, after
// 1, 2 and 3 seconds: the exact posterior of a straight line.
func ExampleNewGaussian() {
	a, err := forward.NewDense(mat.NewDense(3, 2, []float64{
		1, 1,
		1, 2,
		1, 3,
	}))
	if err != nil {
		log.Fatal(err)
	}
	start, err := prior.NewGaussian(nil, mat.NewDiagDense(2, []float64{.01, 100}), nil)
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(a, []float64{2.1, 3.9, 6.2}, .2)
	if err != nil {
		log.Fatal(err)
	}
	post, err := posterior.NewGaussian(start, lik)
	if err != nil {
		log.Fatal(err)
	}
	variance, err := post.Variance(nil)
	if err != nil {
		log.Fatal(err)
	}
	mean := post.Mean(nil)
	fmt.Printf("start %.2f ± %.2f, speed %.2f ± %.2f\n", mean[0], math.Sqrt(variance[0]), mean[1], math.Sqrt(variance[1]))

	post.Src = rand.NewPCG(1, 2)
	draws := mat.NewDense(1000, 2, nil) // one row a draw
	if err := post.Sample(context.Background(), draws); err != nil {
		log.Fatal(err)
	}
	// Output:
	// start -0.00 ± 0.10, speed 2.04 ± 0.07
}

// The lecture's mixture of three, seen as 0.5 with noise 0.8: the mode at
// -2.5 is all but ruled out.
func ExampleNewMixture() {
	three, err := prior.NewIsotropicMixture(
		[]float64{.3, .5, .2},
		mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}),
		[]float64{.3, .4, .3}, nil)
	if err != nil {
		log.Fatal(err)
	}
	identity, err := forward.NewIdentity(1)
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(identity, []float64{.5}, .8)
	if err != nil {
		log.Fatal(err)
	}
	post, err := posterior.NewMixture(three, lik)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("weights %.4f, mean %.3f\n", post.Weights(nil), post.Mean(nil)[0])
	// Output:
	// weights [0.0012 0.8011 0.1977], mean 0.350
}

// Counts of a decaying source: a Poisson likelihood, its mode and Laplace's
// approximation there.
func ExampleNewLaplace() {
	ctx := context.Background()
	// The log rates are a + b t.
	a, err := forward.NewDense(mat.NewDense(5, 2, []float64{1, 0, 1, 1, 1, 2, 1, 3, 1, 4}))
	if err != nil {
		log.Fatal(err)
	}
	lik, err := likelihood.New(a, []float64{98, 63, 35, 24, 13}, likelihood.Poisson{Log: true})
	if err != nil {
		log.Fatal(err)
	}
	pri, err := prior.NewGaussian(nil, mat.NewDiagDense(2, []float64{25, 25}), nil)
	if err != nil {
		log.Fatal(err)
	}
	post, err := posterior.New(pri, lik)
	if err != nil {
		log.Fatal(err)
	}
	mode, err := posterior.MAP(ctx, post, []float64{0, 0}, nil)
	if err != nil {
		log.Fatal(err)
	}
	approx, err := posterior.NewLaplace(post, mode)
	if err != nil {
		log.Fatal(err)
	}
	var cov mat.SymDense
	approx.CovarianceMatrix(&cov)
	fmt.Printf("log rate at 0: %.2f ± %.2f, decay %.2f ± %.2f\n",
		mode.X[0], math.Sqrt(cov.At(0, 0)), mode.X[1], math.Sqrt(cov.At(1, 1)))
	// Output:
	// log rate at 0: 4.60 ± 0.09, decay -0.49 ± 0.05
}

// The scale of a prior, chosen by the evidence of the data.
func ExampleMaximizeEvidence() {
	const n, sigma = 200, .3
	field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Precision: 20})
	if err != nil {
		log.Fatal(err)
	}
	identity, err := forward.NewIdentity(n)
	if err != nil {
		log.Fatal(err)
	}
	data := mat.NewDense(1, n, nil)
	field.Draw(data, rand.NewPCG(1, 0))
	noise := rand.New(rand.NewPCG(2, 0))
	for i := range n {
		data.Set(0, i, data.At(0, i)+sigma*noise.NormFloat64())
	}
	lik, err := likelihood.NewGaussian(identity, data.RawRowView(0), sigma)
	if err != nil {
		log.Fatal(err)
	}
	precision, _, err := posterior.MaximizeEvidence(.1, 1e4, func(theta float64) (*posterior.Gaussian, error) {
		field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Precision: theta})
		if err != nil {
			return nil, err
		}
		return posterior.NewGaussian(field, lik)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("precision %.0f; the data were drawn with 20\n", precision)
	// Output:
	// precision 18; the data were drawn with 20
}
