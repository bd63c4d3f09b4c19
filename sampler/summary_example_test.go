package sampler_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/sampler"
)

// Two quantities by four chains, one of which has not found where the others
// are.
func ExampleSummarize() {
	rnd := rand.New(rand.NewPCG(1, 2))
	chains := make([]*mat.Dense, 4)
	for i := range chains {
		chains[i] = mat.NewDense(1000, 2, nil)
		for j := range 1000 {
			chains[i].Set(j, 0, 20+3*rnd.NormFloat64())
			chains[i].Set(j, 1, rnd.ExpFloat64())
			if i == 3 {
				chains[i].Set(j, 1, 2+rnd.ExpFloat64())
			}
		}
	}
	fmt.Print(sampler.Summarize([]string{"depth", "rate"}, chains))
	// Output:
	//          mean   MCSE     sd      5%     50%     95%  ESS bulk  ESS tail  R-hat
	// depth  20.015  0.048  3.030  15.081  20.034  24.850      4043      3894  1.002
	// rate     1.49   0.44   1.31    0.07    1.09    3.88        10        88  1.297 *
	//
	// 4 chains of 1000 draws: NOT CONVERGED.
	// R-hat is not below 1.01: the chains disagree on rate.
}

// Importance weights that the proposal's tails do not cover are found out by
// their Pareto shape.
func ExamplePSIS() {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, scale := range []float64{0.25, 1.1} {
		logWeights := make([]float64, 4000)
		for i := range logWeights {
			x := scale * rnd.NormFloat64()
			z := x / scale
			logWeights[i] = -x*x/2 + z*z/2 + math.Log(scale) // target N(0, 1)
		}
		_, khat, err := sampler.PSIS(nil, logWeights, 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("sd %g: trust the weights: %v\n", scale, khat < sampler.KHatThreshold(4000))
	}
	// Output:
	// sd 0.25: trust the weights: false
	// sd 1.1: trust the weights: true
}
