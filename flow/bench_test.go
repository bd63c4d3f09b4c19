package flow

import (
	"context"
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// The sizes of the benchmarks are those of testdata/torch_bench.py, which does
// the same with nflows and zuko: 5 variables, 10 conditions, batches of 200,
// the default architectures.
var benchmarked = []struct {
	name string
	a    Architecture
}{
	{"MAF", MAF{}},
	{"NSF", NSF{}},
	{"NSF-autoregressive", NSF{Autoregressive: true}},
	{"Coupling", Coupling{}},
	{"MDN", MDN{}},
	{"PCPMap", PCPMap{}},
	{"COT", COT{}},
}

// BenchmarkTrain reports the time of a training step.
func BenchmarkTrain(b *testing.B) {
	x, y := pairs(10000, 5, 10, 1)
	for _, c := range benchmarked {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", c.name, workers), func(b *testing.B) {
				steps, epochs := 0, 6
				if c.name == "COT" {
					epochs = 1 // as long as 6 of the others
				}
				for b.Loop() {
					f, err := Fit(context.Background(), c.a, x, y, &FitOptions{Validation: -1, Epochs: epochs, Workers: workers, Src: rng.New(1, 0)})
					if err != nil {
						b.Fatal(err)
					}
					steps += f.Report().Steps
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(steps), "µs/step")
			})
		}
	}
}

// BenchmarkSample draws 100,000 times given one y.
func BenchmarkSample(b *testing.B) {
	x, y := pairs(2000, 5, 10, 1)
	draws := mat.NewDense(100_000, 5, nil)
	for _, c := range benchmarked {
		b.Run(c.name, func(b *testing.B) {
			f := trained(b, c.a, x, y, FitOptions{Epochs: 2})
			post := Given(f, y.RawRowView(0))
			post.Src = rng.New(1, 0)
			b.ReportAllocs()
			for b.Loop() {
				if err := post.Sample(context.Background(), draws); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLogProb evaluates the density at 100,000 points.
func BenchmarkLogProb(b *testing.B) {
	x, y := pairs(2000, 5, 10, 1)
	many, _ := pairs(100_000, 5, 0, 2)
	l := make([]float64, 100_000)
	for _, c := range benchmarked {
		b.Run(c.name, func(b *testing.B) {
			post := Given(trained(b, c.a, x, y, FitOptions{Epochs: 2}), y.RawRowView(0))
			b.ReportAllocs()
			for b.Loop() {
				post.LogProbs(l, many)
			}
		})
	}
}
