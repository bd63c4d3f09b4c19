package sbi_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/sbi"
)

// BenchmarkNPE trains on 10,000 simulations for a number of epochs and draws
// 10,000 times, as testdata/sbi_bench.py does with Python's sbi. Its MAF has
// three hidden layers.
func BenchmarkNPE(b *testing.B) {
	const epochs = 5
	ctx := context.Background()
	for _, name := range []string{"two_moons", "slcp"} {
		task := newTask(b, name)
		table := simulate(b, task, 10_000)
		for _, arch := range []flow.Architecture{flow.MAF{Hidden: []int{50, 50, 50}}, flow.NSF{}} {
			b.Run(fmt.Sprintf("%s/%T", name, arch), func(b *testing.B) {
				var draw time.Duration
				for range b.N {
					npe, err := sbi.NPE(ctx, task.Prior, table, &sbi.Options{Flow: arch, Fit: &flow.FitOptions{Epochs: epochs}, Src: rng.New(1, 0)})
					if err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					draws := mat.NewDense(10_000, task.Prior.Dim(), nil)
					post := npe.Given(table.Y.RawRowView(0))
					best := time.Hour
					for range 3 {
						start := time.Now()
						if err := post.SampleFrom(ctx, draws, rng.New(2, 0)); err != nil {
							b.Fatal(err)
						}
						best = min(best, time.Since(start))
					}
					draw += best
					b.StartTimer()
				}
				b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*epochs), "ms/epoch")
				b.ReportMetric(draw.Seconds()*1e3/float64(b.N), "ms/10k-draws")
			})
		}
	}
}
