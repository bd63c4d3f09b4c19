package flow

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// BenchmarkCOTStep is a step of training, with Adam and the bound on weights,
// for 4 variables, 9 conditions and 8 steps of integration:
//
//	go test -run xxx -bench COTStep -cpu 1,2 ./flow
func BenchmarkCOTStep(b *testing.B) {
	for _, c := range []struct{ width, batch int }{{32, 32}, {64, 256}, {128, 256}} {
		b.Run(fmt.Sprintf("width=%d/batch=%d", c.width, c.batch), func(b *testing.B) {
			p := nn.NewParams[float32](rng.New(1, 0))
			f := buildCOT(p, COT{Width: c.width, Rank: 10, Alpha: 0.3, Beta: 1, Steps: 8, EvalSteps: 32}, 4, 9).(*cot[float32])
			n := 64 * c.batch
			x, y := convert[float32](nil, normals(4*n, 1)), convert[float32](nil, normals(9*n, 2))
			rows := make([]int, n)
			for i := range rows {
				rows[i] = i
			}
			loss := func(t *autodiff.Tape[float32], bl *optim.Block) autodiff.Var {
				return f.loss(t, bl, t.InputRows(x, 4, bl.Rows), t.InputRows(y, 9, bl.Rows))
			}
			steps := func(n int) {
				tr, err := optim.NewTrainer(p.Values, loss, rows, nil, &optim.Settings{Batch: c.batch, Steps: n, Epochs: n, Src: rng.New(2, 0)})
				if err != nil {
					b.Fatal(err)
				}
				tr.AfterStep = f.project
				if _, err := tr.Run(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			steps(2)
			b.ResetTimer()
			steps(b.N)
		})
	}
}
