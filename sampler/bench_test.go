package sampler

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/go-inverse/inverse/internal/posteriordb"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// round is N(0, I), and measures the time spent in itself.
type round struct {
	d int
}

func (r *round) Dim() int { return r.d }
func (r *round) LogProb(x []float64) float64 {
	return -floats.Dot(x, x) / 2
}
func (r *round) ScoreInput(g, x []float64) []float64 {
	floats.ScaleTo(g, -1, x)
	return g
}
func (r *round) LogProbScore(g, x []float64) float64 {
	floats.ScaleTo(g, -1, x)
	return -floats.Dot(x, x) / 2
}

// BenchmarkLeapfrogOverhead measures the time of a leapfrog of NUTS outside
// the target, in passes over the state vector: one pass is y += a g, the update
// that leapfrogs are made of, by gonum. The bound is 15 passes and a
// tenth of a microsecond: "passes" is what is left when that is taken off.
func BenchmarkLeapfrogOverhead(b *testing.B) {
	for _, d := range []int{3, 10, 30, 60, 100, 1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("d=%d", d), func(b *testing.B) {
			density := &round{d}
			t, err := NewTarget(density, d, nil)
			if err != nil {
				b.Fatal(err)
			}
			// Trajectories of 63 leapfrogs, as far as they do not turn.
			st, err := (&NUTS{StepSize: 0.02, MaxDepth: 6}).New(t, 0)
			if err != nil {
				b.Fatal(err)
			}
			rnd := rand.New(rng.New(1, 0))
			x := make([]float64, d)
			normals(x, rnd)
			if err := st.Set(x); err != nil {
				b.Fatal(err)
			}
			g, y := make([]float64, d), make([]float64, d)
			var info Info
			step := func() int {
				info = Info{}
				if err := st.Step(rnd, &info); err != nil {
					b.Fatal(err)
				}
				return info.Leapfrogs
			}
			for range 20 {
				step()
			}
			b.ResetTimer()
			// Medians, because a machine has other things to do.
			var overhead, pass []float64
			sink := 0.0
			for range b.N {
				t0 := time.Now()
				n := step()
				t1 := time.Now()
				for range n {
					sink += density.LogProbScore(g, x)
				}
				t2 := time.Now()
				for range n {
					floats.AddScaled(y, 1e-9, g)
				}
				t3 := time.Now()
				overhead = append(overhead, float64(t1.Sub(t0)-t2.Sub(t1))/float64(n))
				pass = append(pass, float64(t3.Sub(t2))/float64(n))
			}
			runtime.KeepAlive(sink)
			slices.Sort(overhead)
			slices.Sort(pass)
			ns, perPass := overhead[len(overhead)/2], pass[len(pass)/2]
			b.ReportMetric(ns, "ns/leapfrog")
			b.ReportMetric(perPass, "ns/pass")
			b.ReportMetric((ns-100)/perPass, "passes")
		})
	}
}

// BenchmarkTwoChains measures how much faster two chains run on two cores than
// one after the other: the median of pairs of runs, because clocks drift.
// Their trajectories are of one length, or the longer chain would be measured.
func BenchmarkTwoChains(b *testing.B) {
	density := &round{200}
	init := mat.NewDense(2, density.d, nil)
	normals(init.RawMatrix().Data, rand.New(rng.New(2, 0)))
	run := func(workers int) time.Duration {
		t0 := time.Now()
		_, err := Run(context.Background(), density, &NUTS{StepSize: 0.3},
			&Settings{Chains: 2, Workers: workers, Warmup: -1, Draws: 2000, Init: init, Src: rng.New(1, 0)})
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(t0)
	}
	run(2)
	var speedup []float64
	for b.Loop() {
		speedup = append(speedup, float64(run(1))/float64(run(2)))
	}
	slices.Sort(speedup)
	b.ReportMetric(speedup[len(speedup)/2], "speedup")
}

// BenchmarkPosteriordb runs four chains of NUTS, 400 iterations of warm-up and
// 1000 draws, on the ten reference posteriors, and reports the least bulk ESS
// of an unconstrained coordinate for each second of the run, warm-up included,
// and for each 1000 gradients of the draws.
func BenchmarkPosteriordb(b *testing.B) {
	dir := filepath.Dir(shared(b, "posteriordb", "arK-arK.json"))
	for _, name := range posteriordb.Names() {
		p, err := posteriordb.Open(dir, name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var perSecond, perGradient []float64
			for i := range b.N {
				t0 := time.Now()
				r := mustRun(b, p, &NUTS{}, &Settings{Warmup: 400, Src: rng.New(61, uint64(i))})
				seconds := time.Since(t0).Seconds()
				leapfrogs := 0.0
				for _, s := range r.Stats {
					leapfrogs += mat.Sum(s.ColView(statLeapfrogs))
				}
				least := math.Inf(1)
				for _, q := range r.Summary().Params {
					least = min(least, q.ESSBulk)
				}
				perSecond = append(perSecond, least/seconds)
				perGradient = append(perGradient, 1000*least/leapfrogs)
			}
			slices.Sort(perSecond)
			slices.Sort(perGradient)
			b.ReportMetric(perSecond[b.N/2], "ESS/s")
			b.ReportMetric(perGradient[b.N/2], "ESS/kgrad")
		})
	}
}
