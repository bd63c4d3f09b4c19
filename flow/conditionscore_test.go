package flow

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// Gradients in the condition are those of central differences, for every
// architecture that has them, an ensemble, a target space and an embedding.
func TestConditionScore(t *testing.T) {
	ctx := context.Background()
	const n, dy = 200, 3
	x, y := mat.NewDense(n, 2, nil), mat.NewDense(n, dy, nil)
	rng.FillNormal(y.RawMatrix().Data, rng.New(1, 0))
	for i := range n {
		x.Set(i, 0, math.Exp(y.At(i, 0)+0.3*y.At(i, 2)))
		x.Set(i, 1, y.At(i, 1)*y.At(i, 0))
	}
	halfLine, err := prior.Interval([]float64{0, math.Inf(-1)}, []float64{math.Inf(1), math.Inf(1)})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		arch  Architecture
		embed Embedding
		n     int
	}{
		"MAF":                {MAF{Transforms: 2, Hidden: []int{8}}, nil, 1},
		"NSF":                {NSF{Transforms: 2, Width: 8}, nil, 1},
		"autoregressive NSF": {NSF{Transforms: 2, Width: 8, Autoregressive: true}, nil, 1},
		"independent NSF":    {NSF{Transforms: 2, Width: 8, Independent: true}, nil, 1},
		"Coupling":           {Coupling{Transforms: 2, Width: 8}, nil, 1},
		"MDN":                {MDN{Components: 2, Hidden: []int{8}}, nil, 1},
		"PCPMap":             {PCPMap{}, nil, 1},
		"ensemble":           {MAF{Transforms: 2, Hidden: []int{8}}, nil, 3},
		"embedding":          {MAF{Transforms: 1, Hidden: []int{8}}, MLP{Hidden: []int{6}, Features: 2}, 1},
	} {
		e, err := FitEnsemble(ctx, c.arch, c.n, x, y, &FitOptions{Epochs: 3, Float64: true, Transform: halfLine, Embedding: c.embed, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(name, err)
		}
		l, score, want := make([]float64, n), mat.NewDense(n, dy, nil), make([]float64, n)
		if err := e.ConditionScore(l, score, x, y); err != nil {
			t.Fatal(name, err)
		}
		e.LogProb(want, x, y)
		for i := range 20 {
			if math.Abs(l[i]-want[i]) > 1e-9 {
				t.Errorf("%s, row %d: log density %g, want %g", name, i, l[i], want[i])
			}
			at := x.Slice(i, i+1, 0, 2).(*mat.Dense)
			var v [1]float64
			g := fd.Gradient(nil, func(y []float64) float64 {
				e.LogProb(v[:], at, mat.NewDense(1, dy, y))
				return v[0]
			}, y.RawRowView(i), &fd.Settings{Formula: fd.Central, Step: 1e-5})
			for j := range g {
				if s := score.At(i, j); math.Abs(s-g[j]) > 1e-5*(1+math.Abs(g[j])) {
					t.Errorf("%s, row %d: ∂/∂y_%d is %g, by differences %g", name, i, j+1, s, g[j])
				}
			}
		}
	}
	x.Set(0, 0, -1) // outside of the target space
	f, err := Fit(ctx, MAF{}, x.Slice(1, n, 0, 2).(*mat.Dense), y.Slice(1, n, 0, dy).(*mat.Dense), &FitOptions{Epochs: 1, Transform: halfLine, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	l, score := make([]float64, n), mat.NewDense(n, dy, nil)
	if err := f.ConditionScore(l, score, x, y); err != nil || !math.IsInf(l[0], -1) || mat.Norm(score.RowView(0), 2) != 0 {
		t.Errorf("outside of the target space: log density %g, gradient %v, %v", l[0], score.RawRowView(0), err)
	}
	f, err = Fit(ctx, Matching{}, y, y, &FitOptions{Epochs: 1, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ConditionScore(l, score, y, y); err == nil || !strings.Contains(err.Error(), "Matching") {
		t.Errorf("error of Matching %v", err)
	}
}
