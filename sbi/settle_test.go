package sbi

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
)

// TestSettle: particles with the exact likelihood of slcp, four narrow modes
// whose spreads are parameters, have the distribution of long Markov chains.
func TestSettle(t *testing.T) {
	if testing.Short() {
		t.Skip("runs long Markov chains; TestBits and TestIndependentData draw in the same way")
	}
	ctx := context.Background()
	task, err := tasks.New("slcp")
	if err != nil {
		t.Fatal(err)
	}
	theta := []float64{-2.9, -0.4, 2.9, 1.2, 2.9}
	m, d := task.Dims()
	y := make([]float64, m)
	if err := task.Simulate(ctx, y, theta, rng.New(1, 0)); err != nil {
		t.Fatal(err)
	}
	const n = 4000
	want, got := mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
	if err := task.Reference(ctx, want, y, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	tr, at := Coordinates(task.Prior), make([]float64, d)
	exact := newLearnedTarget(task.Prior, func(dst []float64, _, u *mat.Dense) error {
		for i := range dst {
			tr.Constrain(at, u.RawRowView(i))
			dst[i] = task.LogLikelihood(at, y)
		}
		return nil
	}, nil)
	if err := exact.SampleFrom(ctx, got, rng.New(3, 0)); err != nil {
		t.Fatal(err)
	}
	for j := range d {
		for name, f := range map[string]func(float64) float64{"θ": func(v float64) float64 { return v }, "|θ|": math.Abs} {
			a, b := mat.Col(nil, j, want), mat.Col(nil, j, got)
			for i := range a {
				a[i], b[i] = f(a[i]), f(b[i])
			}
			wm, ws := stat.MeanStdDev(a, nil)
			gm, gs := stat.MeanStdDev(b, nil)
			t.Logf("%s of %d: mean %.3f, want %.3f; sd %.3f, want %.3f", name, j+1, gm, wm, gs, ws)
			if off := (gm - wm) / ws; math.Abs(off) > 0.12 || math.Abs(gs/ws-1) > 0.12 {
				t.Errorf("%s of %d: the mean is off by %.2f sd, the sd is %.2f times that of Markov chains", name, j+1, off, gs/ws)
			}
		}
	}
}
