package diffusion

import (
	"context"
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// Steps of draws a second, on all processors: ancestral sampling of a mixture
// of 25 components, of its posterior by DPS and MMPS, and with a perceptron.
func BenchmarkReverse(b *testing.B) {
	run := func(name string, s *Reverse) {
		b.Run(name, func(b *testing.B) {
			const draws = 2048
			s.Steps, s.Src = 100, src(1)
			x := mat.NewDense(draws, s.Dim(), nil)
			for b.Loop() {
				check(b, s.Sample(context.Background(), x))
			}
			b.ReportMetric(float64(b.N)*draws*float64(s.Steps)/b.Elapsed().Seconds(), "draw-steps/s")
		})
	}
	for _, d := range []int{8, 80} {
		p := newMixture25(b, d, 2, 1)
		dps, err := NewDPS(p.score, p.lik)
		check(b, err)
		dps.Weight = 1e-3 // does not diverge
		mmps, err := NewMMPS(p.score, p.lik)
		check(b, err)
		vp := p.score.Schedule()
		run(fmt.Sprintf("prior/d=%d", d), &Reverse{Score: p.score, Solver: DDIM{Eta: 1}})
		run(fmt.Sprintf("DPS/d=%d", d), &Reverse{Score: sumOf(b, p.score, dps), Schedule: vp, Solver: DDIM{Eta: 1}})
		run(fmt.Sprintf("MMPS/d=%d", d), &Reverse{Score: sumOf(b, p.score, mmps), Schedule: vp, Solver: DDIM{Eta: 1}})
	}
	w, _ := smallNetwork(b, MLP{}, 16, TrainOptions{})
	run("MLP/d=16", &Reverse{Score: w, Solver: DDIM{Eta: 1}})
}
