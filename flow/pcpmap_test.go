package flow

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// The gradient of the loss by central differences, and the Hessian as the
// derivative of the gradient, which is symmetric and positive definite.
func TestPCPMapDerivatives(t *testing.T) {
	const rows, d, dc = 4, 3, 2
	p := nn.NewParams[float64](rng.New(1, 0))
	a, _ := PCPMap{Layers: 3, Width: 6, ContextWidth: 5}.resolve(d, dc)
	n := newPCPMap(p, a.(PCPMap), d, dc)
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rng.New(2, 0))
	for i := range p.Values {
		p.Values[i] += 0.3 * r.NormFloat64()
	}
	n.project(p.Values)
	x, c := normals(rows*d, 3), normals(rows*dc, 4)
	var tape autodiff.Tape[float64]
	loss := func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var { return n.loss(t, nil, x, c) }
	_, grad, _ := lossAndGradient(&tape, p.Values, x, c, rows, loss)
	for seed := range uint64(5) {
		dir := normals(len(grad), 10+seed)
		for i, v := range p.Values {
			if v == 0 {
				dir[i] = 0 // a W at its bound
			}
		}
		const h = 1e-4
		at := func(h float64) float64 {
			q := append([]float64(nil), p.Values...)
			floats.AddScaled(q, h, dir)
			l, _, _ := lossAndGradient(&tape, q, x, c, rows, loss)
			return l
		}
		want := floats.Dot(dir, grad)
		got := (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
		if math.Abs(got-want) > 1e-7*math.Abs(want) {
			t.Errorf("derivative in direction %d is %.12g, by differences %.12g", seed, want, got)
		}
	}
	derivatives := func(x []float64) (grad, hess []float64) {
		tape.Reset(p.Values, nil)
		xv, cv := tape.Input(rows, d), tape.Input(rows, dc)
		copy(tape.Value(xv), x)
		copy(tape.Value(cv), c)
		at := n.condition(&tape, cv, rows)
		g, h := n.derivatives(&tape, xv, &at)
		return append([]float64(nil), tape.Value(g)...), append([]float64(nil), tape.Value(h)...)
	}
	_, hess := derivatives(x)
	for j := range d {
		const h = 1e-3
		moved := append([]float64(nil), x...)
		shift := func(h float64) []float64 {
			for i := range rows {
				moved[i*d+j] = x[i*d+j] + h
			}
			g, _ := derivatives(moved)
			return g
		}
		diff := make([]float64, rows*d)
		floats.AddScaled(diff, 8, shift(h))
		floats.AddScaled(diff, -8, shift(-h))
		floats.AddScaled(diff, -1, shift(2*h))
		floats.AddScaled(diff, 1, shift(-2*h))
		for i := range rows {
			for k := range d {
				got, want := hess[i*d*d+k*d+j], diff[i*d+k]/(12*h)
				if math.Abs(got-want) > 1e-8*(1+math.Abs(want)) || got != hess[i*d*d+j*d+k] && math.Abs(got-hess[i*d*d+j*d+k]) > 1e-14*math.Abs(got) {
					t.Errorf("row %d: Hessian element %d, %d is %g, by differences %g", i, k, j, got, want)
				}
			}
		}
	}
	for i := range rows {
		var chol mat.Cholesky
		if !chol.Factorize(mat.NewSymDense(d, hess[i*d*d:(i+1)*d*d])) {
			t.Errorf("row %d: the Hessian is not positive definite", i)
		}
	}
}

// The gradient of a density of atoms has jumps, which Newton's method must find.
func TestPCPMapAtoms(t *testing.T) {
	r := rand.New(rng.New(1, 0))
	x, y := mat.NewDense(1000, 3, nil), mat.NewDense(1000, 2, nil)
	for i := range 1000 {
		a, b, c := float64(r.IntN(3)), float64(r.IntN(3)), float64(r.IntN(3))
		x.SetRow(i, []float64{a, b, c})
		y.SetRow(i, []float64{a + b, b*c + a})
	}
	f := trained(t, PCPMap{}, x, y, FitOptions{Epochs: 100})
	const n = 4000
	draws, z := mat.NewDense(n, 3, nil), mat.NewDense(n, 3, nil)
	given := mat.NewDense(n, 2, nil)
	for i := range n {
		given.SetRow(i, y.RawRowView(i%1000))
	}
	if err := f.Draw(context.Background(), draws, given, rng.New(2, 0)); err != nil {
		t.Fatal(err)
	}
	near := 0
	for _, v := range draws.RawMatrix().Data {
		if math.Abs(v-math.Round(v)) < 0.1 {
			near++
		}
	}
	if near < 3*n*4/5 {
		t.Errorf("%d of %d numbers of the draws are near atoms: the test is of another density", near, 3*n)
	}
	f.Invert(z, nil, draws, given)
	for j := range 3 {
		m, sd := stat.MeanStdDev(mat.Col(nil, j, z), nil)
		if se := 1 / math.Sqrt(n); math.Abs(m) > 4*se || math.Abs(sd-1) > 4*se/math.Sqrt2 {
			t.Errorf("z of variable %d has mean %.3f and sd %.3f", j, m, sd)
		}
	}
}

// Far out in the tails, and in float32, Newton's method still converges.
func TestPCPMapNewton(t *testing.T) {
	x, y := pairs(500, 3, 2, 1)
	f := trained(t, PCPMap{Width: 32}, x, y, FitOptions{Epochs: 20})
	const n = 1000
	z, draws, back := mat.NewDense(n, 3, nil), mat.NewDense(n, 3, nil), mat.NewDense(n, 3, nil)
	rng.FillNormal(z.RawMatrix().Data, rng.New(2, 0))
	z.Scale(3, z)
	at := y.Slice(0, 1, 0, 2).(*mat.Dense)
	f.Generate(draws, z, at)
	f.Invert(back, nil, draws, at)
	for i := range n {
		if d := floats.Distance(back.RawRowView(i), z.RawRowView(i), 2); !(d < 1e-3*(1+floats.Norm(z.RawRowView(i), 2))) {
			t.Fatalf("z = %v comes back as %v", z.RawRowView(i), back.RawRowView(i))
		}
	}
	nan := mat.NewDense(1, 3, []float64{math.NaN(), 0, 0})
	f.Generate(nan, mat.DenseCopyOf(nan), at)
	if !math.IsNaN(nan.At(0, 0)) {
		t.Errorf("draw for z = NaN is %v", nan.RawRowView(0))
	}
	if err := f.Draw(context.Background(), draws, mat.NewDense(1, 2, []float64{math.NaN(), 0}), nil); err == nil {
		t.Error("no error for a draw given y = NaN")
	}
}
