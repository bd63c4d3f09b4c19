package sbi_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/sbi"
)

func TestPosteriorPredictive(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	ctx := context.Background()
	y := []float64{1.2, -0.3}
	post, err := l.exact(0.5)(y)
	if err != nil {
		t.Fatal(err)
	}
	opt := &sbi.PredictiveOptions{Draws: 2000, Src: rng.New(1, 0)}
	c, err := sbi.PosteriorPredictive(ctx, post, model.Simulator, y, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Pass() || !strings.Contains(c.String(), "the data are among") {
		t.Errorf("data of the model: %v", c)
	}
	// The posterior given other data.
	if c, err = sbi.PosteriorPredictive(ctx, post, model.Simulator, []float64{5, 5}, opt); err != nil || c.Pass() || c.Tail[0] > 2./2001+1e-12 {
		t.Errorf("other data: %v, %v", c, err)
	}
	bad := errors.New("no")
	failing := sbi.NewSimulator(2, 2, func(context.Context, []float64, []float64, rand.Source) error { return bad })
	if _, err = sbi.PosteriorPredictive(ctx, post, failing, y, nil); !errors.Is(err, bad) {
		t.Errorf("a simulator that fails: %v", err)
	}
	if _, err = sbi.PosteriorPredictive(ctx, post, model.Simulator, y[:1], nil); err == nil {
		t.Error("too few data: no error")
	}
}

func TestMisspecification(t *testing.T) {
	l := newLinear(t)
	model := l.model(t)
	ctx := context.Background()
	table, err := sbi.Simulate(ctx, model.Prior, model.Simulator, 800, &sbi.SimulateOptions{Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	// p-values of data of the model are uniform.
	fresh, err := sbi.Simulate(ctx, model.Prior, model.Simulator, 150, &sbi.SimulateOptions{Src: rng.New(3, 0)})
	if err != nil {
		t.Fatal(err)
	}
	low := 0
	for k := range 30 {
		res, err := sbi.Misspecification(ctx, table, fresh.Y.Slice(5*k, 5*k+5, 0, 2).(*mat.Dense), &sbi.PredictiveOptions{Src: rng.New(4, uint64(k))})
		if err != nil {
			t.Fatal(err)
		}
		if res.PValue < 0.25 {
			low++
		}
	}
	if low < 1 || low > 17 { // 7.5 ± 2.4
		t.Errorf("%d of 30 p-values below 0.25", low)
	}
	for name, y := range map[string]*mat.Dense{
		"one observation far away": mat.NewDense(1, 2, []float64{8, -8}),
		"many of one side":         mat.NewDense(8, 2, []float64{1, -1, 1.2, -1, 1, -1.1, 1, -1, 1, -0.9, 0.9, -1, 1, -1, 1, -1}),
	} {
		res, err := sbi.Misspecification(ctx, table, y, &sbi.PredictiveOptions{Src: rng.New(5, 0)})
		if err != nil || res.PValue > 0.01 || !strings.Contains(res.String(), "cannot be trusted") {
			t.Errorf("%s: %v, %v", name, res, err)
		}
	}
	if _, err := sbi.Misspecification(ctx, table, mat.NewDense(1000, 2, nil), nil); err == nil {
		t.Error("too many observations: no error")
	}
}

// TestLC2ST has a sampler that is right, one that is wrong everywhere, and one
// that is wrong on one side of the data.
func TestLC2ST(t *testing.T) {
	if testing.Short() {
		t.Skip("trains many classifiers")
	}
	l := newLinear(t)
	model := l.model(t)
	ctx := context.Background()
	table, err := sbi.Simulate(ctx, model.Prior, model.Simulator, 2000, &sbi.SimulateOptions{Src: rng.New(6, 0)})
	if err != nil {
		t.Fatal(err)
	}
	half := func(y []float64) (inverse.Sampler, error) {
		if y[0] > 0 {
			return l.exact(0.2)(y)
		}
		return l.exact(0.5)(y)
	}
	for _, test := range []struct {
		name  string
		infer sbi.Infer
		y     []float64
		right bool
	}{
		{"exact", l.exact(0.5), []float64{1, 1}, true},
		{"too narrow", l.exact(0.2), []float64{1, 1}, false},
		{"wrong on one side, there", half, []float64{1.5, 1}, false},
	} {
		res, err := sbi.LC2ST(ctx, table, test.infer, test.y, &sbi.LC2STOptions{Nulls: 40, Src: rng.New(7, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if (res.PValue >= 0.05) != test.right {
			t.Errorf("%s: %v", test.name, res)
		}
	}
}
