package inverse_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
)

// A tour: one problem, a blurred signal, written once and solved in closed
// form and by Markov chain Monte Carlo. Both routes end in draws, which agree.
func Example() {
	const n, sigma = 32, 0.05
	ctx := context.Background()

	// The problem: an operator, a prior, and data with noise.
	blur, err := forward.NewConv1D(n, []float64{1, 4, 6, 4, 1}, &forward.Conv1DOptions{Boundary: forward.Reflect})
	if err != nil {
		log.Fatal(err)
	}
	mean, err := forward.Scale(1./16, blur) // the weights sum to 1
	if err != nil {
		log.Fatal(err)
	}
	field, err := prior.NewGMRF1D(n, &prior.GMRFOptions{Order: 2, Precision: 100, Range: 16})
	if err != nil {
		log.Fatal(err)
	}
	truth, data := mat.NewDense(1, n, nil), mat.NewDense(1, n, nil)
	field.Draw(truth, rand.NewPCG(1, 0))
	mean.Apply(data, truth)
	noise := rand.New(rand.NewPCG(2, 0))
	for i := range n {
		data.Set(0, i, data.At(0, i)+sigma*noise.NormFloat64())
	}
	lik, err := likelihood.NewGaussian(mean, data.RawRowView(0), sigma)
	if err != nil {
		log.Fatal(err)
	}

	// Its solution in closed form.
	exact, err := posterior.NewGaussian(field, lik)
	if err != nil {
		log.Fatal(err)
	}
	var _ inverse.Sampler = exact // every route ends in one

	// And by the No-U-Turn sampler, which needs the density alone.
	post, err := posterior.New(field, lik)
	if err != nil {
		log.Fatal(err)
	}
	run, err := sampler.Run(ctx, post, &sampler.NUTS{}, &sampler.Settings{Src: rand.NewPCG(3, 0)})
	if err != nil {
		log.Fatal(err)
	}
	summary := run.Summary()

	variance, err := exact.Variance(nil)
	if err != nil {
		log.Fatal(err)
	}
	var worst float64 // difference of the means, in Monte Carlo standard errors
	for i, m := range exact.Mean(nil) {
		p := summary.Params[i]
		worst = max(worst, (p.Mean-m)/p.MCSE, (m-p.Mean)/p.MCSE)
	}
	fmt.Println("converged:", summary.Converged())
	fmt.Println("means agree:", worst < 4)
	fmt.Println("the data inform:", variance[n/2] < field.Variance(nil)[n/2]/10)
	// Output:
	// converged: true
	// means agree: true
	// the data inform: true
}
