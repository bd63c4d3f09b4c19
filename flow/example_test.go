package flow_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
)

// Pairs of a parameter x ~ N(0, 1) and a measurement y = x + 0.5 noise teach
// the posterior, which is N(0.8 y, 0.2).
func Example() {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 2))
	const n = 4000
	x, y := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
	for i := range n {
		x.Set(i, 0, r.NormFloat64())
		y.Set(i, 0, x.At(i, 0)+0.5*r.NormFloat64())
	}
	f, err := flow.Fit(ctx, flow.MAF{}, x, y, &flow.FitOptions{Src: rand.NewPCG(3, 4)})
	if err != nil {
		log.Fatal(err)
	}
	post := flow.Given(f, []float64{1.5})
	post.Src = rand.NewPCG(5, 6)
	draws := mat.NewDense(10_000, 1, nil)
	if err := post.Sample(ctx, draws); err != nil {
		log.Fatal(err)
	}
	mean, variance := stat.MeanVariance(mat.Col(nil, 0, draws), nil)
	fmt.Printf("mean %.1f, variance %.1f\n", mean, variance)
	// Output: mean 1.2, variance 0.2
}
