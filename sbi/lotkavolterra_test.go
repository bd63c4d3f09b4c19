package sbi_test

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/sbi"
)

// gillespieReferences are the moments of log θ given the two observations of
// the stochastic Lotka-Volterra system, of weighted samples of 4000 particles
// that another program drew by SMC-ABC down to the given tolerance. Distances
// are Euclidean, of statistics over their prior predictive standard deviations.
var gillespieReferences = []struct {
	epsilon  float64
	mean, sd []float64
	corr     [2]float64 // of log θ₁ and log θ₂, and log θ₃ and log θ₄
}{
	{0.0918, []float64{-4.557, -0.727, 0.303, -4.372}, []float64{0.135, 0.178, 0.208, 0.172}, [2]float64{0.86, 0.88}},
	{0.0771, []float64{-3.958, -4.170, -2.823, -3.843}, []float64{0.121, 0.153, 1.360, 0.158}, [2]float64{0.14, 0.55}},
}

// gillespieScale returns the prior predictive standard deviations.
func gillespieScale(t testing.TB, g *tasks.Gillespie) []float64 {
	t.Helper()
	table, err := sbi.Simulate(context.Background(), g.Prior(), g, 57_000, &sbi.SimulateOptions{Policy: sbi.Record, Src: rng.New(31, 0)})
	if err != nil {
		t.Fatal(err)
	}
	valid := table.Valid()
	scale := make([]float64, 9)
	for j := range scale {
		scale[j] = stat.PopStdDev(mat.Col(nil, j, valid.Y), nil)
	}
	return scale
}

// TestGillespieSMCABC draws the reference posteriors anew, at the same
// tolerances, and holds their moments to the other program's. It needs some
// tens of millions of simulations.
func TestGillespieSMCABC(t *testing.T) {
	if !slow() {
		t.Skip("an hour or less; set INVERSE_SLOW=1")
	}
	g := new(tasks.Gillespie)
	scale := gillespieScale(t, g)
	for k, ref := range gillespieReferences {
		y, _, err := g.Observation(k + 1)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sbi.SMCABC(context.Background(), g.Prior(), g, y, &sbi.SMCABCOptions{
			Particles: 2000, Epsilon: ref.epsilon, MaxSimulations: 200_000_000, Scale: scale, Src: rng.New(32, uint64(k)),
			Progress: func(p sbi.SMCABCProgress) { t.Logf("observation %d: %+v", k+1, p) },
		})
		if err != nil {
			t.Fatal(err)
		}
		mean, sd := s.Moments()
		t.Logf("observation %d: tolerance %.4f, %d simulations, ESS %.0f, mean %.3f, sd %.3f", k+1, s.Epsilon, s.Simulations, s.ESS(), mean, sd)
		if s.Epsilon != ref.epsilon {
			t.Errorf("observation %d: tolerance %g, want %g", k+1, s.Epsilon, ref.epsilon)
		}
		for j := range mean {
			if math.Abs(mean[j]-ref.mean[j]) > 0.1*ref.sd[j] || math.Abs(sd[j]/ref.sd[j]-1) > 0.1 {
				t.Errorf("observation %d, log θ%d: mean %.3f sd %.3f, reference %.3f %.3f", k+1, j+1, mean[j], sd[j], ref.mean[j], ref.sd[j])
			}
		}
		for p, want := range ref.corr {
			a, b := mat.Col(nil, 2*p, s.Theta), mat.Col(nil, 2*p+1, s.Theta)
			if c := stat.Correlation(a, b, s.Weight); math.Abs(c-want) > 0.05 {
				t.Errorf("observation %d: correlation of log θ%d and log θ%d %.3f, reference %.2f", k+1, 2*p+1, 2*p+2, c, want)
			}
		}
	}
}
