package diffusion

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// benchmark reports steps of draws a second with one worker and with as many
// as processors. testdata/torch_bench.py does the same in PyTorch. In three
// runs of both, in turn, on an otherwise idle machine with two Zen 4 cores,
// millions of them with both cores, here in float64, there in float32, were
//
//	              here        PyTorch 2.15   torch.compile
//	prior, d = 8  22.6-23.1   5.1-6.7        6.3-8.0
//	DPS, d = 8    10.8-10.9   1.8-2.9        3.9-5.0
//	prior, d = 80 4.1         1.1-1.9        1.5-2.3
//	DPS, d = 80   2.2-2.4     0.5-0.9        0.9-1.7
//
// and 256 images of 28×28 pixels by a U-Net, 1051 here, 536 and 646 there. In
// 80 dimensions, of the 490 ns that a core takes for a step of the prior, the
// products with the means take 200, where the processor's peak allows 140, the
// normal numbers 120 and the softmax 45.
func benchmark(b *testing.B, name string, draws, steps int, s *Reverse) {
	workers := []int{1}
	if n := runtime.GOMAXPROCS(0); n > 1 {
		workers = append(workers, n)
	}
	for _, n := range workers {
		b.Run(fmt.Sprintf("%s/workers=%d", name, n), func(b *testing.B) {
			s.Steps, s.Src, s.Workers = steps, src(1), n
			x := mat.NewDense(draws, s.Dim(), nil)
			check(b, s.Sample(context.Background(), x))
			for b.Loop() {
				check(b, s.Sample(context.Background(), x))
			}
			b.ReportMetric(float64(b.N)*float64(draws)*float64(steps)/b.Elapsed().Seconds(), "draw-steps/s")
		})
	}
}

// Ancestral sampling of a mixture of 25 components, and of its posterior by
// DPS and MMPS.
func BenchmarkMixture(b *testing.B) {
	for _, d := range []int{8, 80} {
		p := newMixture25(b, d, 2, 1)
		score, err := Diffuse(p.prior, NewVP(.1, 20))
		check(b, err)
		dps, err := NewDPS(score, p.lik)
		check(b, err)
		dps.Weight = 1e-3 // does not diverge
		mmps, err := NewMMPS(score, p.lik)
		check(b, err)
		vp := score.Schedule()
		benchmark(b, fmt.Sprintf("prior/d=%d", d), 2048, 100, &Reverse{Score: score, Solver: DDIM{Eta: 1}})
		benchmark(b, fmt.Sprintf("DPS/d=%d", d), 2048, 100, &Reverse{Score: sumOf(b, score, dps), Schedule: vp, Solver: DDIM{Eta: 1}})
		benchmark(b, fmt.Sprintf("MMPS/d=%d", d), 2048, 100, &Reverse{Score: sumOf(b, score, mmps), Schedule: vp, Solver: DDIM{Eta: 1}})
	}
}

// One filter of 2048 particles that follow MMPS.
func BenchmarkTDS(b *testing.B) {
	for _, d := range []int{8, 80} {
		p := newMixture25(b, d, 2, 1)
		mmps, err := NewMMPS(p.score, p.lik)
		check(b, err)
		s, err := NewTDS(mmps, p.lik)
		check(b, err)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("d=%d/workers=%d", d, workers), func(b *testing.B) {
				s.Filter = Filter{Particles: 2048, Src: src(1), Workers: workers}
				x := mat.NewDense(2048, d, nil)
				for b.Loop() {
					check(b, s.Sample(context.Background(), x))
				}
				b.ReportMetric(float64(b.N)*2048*100/b.Elapsed().Seconds(), "particle-steps/s")
			})
		}
	}
}

// Ancestral sampling with networks of the default size.
func BenchmarkNetwork(b *testing.B) {
	w, _ := smallNetwork(b, MLP{}, 16, TrainOptions{})
	benchmark(b, "MLP/d=16", 2048, 100, &Reverse{Score: w, Solver: DDIM{Eta: 1}})
	for _, side := range []int{8, 28} {
		w, _ := smallNetwork(b, UNet{Side: side}, side*side, TrainOptions{})
		benchmark(b, fmt.Sprintf("UNet/%d", side), 256, 4, &Reverse{Score: w, Solver: DDIM{Eta: 1}})
	}
}
