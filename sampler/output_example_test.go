package sampler_test

import (
	"fmt"
	"os"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/sampler"
)

// A file for each chain, as ArviZ's from_cmdstan and R's posterior want it.
// With a Result's statistics before the draws it is
//
//	var both mat.Dense
//	both.Augment(run.Stats[0], run.Chains[0])
//	err := sampler.WriteCSV(w, append(sampler.StatNames(), run.Names...), &both)
func ExampleWriteCSV() {
	draws := mat.NewDense(2, 3, []float64{-7.2, 0.5, 1.25, -6.9, 0.75, 1})
	if err := sampler.WriteCSV(os.Stdout, []string{"lp__", "theta[1]", "theta[2]"}, draws); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # method = sample
	// #   sample
	// #     num_samples = 2
	// #     num_warmup = 0
	// #     save_warmup = false
	// #     thin = 1
	// lp__,theta.1,theta.2
	// -7.2,0.5,1.25
	// -6.9,0.75,1
}
