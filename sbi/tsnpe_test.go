package sbi_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
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
	opt := &sbi.Sequential{Options: sbi.Options{Flow: flow.MAF{Transforms: 3, Hidden: []int{32, 32}}, Fit: &flow.FitOptions{Rate: 2e-3, Batch: 100, Patience: 15}, Src: rng.New(1, 0)},
		Progress: func(p sbi.Round) { kept = append(kept, p.Kept) }}
	npe, table, err := sbi.TSNPE(ctx, pri, sim, y, 3000, opt)
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 3000 || len(kept) != 5 || kept[0] != 1 || kept[4] > 1e-3 {
		t.Errorf("%d simulations, shares of the prior %v", table.Len(), kept)
	}
	// The parameters of the last round are uniform in an ellipse, where the
	// square of the distance from the middle is: its median is 0.53 of its 95 %
	// quantile, that of draws of the posterior would be 0.23.
	var squares []float64
	for i := 2400; i < 3000; i++ {
		a, b := table.Theta.At(i, 0), table.Theta.At(i, 1)
		squares = append(squares, math.Pow((a-2)/sigma, 2)+math.Pow((b-1-0.1*a*a)/sigma, 2))
	}
	slices.Sort(squares)
	if median := squares[300] / squares[570]; median < 0.38 || median > 0.62 {
		t.Errorf("the median of the squared distances is %.2f of their 95%% quantile, want about 0.53", median)
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
		"Epsilon is 2":          func() error { _, _, err := sbi.TSNPE(ctx, pri, sim, y, 300, &sbi.Sequential{Epsilon: 2}); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
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
