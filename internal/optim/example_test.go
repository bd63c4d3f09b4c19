package optim_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// A network learns the function x² on [-1, 1].
func Example() {
	const n = 256
	xs, ys := make([]float32, n), make([]float32, n)
	for i := range xs {
		xs[i] = 2*float32(i)/(n-1) - 1
		ys[i] = xs[i] * xs[i]
	}
	p := nn.NewParams[float32](rng.New(1, 0))
	net := nn.NewMLP(p, "net", 1, 1, &nn.MLPOptions{Hidden: []int{32, 32}, Act: kernel.Tanh})
	train, valid := optim.Split(n, 0.1, rng.New(2, 0))
	tr, err := optim.NewTrainer(p.Values, func(t *autodiff.Tape[float32], b *optim.Block) autodiff.Var {
		x, y := t.InputRows(xs, 1, b.Rows), t.InputRows(ys, 1, b.Rows)
		return t.Square(t.Sub(net.Forward(t, x), y))
	}, train, valid, &optim.Settings{Batch: 64, Epochs: 300, Schedule: optim.Cosine{}, Adam: optim.Adam{Rate: 1e-2}, Src: rng.New(3, 0)})
	if err != nil {
		log.Fatal(err)
	}
	report, err := tr.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	last := report.Curve[len(report.Curve)-1]
	fmt.Println(report.Steps, "steps,", report.Reason)
	fmt.Println("root mean square error below 0.01:", last.Best < 1e-4)
	// Output:
	// 1200 steps, all steps are done
	// root mean square error below 0.01: true
}
