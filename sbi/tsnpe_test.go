package sbi_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// TestTSNPE has a posterior that is a thousandth as wide as the prior in each
// of two parameters, which one round of as many simulations cannot resolve.
func TestTSNPE(t *testing.T) {
	if testing.Short() {
		t.Skip("trains several flows")
	}
	ctx := context.Background()
	pri, err := prior.NewBox([]float64{-10, -10}, []float64{10, 10}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const sigma = 0.02
	sim := sbi.NewSimulator(2, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
		r := rand.New(src)
		y[0] = theta[0] + sigma*r.NormFloat64()
		y[1] = theta[1] - 0.1*theta[0]*theta[0] + sigma*r.NormFloat64()
		return nil
	})
	y := []float64{2, 1}
	var kept []float64
	opt := &sbi.TSNPEOptions{Flow: flow.MAF{Transforms: 3, Hidden: []int{32, 32}}, Fit: &flow.FitOptions{Rate: 2e-3, Batch: 100, Patience: 15}, Src: rng.New(1, 0),
		Progress: func(p sbi.TSNPEProgress) { kept = append(kept, p.Kept) }}
	npe, table, err := sbi.TSNPE(ctx, pri, sim, y, 3000, opt)
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 3000 || len(kept) != 5 || kept[0] != 1 || kept[4] > 1e-3 {
		t.Errorf("%d simulations, shares of the prior %v", table.Len(), kept)
	}
	post := npe.Given(y)
	draws := mat.NewDense(4000, 2, nil)
	if err := post.SampleFrom(ctx, draws, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	// θ₁ ~ N(2, σ²), θ₂ given θ₁ ~ N(1 + 0.1θ₁², σ²).
	for j, want := range []struct{ mean, sd float64 }{{2, sigma}, {1.4, sigma * math.Sqrt(1+0.16)}} {
		m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
		if math.Abs(m-want.mean) > 0.5*want.sd || sd < 0.75*want.sd || sd > 1.5*want.sd {
			t.Errorf("theta%d: mean %.4f sd %.4f, exact %.4f %.4f", j+1, m, sd, want.mean, want.sd)
		}
	}
	for want, f := range map[string]func() error{
		"want 2 finite numbers": func() error { _, _, err := sbi.TSNPE(ctx, pri, sim, y[:1], 3000, nil); return err },
		"want at least 20":      func() error { _, _, err := sbi.TSNPE(ctx, pri, sim, y, 30, nil); return err },
		"Epsilon is 2":          func() error { _, _, err := sbi.TSNPE(ctx, pri, sim, y, 300, &sbi.TSNPEOptions{Epsilon: 2}); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

var (
	benchTasks   = flag.String("sbibm.tasks", "", "tasks of TestSBIBM, separated by commas, or all")
	benchBudgets = flag.String("sbibm.budgets", "1000,10000", "numbers of simulations")
	benchMethods = flag.String("sbibm.methods", "NPE,TSNPE", "methods")
)

// TestSBIBM prints a table of the C2ST between learned posteriors and the
// reference draws of the benchmark, for observations 1 to 3:
//
//	go test -run TestSBIBM -v -timeout 0 ./sbi -args -sbibm.tasks all
//
// A method trains a MAF and an NSF and takes the one of the lower loss on the
// rows for validation.
func TestSBIBM(t *testing.T) {
	if *benchTasks == "" {
		t.Skip("takes minutes to hours; set -sbibm.tasks")
	}
	names := strings.Split(*benchTasks, ",")
	if *benchTasks == "all" {
		names = tasks.Names()
	}
	ctx := context.Background()
	for _, name := range names {
		task := newTask(t, name)
		for _, text := range strings.Split(*benchBudgets, ",") {
			budget, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, method := range strings.Split(*benchMethods, ",") {
				start := time.Now()
				var scores []string
				var mean float64
				var npe *sbi.NeuralPosterior
				var chosen flow.Architecture
				for number := 1; number <= 3; number++ {
					y, want := benchmarkObservation(t, name, number)
					best := math.Inf(1)
					for _, arch := range []flow.Architecture{flow.MAF{}, flow.NSF{}} {
						var q *sbi.NeuralPosterior
						switch {
						case method == "TSNPE":
							q, _, err = sbi.TSNPE(ctx, task.Prior, task, y, budget, &sbi.TSNPEOptions{Flow: arch, Src: rng.New(2, uint64(number))})
						case number == 1:
							q, err = sbi.NPE(ctx, task.Prior, simulate(t, task, budget), &sbi.NPEOptions{Flow: arch, Src: rng.New(2, 0)})
						default:
							continue // amortised
						}
						if err != nil {
							t.Fatal(err)
						}
						if nll := q.Flow.(*flow.Flow).Report().ValidNLL; nll < best {
							best, npe, chosen = nll, q, arch
						}
					}
					n, d := want.Dims()
					draws := mat.NewDense(n, d, nil)
					if err := npe.Given(y).SampleFrom(ctx, draws, rng.New(3, uint64(number))); err != nil {
						t.Fatal(err)
					}
					res, err := sbi.C2ST(ctx, want, draws, &sbi.C2STOptions{Src: rng.New(4, uint64(number))})
					if err != nil {
						t.Fatal(err)
					}
					scores = append(scores, fmt.Sprintf("%.3f", res.Accuracy))
					mean += res.Accuracy / 3
				}
				t.Logf("%-24s %7d  %-6s %.3f  %v  %T  %.0f s", name, budget, method, mean, scores, chosen, time.Since(start).Seconds())
			}
		}
	}
}

// benchmarkObservation is benchmark for the variants of tasks as well.
func benchmarkObservation(t testing.TB, name string, number int) (y []float64, draws *mat.Dense) {
	dir := "../../shared/data/sbibm/"
	switch name {
	case "slcp_distractors":
		_, draws = benchmark(t, "slcp", number)
		return readNumbers(t, fmt.Sprintf("%sslcp/%d/observation_distractors.csv", dir, number), 1).RawRowView(0), draws
	case "bernoulli_glm_raw":
		_, draws = benchmark(t, "bernoulli_glm", number)
		return readNumbers(t, fmt.Sprintf("%sbernoulli_glm/%d/observation_raw.csv", dir, number), 1).RawRowView(0), draws
	}
	return benchmark(t, name, number)
}
