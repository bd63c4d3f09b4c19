package sampler_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/sampler"
)

// A correlated normal density is in the full-rank family, and not in the
// mean-field one.
func ExampleFit() {
	target, _ := distmv.NewNormal([]float64{1, -2}, mat.NewSymDense(2, []float64{1, 0.9, 0.9, 1}), nil)
	for _, form := range []sampler.Form{sampler.MeanField, sampler.FullRank} {
		a, err := sampler.Fit(context.Background(), target, &sampler.ADVI{Form: form}, &sampler.FitOptions{
			Names: []string{"slope", "offset"},
			Src:   rand.NewPCG(1, 1),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(a)
	}
	// Output:
	//            mean      sd       5%      50%      95%
	// slope    1.1075  0.4462   0.3365   1.0994   1.8342
	// offset  -1.9031  0.4561  -2.6622  -1.9021  -1.1751
	//
	// ADVI, mean-field normal: ELBO -0.86 ± 0.03, log evidence 0.03.
	// PSIS k-hat 0.82 (above 0.67): A BAD APPROXIMATION. Try a richer family, or NUTS.
	//
	//           mean      sd       5%     50%     95%
	// slope   0.9476  0.9933  -0.7688  0.9295  2.5651
	// offset  -2.029   1.008   -3.741  -2.019  -0.346
	//
	// ADVI, full-rank normal: ELBO -0.01 ± 0.00, log evidence -0.00.
	// PSIS k-hat -0.11 (at most 0.67): good where its draws are.
}
