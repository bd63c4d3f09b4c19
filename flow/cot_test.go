package flow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// The optimal potential from N(0, q²) to N(0, 1) in one dimension, with
// c = 1/q - 1, is Φ(x, t) = -c x²/(2(1 + c t)): it solves the equation whose
// residual is penalised, its velocity is that of particles that go straight on,
// and its divergence integrates to -log q.
func TestHJB(t *testing.T) {
	right, wrong := &transport[float64]{}, &transport[float64]{wrongSign: true}
	for _, q := range []float64{0.2, 0.9, 3} {
		c := 1/q - 1
		var logDet float64
		const steps = 200
		for step := range steps {
			for i, node := range rkNodes {
				at := (float64(step) + node) / steps
				logDet += rkWeights[i] / steps * c / (1 + c*at) // -Φ_xx
				for _, x := range []float64{-2, 0.3, 1} {
					gx, gt := -c*x/(1+c*at), c*c*x*x/(2*(1+c*at)*(1+c*at))
					if r := right.hjb(gt, gx*gx/2); math.Abs(r) > 1e-13*gt {
						t.Errorf("q = %g: residual %g at x = %g, t = %g", q, r, x, at)
					}
					if r := wrong.hjb(gt, gx*gx/2); math.Abs(r-2*gt) > 1e-13*gt {
						t.Errorf("q = %g: residual with the wrong sign %g, want %g", q, r, 2*gt)
					}
				}
			}
		}
		if want := -math.Log(q); math.Abs(logDet-want) > 1e-8 {
			t.Errorf("q = %g: log determinant %g, want %g", q, logDet, want)
		}
	}
}

// TestGaussian trains on x|y ~ N(y, (0.3 + 0.7 y²)²), y in [-1, 1], and
// compares with the map that takes it to N(0, 1).
func TestCOTGaussian(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a flow")
	}
	const n = 4000
	r := rand.New(rng.New(1, 0))
	x, y := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
	sd := func(y float64) float64 { return 0.3 + 0.7*y*y }
	for i := range n {
		v := 2*r.Float64() - 1
		y.Set(i, 0, v)
		x.Set(i, 0, v+sd(v)*r.NormFloat64())
	}
	f, err := Fit(context.Background(), COT{Width: 32, Alpha: 0.01, Steps: 6}, x, y, &FitOptions{Rate: 0.01, Epochs: 60, Patience: 5, Src: rng.New(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	// The Kullback-Leibler divergence from the truth, by as many new rows. Its
	// standard error is about 0.003.
	l := make([]float64, n)
	for i := range n {
		v := 2*r.Float64() - 1
		y.Set(i, 0, v)
		x.Set(i, 0, v+sd(v)*r.NormFloat64())
	}
	f.LogProb(l, x, y)
	kl := -floats.Sum(l) / n
	for i := range n {
		v := y.At(i, 0)
		u := (x.At(i, 0) - v) / sd(v)
		kl += (kernel.LogNormal(u) - math.Log(sd(v))) / n
	}
	if kl > 0.02 || kl < -0.01 {
		t.Errorf("divergence from the truth %g", kl)
	}
	z := mat.NewDense(n, 1, nil)
	logDet := make([]float64, n)
	f.Invert(z, logDet, x, y)
	var ez, el float64
	for i := range n {
		v := y.At(i, 0)
		dz, dl := z.At(i, 0)-(x.At(i, 0)-v)/sd(v), logDet[i]+math.Log(sd(v))
		ez += dz * dz / n
		el += dl * dl / n
	}
	if ez, el = math.Sqrt(ez), math.Sqrt(el); ez > 0.2 || el > 0.2 {
		t.Errorf("root mean square errors: z %g, log determinant %g", ez, el)
	}
	if largest, rms := InverseError(f, x, y); largest > 1e-3 || rms > 1e-4 {
		t.Errorf("inverse: largest error %g, rms %g", largest, rms)
	}
}

// bend returns how far paths are from straight lines at constant speed: the
// mean of ∫|dx/dt - (x - z)|²dt by that of |x - z|².
func bend(t testing.TB, f *Flow, z, y *mat.Dense) float64 {
	const steps = 32
	at, err := Paths(f, z, y, steps)
	if err != nil {
		t.Fatal(err)
	}
	var off, all float64
	for i := range z.RawMatrix().Rows {
		for j := range z.RawMatrix().Cols {
			chord := at[steps].At(i, j) - at[0].At(i, j)
			all += chord * chord
			for k := range steps {
				v := steps * (at[k+1].At(i, j) - at[k].At(i, j))
				off += (v - chord) * (v - chord) / steps
			}
		}
	}
	return off / all
}

// Paths are straighter with the penalty than without, and than with the one of
// the other sign.
func TestStraightPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("trains three flows")
	}
	x, y := pairs(2000, 2, 1, 3)
	z := mat.NewDense(500, 2, nil)
	rng.FillNormal(z.RawMatrix().Data, rng.New(4, 0))
	yz := y.Slice(0, 500, 0, 1).(*mat.Dense)
	bends := make(map[string]float64)
	for name, a := range map[string]COT{
		"on":    {Width: 32, Alpha: 0.1, Beta: 1},
		"off":   {Width: 32, Alpha: 0.1, Beta: -1},
		"wrong": {Width: 32, Alpha: 0.1, Beta: 1, wrongSign: true},
	} {
		f, err := Fit(context.Background(), a, x, y, &FitOptions{Rate: 0.01, Epochs: 30, Src: rng.New(6, 0)})
		if err != nil {
			t.Fatal(err)
		}
		bends[name] = bend(t, f, z, yz)
		t.Logf("penalty %s: bend %.4f, validation %.3f", name, bends[name], f.Report().ValidNLL)
	}
	if !(bends["on"] < 0.5*bends["off"] && bends["on"] < 0.5*bends["wrong"]) {
		t.Errorf("bends of paths %v", bends)
	}
}

// Training allocates nothing per step.
func TestTransportAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p, params := randomPotential(t, 2, 3, 16, 3)
	tr := &transport[float64]{potential: p, steps: 3, validSteps: 7, alpha: 0.7, beta: 0.4}
	grad := make([]float64, len(params.Values))
	x, c := normals(40, 4), normals(60, 5)
	var tape autodiff.Tape[float64]
	step := func() {
		tape.Reset(params.Values, grad)
		xv, cv := tape.Input(20, 2), tape.Input(20, 3)
		copy(tape.Value(xv), x)
		copy(tape.Value(cv), c)
		tape.Backward(tr.record(&tape, xv, cv, false), 1./20)
	}
	step()
	if n := testing.AllocsPerRun(20, step); n >= 1 {
		t.Errorf("%g allocations a step", n)
	}
}

func TestCOTErrors(t *testing.T) {
	x, y := pairs(100, 2, 1, 1)
	for _, a := range []COT{{Width: -1}, {Steps: -2}, {Alpha: math.NaN()}, {Beta: math.Inf(1)}, {Tolerance: -1}, {Tolerance: math.NaN()}} {
		if _, err := Fit(context.Background(), a, x, y, &FitOptions{Epochs: 1}); err == nil {
			t.Errorf("no error for %+v", a)
		}
	}
	f := trained(t, MDN{Hidden: []int{4}}, x, y, FitOptions{Epochs: 1})
	if _, err := Paths(f, x, y, 4); err == nil {
		t.Error("paths of a mixture")
	}
}

func ExampleCOT() {
	// x = y² + noise whose standard deviation is 0.2.
	r := rand.New(rng.New(1, 0))
	x, y := mat.NewDense(2000, 1, nil), mat.NewDense(2000, 1, nil)
	for i := range 2000 {
		v := r.NormFloat64()
		y.Set(i, 0, v)
		x.Set(i, 0, v*v+0.2*r.NormFloat64())
	}
	f, err := Fit(context.Background(), COT{Width: 32}, x, y, &FitOptions{Epochs: 30, Src: rng.New(2, 0)})
	if err != nil {
		fmt.Println(err)
		return
	}
	draws := mat.NewDense(10000, 1, nil)
	post := Given(f, []float64{1})
	post.Src = rng.New(3, 0)
	if err := post.Sample(context.Background(), draws); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("mean of x given y = 1: %.1f\n", floats.Sum(draws.RawMatrix().Data)/10000)
	// Output: mean of x given y = 1: 1.0
}
