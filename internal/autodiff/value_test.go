package autodiff

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/kernel"
)

// filled returns a rows×cols matrix of draws from U(-1, 1).
func filled(t *Tape[float64], rows, cols int, r *rand.Rand) Var {
	v := t.Input(rows, cols)
	for i := range t.Value(v) {
		t.Value(v)[i] = 2*r.Float64() - 1
	}
	return v
}

func dense(t *Tape[float64], v Var) *mat.Dense {
	r, c := t.Dims(v)
	return mat.NewDense(r, c, t.Value(v))
}

func wantNear(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s is %.17g, want %.17g", what, got, want)
	}
}

// The convolution against its definition.
func TestConvValues(t *testing.T) {
	for _, c := range []Conv{
		{H: 5, W: 4, In: 2, Out: 3, KH: 3, KW: 3, Stride: 1},
		{H: 20, W: 17, In: 8, Out: 40, KH: 3, KW: 3, Stride: 1},
		{H: 4, W: 9, In: 2, Out: 3, KH: 3, KW: 5, Stride: 1},
		{H: 4, W: 4, In: 8, Out: 8, KH: 3, KW: 3, Stride: 1},
		{H: 12, W: 12, In: 20, Out: 9, KH: 3, KW: 3, Stride: 1},
		{H: 9, W: 22, In: 8, Out: 17, KH: 3, KW: 3, Stride: 1},
		{H: 6, W: 7, In: 1, Out: 2, KH: 5, KW: 3, Stride: 2},
		{H: 1, W: 9, In: 3, Out: 2, KH: 1, KW: 5, Stride: 1},
		{H: 3, W: 3, In: 2, Out: 4, KH: 1, KW: 1, Stride: 1},
		{H: 2, W: 2, In: 1, Out: 1, KH: 5, KW: 5, Stride: 1},
	} {
		var tp Tape[float64]
		tp.Reset(nil, nil)
		r := rand.New(rand.NewPCG(1, 1))
		const n = 3
		x, w, b := filled(&tp, n, c.H*c.W*c.In, r), filled(&tp, c.Out, c.patch(), r), filled(&tp, 1, c.Out, r)
		y := tp.Value(tp.Conv(&c, x, w, b, kernel.Identity))
		oh, ow := c.OutDims()
		for i := range n {
			for oy := range oh {
				for ox := range ow {
					for o := range c.Out {
						want := tp.Value(b)[o]
						for ky := range c.KH {
							for kx := range c.KW {
								iy, ix := oy*c.Stride+ky-c.KH/2, ox*c.Stride+kx-c.KW/2
								if iy < 0 || iy >= c.H || ix < 0 || ix >= c.W {
									continue
								}
								for ch := range c.In {
									want += tp.Value(w)[((o*c.KH+ky)*c.KW+kx)*c.In+ch] * tp.Value(x)[((i*c.H+iy)*c.W+ix)*c.In+ch]
								}
							}
						}
						wantNear(t, "convolution", y[((i*oh+oy)*ow+ox)*c.Out+o], want, 1e-12)
					}
				}
			}
		}
	}
}

func TestGroupNormValues(t *testing.T) {
	var tp Tape[float64]
	tp.Reset(nil, nil)
	x := filled(&tp, 2, 6*4, rand.New(rand.NewPCG(1, 1))) // 6 pixels of 4 channels
	y := tp.Value(tp.GroupNorm(x, tp.Fill(1, 4, 2), tp.Fill(1, 4, 3), Norm{Groups: 2}))
	for i := range 2 {
		for g := range 2 {
			var sum, squares, variance, mean float64
			for p := range 6 {
				for c := 2 * g; c < 2*g+2; c++ {
					sum += y[i*24+p*4+c]
					squares += (y[i*24+p*4+c] - 3) * (y[i*24+p*4+c] - 3)
					mean += tp.Value(x)[i*24+p*4+c] / 12
					variance += tp.Value(x)[i*24+p*4+c] * tp.Value(x)[i*24+p*4+c] / 12
				}
			}
			variance -= mean * mean
			wantNear(t, "mean", sum/12, 3, 1e-14)
			wantNear(t, "variance", squares/12, 4*variance/(variance+1e-5), 1e-12)
		}
	}
}

func TestResampling(t *testing.T) {
	var tp Tape[float64]
	tp.Reset(nil, nil)
	x := tp.Input(1, 2*2*2)
	copy(tp.Value(x), []float64{1, 10, 2, 20, 3, 30, 4, 40})
	up := tp.Upsample(x, 2, 2)
	want := []float64{
		1, 10, 1, 10, 2, 20, 2, 20, 1, 10, 1, 10, 2, 20, 2, 20,
		3, 30, 3, 30, 4, 40, 4, 40, 3, 30, 3, 30, 4, 40, 4, 40,
	}
	for i, v := range tp.Value(up) {
		wantNear(t, "pixel", v, want[i], 0)
	}
	for i, v := range tp.Value(tp.AvgPool(up, 4, 4)) {
		wantNear(t, "mean", v, tp.Value(x)[i], 0)
	}
	for i, v := range tp.Value(tp.AvgPool(x, 2, 2)) {
		wantNear(t, "mean", v, []float64{2.5, 25}[i], 0)
	}
}

// Log determinants and solutions against gonum's.
func TestCholeskyValues(t *testing.T) {
	const n = 5
	var tp Tape[float64]
	tp.Reset(nil, nil)
	r := rand.New(rand.NewPCG(1, 1))
	f, b := filled(&tp, 1, n*n, r), filled(&tp, 1, n, r)
	a := tp.BatchMatMul(false, true, f, f, n, n, n)
	sym := mat.NewSymDense(n, tp.Value(a))
	var ch mat.Cholesky
	if !ch.Factorize(sym) {
		t.Fatal("not positive definite")
	}
	wantNear(t, "log determinant", tp.Value(tp.LogDet(a, n))[0], ch.LogDet(), 1e-12)
	var x mat.VecDense
	if err := ch.SolveVecTo(&x, mat.NewVecDense(n, tp.Value(b))); err != nil {
		t.Fatal(err)
	}
	for i, v := range tp.Value(tp.Solve(a, b)) {
		wantNear(t, "solution", v, x.AtVec(i), 1e-9)
	}
	bad := tp.Scale(-1, a)
	if v := tp.Value(tp.LogDet(bad, n))[0]; !math.IsNaN(v) {
		t.Errorf("log determinant of a negative definite matrix is %g", v)
	}
	if v := tp.Value(tp.Solve(bad, b))[0]; !math.IsNaN(v) {
		t.Errorf("solution with a negative definite matrix is %g", v)
	}
}

func TestProductsAndReductions(t *testing.T) {
	var tp Tape[float64]
	tp.Reset(nil, nil)
	r := rand.New(rand.NewPCG(1, 1))
	a, b := filled(&tp, 4, 3, r), filled(&tp, 5, 3, r)
	var want mat.Dense
	want.Mul(dense(&tp, a), dense(&tp, b).T())
	if got := dense(&tp, tp.MatMul(false, true, a, b)); !mat.EqualApprox(got, &want, 1e-14) {
		t.Errorf("product %v", got)
	}
	cum := tp.Value(tp.CumSum(a))
	lse := tp.Value(tp.LogSumExp(a))
	soft := tp.Value(tp.Softmax(a))
	for i := range 4 {
		x := tp.Value(a)[3*i : 3*i+3]
		sum := math.Exp(x[0]) + math.Exp(x[1]) + math.Exp(x[2])
		wantNear(t, "cumulative sum", cum[3*i+2], x[0]+x[1]+x[2], 1e-15)
		wantNear(t, "log-sum-exp", lse[i], math.Log(sum), 1e-15)
		wantNear(t, "softmax", soft[3*i+1], math.Exp(x[1])/sum, 1e-15)
	}
}

// A spline is increasing and continuous, the identity outside and for equal
// bins with unit slopes; its inverse inverts it; log dy/dx is the slope.
func TestSpline(t *testing.T) {
	s := &Spline{Bins: 6, Bound: 3, MinWidth: 1e-3, MinHeight: 1e-3, MinSlope: 1e-3}
	const n = 2001
	r := rand.New(rand.NewPCG(1, 1))
	raw := make([]float64, s.Params())
	for i := range raw {
		raw[i] = 2 * r.NormFloat64()
	}
	run := func(x, raw []float64) (y, l []float64) {
		var tp Tape[float64]
		tp.Reset(nil, nil)
		xv, rv := tp.Input(len(x), 1), tp.Input(len(x), len(raw))
		copy(tp.Value(xv), x)
		copy(tp.Value(rv), slices.Repeat(raw, len(x)))
		yv, lv := tp.Spline(s, xv, rv)
		return tp.Value(yv), tp.Value(lv)
	}
	invert := func(y, raw []float64) []float64 {
		x, all := slices.Clone(y), slices.Repeat(raw, len(y))
		InvertSplines(s, x, all, make([]float64, len(all)))
		return x
	}
	x := make([]float64, n)
	for i := range x {
		x[i] = -4 + 8*float64(i)/(n-1)
	}
	y, l := run(x, raw)
	for i := range x {
		if i > 0 && !(y[i] > y[i-1]) {
			t.Fatalf("not increasing at %g", x[i])
		}
		if math.Abs(x[i]) >= 3 && (y[i] != x[i] || l[i] != 0) {
			t.Fatalf("at %g: %g with slope %g, want the identity", x[i], y[i], l[i])
		}
	}
	const h = 1e-6
	shifted := func(h float64) []float64 {
		z := make([]float64, n)
		for i := range z {
			z[i] = x[i] + h
		}
		y, _ := run(z, raw)
		return y
	}
	up, down := shifted(h), shifted(-h)
	for i := range x {
		if d := (up[i] - down[i]) / (2 * h); math.Abs(d/math.Exp(l[i])-1) > 1e-3 { // a knot may lie between
			t.Errorf("slope at %g is %g, differences give %g", x[i], math.Exp(l[i]), d)
		}
	}
	back := invert(y, raw)
	for i := range x {
		wantNear(t, "inverse", back[i], x[i], 1e-10)
	}
	identity := make([]float64, s.Params())
	for i := 2 * s.Bins; i < len(identity); i++ {
		identity[i] = math.Log(math.Exp(1-1e-3) - 1)
	}
	y, _ = run(x, identity)
	for i := range x {
		wantNear(t, "identity", y[i], x[i], 1e-14)
	}
	// Parameters and arguments that are not finite give NaN or the identity,
	// and no panic.
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		raw := append([]float64(nil), raw...)
		raw[2] = v
		run(append([]float64{v}, x...), raw)
		invert(append([]float64{v}, x...), raw)
	}
}
