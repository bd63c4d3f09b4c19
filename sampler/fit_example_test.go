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
	// slope    1.0675  0.4474   0.2944   1.0594   1.7961
	// offset  -1.9307  0.4567  -2.6907  -1.9297  -1.2018
	//
	// ADVI, mean-field normal: ELBO -0.86 ± 0.03, log evidence 0.01.
	// PSIS k-hat 0.83 (above 0.67): A BAD APPROXIMATION. Try a richer family, or NUTS.
	//
	//            mean      sd       5%      50%      95%
	// slope    0.9972  0.9952  -0.6233   1.0153   2.7169
	// offset  -2.0084  0.9913  -3.5930  -2.0492  -0.3809
	//
	// ADVI, full-rank normal: ELBO -0.00 ± 0.00, log evidence -0.00.
	// PSIS k-hat -0.39 (at most 0.67): good where its draws are.
}
