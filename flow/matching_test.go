package flow

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// The gradient of the loss agrees with central differences, by the parameters
// and by the conditions, with and without the pairing of rows and noise.
func TestMatchingGradient(t *testing.T) {
	const rows = 6
	for _, transport := range []float64{0, 0.5} {
		params := nn.NewParams[float64](rng.New(3, 0))
		f := buildMatching(params, Matching{Width: 8, Blocks: 1, Transport: transport}, 2, 3)
		r := rand.New(rng.New(3, 1))
		for i := range params.Values {
			params.Values[i] += 0.3 * r.NormFloat64()
		}
		x, c := normals(rows*2, 4), normals(rows*3, 5)
		var tape autodiff.Tape[float64]
		loss := func(params, c []float64) (float64, []float64, []float64) {
			return lossAndGradient(&tape, params, x, c, rows, func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var {
				return f.loss(t, &optim.Block{Rows: make([]int, rows), Src: rng.New(7, 0)}, x, c)
			})
		}
		_, grad, cbar := loss(params.Values, c)
		check := func(name string, at []float64, grad []float64, f func() float64) {
			for i, want := range grad {
				const h = 1e-3
				v, w := at[i], 0.0
				for k, weight := range []float64{2. / 3, -1. / 12} {
					at[i] = v + float64(k+1)*h
					w += weight / h * f()
					at[i] = v - float64(k+1)*h
					w -= weight / h * f()
				}
				at[i] = v
				if math.Abs(w-want) > 1e-7*(1+math.Abs(w)) {
					t.Errorf("transport %g: derivative by %s %d is %.10g, by differences %.10g", transport, name, i, want, w)
				}
			}
		}
		value := func() float64 { l, _, _ := loss(params.Values, c); return l }
		check("parameter", params.Values, grad, value)
		check("condition", c, cbar, value)
	}
}

// x|y ~ N(2y, 0.5²) with y ~ N(0, 1): the flow finds the condition, but not if
// rows and noise are paired by x alone, when it draws from the distribution of
// x whatever y is.
func TestMatchingCoupling(t *testing.T) {
	if testing.Short() {
		t.Skip("trains three flows")
	}
	const n = 2000
	r := rand.New(rng.New(1, 0))
	x, y := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
	for i := range n {
		v := r.NormFloat64()
		y.Set(i, 0, v)
		x.Set(i, 0, 2*v+0.5*r.NormFloat64())
	}
	bends := make(map[float64]float64)
	for _, c := range []struct {
		transport      float64
		mean, sd, wide float64 // expected at y = 1, and tolerance
	}{{0, 2, 0.5, 0.1}, {0.01, 2, 0.5, 0.15}, {1e6, 0, 2.06, 0.4}} {
		f, err := Fit(context.Background(), Matching{Width: 32, Blocks: 1, Transport: c.transport}, x, y, &FitOptions{Epochs: 40, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		draws := mat.NewDense(4000, 1, nil)
		if err := f.Draw(context.Background(), draws, mat.NewDense(1, 1, []float64{1}), rng.New(3, 0)); err != nil {
			t.Fatal(err)
		}
		m, sd := stat.MeanStdDev(draws.RawMatrix().Data, nil)
		z := mat.NewDense(200, 1, nil)
		rng.FillNormal(z.RawMatrix().Data, rng.New(4, 0))
		b := bend(t, f, z, y.Slice(0, 200, 0, 1).(*mat.Dense))
		bends[c.transport] = b
		t.Logf("transport %g: mean %.3f, sd %.3f, bend of paths %.4f", c.transport, m, sd, b)
		if math.Abs(m-c.mean) > c.wide || math.Abs(sd-c.sd) > c.wide {
			t.Errorf("transport %g: mean %.3f and standard deviation %.3f of x given y = 1, want %g and %g", c.transport, m, sd, c.mean, c.sd)
		}
	}
	// The paths of the joint coupling bend about half as much.
	if !(bends[0.01] < 0.8*bends[0]) {
		t.Errorf("paths bend by %.4f with the joint coupling, %.4f without", bends[0.01], bends[0])
	}
}
