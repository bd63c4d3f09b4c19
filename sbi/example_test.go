package sbi_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// The time that a falling stone takes, measured with an error, for an unknown
// height and an unknown gravity.
func ExampleSimulate() {
	pri, err := prior.NewBox([]float64{1, 9}, []float64{10, 10}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sim := sbi.NewSimulator(1, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
		height, gravity := theta[0], theta[1]
		y[0] = 2*height/gravity + 0.01*rand.New(src).NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(context.Background(), pri, sim, 1000, &sbi.SimulateOptions{Src: rand.NewPCG(1, 1)})
	if err != nil {
		log.Fatal(err)
	}
	row := table.Row(0)
	fmt.Printf("%d simulations, %d of them valid\n", table.Len(), table.Count(sbi.OK))
	fmt.Printf("the first: theta %.3f, y %.3f\n", row.Theta, row.Y)
	// Output:
	// 1000 simulations, 1000 of them valid
	// the first: theta [8.813 9.155], y [1.921]
}
