package flow

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// Draws have the density that LogProb gives: the mean and the covariance of
// draws are those of other draws weighed from a wide normal distribution, and
// Draw and Generate of normal draws agree in both.
func TestDrawsHaveTheDensity(t *testing.T) {
	x, y := pairs(400, 2, 1, 1)
	const n = 20000
	for _, a := range small {
		f := trained(t, a, x, y, FitOptions{})
		row := y.Slice(0, 1, 0, 1).(*mat.Dense)
		drawn, generated, z := mat.NewDense(n, 2, nil), mat.NewDense(n, 2, nil), mat.NewDense(n, 2, nil)
		if err := f.Draw(context.Background(), drawn, row, rng.New(1, 0)); err != nil {
			t.Fatal(err)
		}
		rng.FillNormal(z.RawMatrix().Data, rng.New(2, 0))
		f.Generate(generated, z, row)
		// E[log q(x)] is the negative entropy for both kinds of draws, and the
		// moments are the same.
		l := make([]float64, n)
		stats := func(m *mat.Dense) (s [][]float64) {
			f.LogProb(l, m, row)
			first, second := mat.Col(nil, 0, m), mat.Col(nil, 1, m)
			product := make([]float64, n)
			for i := range product {
				product[i] = (first[i] - 10) * (second[i] - 10)
			}
			return [][]float64{append([]float64(nil), l...), first, second, product}
		}
		sd, sg := stats(drawn), stats(generated)
		for k, what := range []string{"log density", "x₀", "x₁", "x₀x₁"} {
			md, vd := stat.MeanVariance(sd[k], nil)
			mg, vg := stat.MeanVariance(sg[k], nil)
			if z := (md - mg) / math.Sqrt((vd+vg)/n); !(math.Abs(z) < 4) {
				t.Errorf("%s: means of %s are %g of Draw and %g of Generate, %.1f standard errors apart", name(a), what, md, mg, z)
			}
		}
	}
}

func TestGiven(t *testing.T) {
	x, y := pairs(200, 2, 3, 1)
	f := trained(t, NSF{Transforms: 2, Width: 10}, x, y, FitOptions{Epochs: 2})
	p := Given(f, y.RawRowView(4))
	// The density of a single row is that of many with y repeated.
	l, many := make([]float64, 200), mat.NewDense(200, 3, nil)
	for i := range 200 {
		many.SetRow(i, y.RawRowView(4))
	}
	f.LogProb(l, x, many)
	for i := range 200 {
		if got := p.LogProb(x.RawRowView(i)); math.Abs(got-l[i]) > 1e-5*(1+math.Abs(l[i])) {
			t.Errorf("LogProb of row %d is %g, in a batch %g", i, got, l[i])
		}
	}
	// Nor does it matter to draws whether all rows of y are the same.
	z, same, mixed := mat.NewDense(200, 2, nil), mat.NewDense(200, 2, nil), mat.NewDense(200, 2, nil)
	rng.FillNormal(z.RawMatrix().Data, rng.New(3, 0))
	f.Generate(same, z, many)
	many.SetRow(199, y.RawRowView(5))
	f.Generate(mixed, z, many)
	for i := range 199 {
		for j, v := range same.RawRowView(i) {
			if w := mixed.At(i, j); math.Abs(v-w) > 1e-5*(1+math.Abs(w)) {
				t.Errorf("draw %d is %v, next to one given another y %v", i, same.RawRowView(i), mixed.RawRowView(i))
			}
		}
	}
	if mat.EqualApprox(same.Slice(199, 200, 0, 2), mixed.Slice(199, 200, 0, 2), 1e-3) {
		t.Error("y makes no difference to draw 199")
	}
	// Nor does it to the gradient in y.
	one, score := mat.NewDense(1, 3, nil), mat.NewDense(200, 3, nil)
	for i := range 200 {
		many.SetRow(i, y.RawRowView(4))
	}
	if err := f.ConditionScore(l, score, x, many); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := f.ConditionScore(l[:1], one, x.Slice(i, i+1, 0, 2).(*mat.Dense), many.Slice(0, 1, 0, 3).(*mat.Dense)); err != nil {
			t.Fatal(err)
		}
		if !mat.EqualApprox(one, score.Slice(i, i+1, 0, 3), 1e-4) {
			t.Fatalf("the gradient of row %d is %v, in a batch %v", i, one.RawRowView(0), score.RawRowView(i))
		}
	}
	draw := func(p *Posterior) []float64 {
		m := mat.NewDense(600, 2, nil)
		p.Src = rng.New(1, 0)
		if err := p.Sample(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		return m.RawMatrix().Data
	}
	a, b := draw(p), draw(Given(f, y.RawRowView(4)))
	for i, v := range a {
		if v != b[i] {
			t.Fatal("the same source gives other draws")
		}
	}
	bad := Given(f, []float64{1, math.NaN(), 0})
	if err := bad.Sample(context.Background(), mat.NewDense(3, 2, nil)); err == nil || !strings.Contains(err.Error(), "y[1] is NaN") {
		t.Errorf("error is %v", err)
	}
	if l := bad.LogProb([]float64{0, 0}); !math.IsInf(l, -1) {
		t.Errorf("LogProb is %g for a y with NaN", l)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Sample(ctx, mat.NewDense(10, 2, nil)); err != context.Canceled {
		t.Errorf("error is %v", err)
	}
	if err := Given(f, []float64{1, 2}).Sample(context.Background(), mat.NewDense(3, 2, nil)); err == nil || !strings.Contains(err.Error(), "y has 2 elements, want 3") {
		t.Errorf("error is %v", err)
	}
}
