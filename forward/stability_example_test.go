package forward_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// The exact inverse of a matrix with a small singular value, and Tikhonov's
// map, under the same perturbations.
func ExampleStability() {
	a, err := forward.NewDense(mat.NewDense(2, 2, []float64{1, 0, 0, 0.01}))
	if err != nil {
		fmt.Println(err)
		return
	}
	inverse, _ := forward.Regularized(a, 0)
	tikhonov, _ := forward.Regularized(a, 0.1)
	report, err := forward.Stability(context.Background(), a, []float64{1, 1}, []forward.Reconstruction{
		{Name: "inverse", Map: inverse},
		{Name: "Tikhonov", Map: tikhonov},
	}, &forward.StabilityOptions{Src: rand.NewPCG(1, 2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for j, name := range report.Names {
		fmt.Printf("%-8s  clean %.2f  noise of 10 %% %.2f  Lipschitz %.2f  worst found %.2f\n",
			name, report.Clean[j], report.Error.At(3, j), report.Lipschitz[j], report.Worst[j].Gain)
	}
	// Output:
	// inverse   clean 0.00  noise of 10 % 3.48  Lipschitz 100.00  worst found 100.00
	// Tikhonov  clean 0.70  noise of 10 % 0.71  Lipschitz 0.99  worst found 0.99
}
