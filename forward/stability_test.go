package forward

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// blurred is an ill-posed problem: a Gaussian blur of 48 values, as a dense
// matrix, with a smooth truth.
func blurred(t testing.TB) (a *Dense, x []float64) {
	const n = 48
	k := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			d := float64(i-j) / 1.2
			k.Set(i, j, math.Exp(-d*d/2)/3)
		}
	}
	a, err := NewDense(k)
	if err != nil {
		t.Fatal(err)
	}
	x = make([]float64, n)
	for i := range x {
		x[i] = math.Sin(float64(i)/6) + 0.5*math.Cos(float64(i)/2)
	}
	return a, x
}

func tikhonovMap(t testing.TB, a inverse.Spectral, lambda float64) inverse.Linear {
	r, err := Regularized(a, lambda)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegularized(t *testing.T) {
	for _, shape := range [][2]int{{8, 8}, {11, 6}, {6, 11}} {
		m, n := shape[0], shape[1]
		a, err := NewDense(randomMatrix(m, n, 3))
		if err != nil {
			t.Fatal(err)
		}
		y := randomVector(m, 4)
		for _, lambda := range []float64{0, 0.3} {
			r := tikhonovMap(t, a, lambda)
			if err := CheckAdjoint(r, rng.New(5, 0)); err != nil {
				t.Errorf("%d×%d: %v", m, n, err)
			}
			got := mat.NewDense(1, n, nil)
			r.Apply(got, mat.NewDense(1, m, y))
			var want *Inversion
			if lambda == 0 {
				want, err = TSVD(a, y, &FilterOptions{Param: float64(min(m, n))})
			} else {
				want, err = Tikhonov(a, y, &FilterOptions{Param: lambda})
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := floats.Distance(got.RawRowView(0), want.X, 2); d > 1e-12*floats.Norm(want.X, 2) {
				t.Errorf("%d×%d, λ = %g: differs from the inversion of one y by %g", m, n, lambda, d)
			}
		}
	}
	a, _ := blurred(t)
	if _, err := Regularized(a, -1); err == nil || !strings.Contains(err.Error(), "lambda is -1") {
		t.Errorf("lambda -1: %v", err)
	}
	if _, err := Regularized(nil, 0); err == nil {
		t.Error("no error for a nil operator")
	}
}

// The worst-case amplification of the pseudo-inverse is 1/σ_min, and that of
// Tikhonov's map the largest σ/(σ² + λ²).
func TestWorstCaseOfLinearMaps(t *testing.T) {
	ctx := context.Background()
	a, x := blurred(t)
	sigma := a.SingularValues()
	y, err := applied(a, x)
	if err != nil {
		t.Fatal(err)
	}
	for _, lambda := range []float64{0, 1e-3, 0.03, 1} {
		want := 0.0
		for _, s := range sigma {
			want = math.Max(want, s/(s*s+lambda*lambda))
		}
		r := tikhonovMap(t, a, lambda)
		for _, size := range []float64{0, 1e-6, 10} {
			p, err := WorstCase(ctx, r, y, &WorstCaseOptions{Size: size, Src: rng.New(1, 0)})
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(p.Gain/want-1) > 0.02 || p.Gain > want*(1+1e-9) {
				t.Errorf("λ = %g, size %g: gain %.6g, want %.6g", lambda, size, p.Gain, want)
			}
			if size > 0 && floats.Norm(p.Delta, 2) > size*(1+1e-12) {
				t.Errorf("λ = %g: ‖δ‖ is %g, want at most %g", lambda, floats.Norm(p.Delta, 2), size)
			}
		}
		l, v, err := LocalLipschitz(ctx, r, y, &LipschitzOptions{Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(l/want-1) > 0.01 {
			t.Errorf("λ = %g: Lipschitz constant %.6g, want %.6g", lambda, l, want)
		}
		if math.Abs(floats.Norm(v, 2)-1) > 1e-12 {
			t.Errorf("λ = %g: the direction has norm %g", lambda, floats.Norm(v, 2))
		}
	}
	t.Logf("1/σ_min = %.4g", 1/sigma[len(sigma)-1])
}

// Perturbations that an image can cause: the gain of A⁺A is 1, that of any
// filter at most 1.
func TestWorstCaseOfComposition(t *testing.T) {
	a, x := blurred(t)
	for _, lambda := range []float64{0, 0.03} {
		both, err := Compose(tikhonovMap(t, a, lambda), a)
		if err != nil {
			t.Fatal(err)
		}
		p, err := WorstCase(context.Background(), both, x, &WorstCaseOptions{Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		s := a.SingularValues()[0]
		if want := s * s / (s*s + lambda*lambda); math.Abs(p.Gain-want) > 0.01 {
			t.Errorf("λ = %g: gain %g, want %g", lambda, p.Gain, want)
		}
	}
}

// A nonlinear map whose steepest point is not where the search starts:
// R(y) = (tanh 5y₁, y₂/2) at y = (-0.3, 0). In the ball of radius 1 the largest
// change is that of tanh, tanh 3.5 + tanh 1.5, at δ = (1, 0).
func TestWorstCaseOfNonlinearMap(t *testing.T) {
	ctx := context.Background()
	f := func(dst, y []float64) { dst[0], dst[1] = math.Tanh(5*y[0]), y[1]/2 }
	pull := func(dst, y, u []float64) {
		th := math.Tanh(5 * y[0])
		dst[0], dst[1] = 5*(1-th*th)*u[0], u[1]/2
	}
	for name, o := range map[string]*FuncOptions{"VJP": {VJP: pull}, "differences": nil} {
		r, err := NewFunc(2, 2, f, o)
		if err != nil {
			t.Fatal(err)
		}
		y := []float64{-0.3, 0}
		l, _, err := LocalLipschitz(ctx, r, y, &LipschitzOptions{Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if want := 5 / math.Pow(math.Cosh(1.5), 2); math.Abs(l/want-1) > 1e-4 {
			t.Errorf("%s: Lipschitz constant %g, want %g", name, l, want)
		}
		p, err := WorstCase(ctx, r, y, &WorstCaseOptions{Size: 1, Starts: 3, Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if want := math.Tanh(3.5) + math.Tanh(1.5); math.Abs(floats.Norm(p.Change, 2)/want-1) > 0.01 {
			t.Errorf("%s: change %g, want %g", name, floats.Norm(p.Change, 2), want)
		}
	}
}

func TestStability(t *testing.T) {
	ctx := context.Background()
	a, x := blurred(t)
	n := len(x)
	const lambda = 0.03
	detail := make([]float64, n)
	detail[n/2], detail[n/2+1] = 0.3, 0.3
	var more []inverse.Operator
	for _, m := range []int{12, 24, 48} {
		index := make([]int, m)
		for i := range index {
			index[i] = i * n / m
		}
		some, err := Restrict(a, index)
		if err != nil {
			t.Fatal(err)
		}
		matrix, err := NewDense(mat.DenseCopyOf(transpose(some.(inverse.Linear)).T()))
		if err != nil {
			t.Fatal(err)
		}
		more = append(more, matrix)
	}
	recs := []Reconstruction{
		{"pseudo-inverse", tikhonovMap(t, a, 0), nil},
		{"Tikhonov", tikhonovMap(t, a, lambda), func(a inverse.Operator) (inverse.Operator, error) {
			return Regularized(a.(inverse.Spectral), lambda)
		}},
	}
	o := &StabilityOptions{Detail: detail, More: more, Draws: 100, Src: rng.New(7, 0)}
	r, err := Stability(ctx, a, x, recs, o)
	if err != nil {
		t.Fatal(err)
	}

	// Linear maps: E‖R e‖ is near σ ‖R‖_F, and the error grows with the noise.
	rms := 0.0
	y, _ := applied(a, x)
	rms = floats.Norm(y, 2) / math.Sqrt(float64(n))
	var frobenius float64
	for _, s := range a.SingularValues() {
		frobenius += 1 / (s * s)
	}
	for i, level := range r.Noise {
		want := level * rms * math.Sqrt(frobenius) / floats.Norm(x, 2)
		// ‖A⁺e‖ is governed by a few singular values: its mean is below the
		// root mean square by up to a fifth.
		if got := r.Error.At(i, 0); !(got > 0.75*want && got < 1.1*want) {
			t.Errorf("noise %g: error of the pseudo-inverse %g, root mean square %g", level, got, want)
		}
	}
	for j, g := range r.Growth {
		if math.Abs(g/1000-1) > 1e-3 {
			t.Errorf("%s: the error by noise grows by %g over three decades, want 1000", r.Names[j], g)
		}
	}
	if r.Clean[0] > 1e-8 || r.Clean[1] < 1e-4 {
		t.Errorf("errors without noise %g, want none for the pseudo-inverse and a bias of Tikhonov's", r.Clean)
	}
	for i := range recs {
		if got, want := r.Cross.At(i, i), r.Worst[i].Gain; math.Abs(got/want-1) > 1e-9 {
			t.Errorf("%s: gain at its own worst perturbation %g, found %g", r.Names[i], got, want)
		}
		for j := range recs {
			if got, most := r.Cross.At(i, j), r.Worst[j].Gain; got > most*1.02 {
				t.Errorf("%s: gain %g at the perturbation of %s, worst found %g", r.Names[j], got, r.Names[i], most)
			}
		}
	}
	if d := r.Detail[0]; math.Abs(d.Share-1) > 1e-8 || d.Rest > 1e-8 {
		t.Errorf("detail of the pseudo-inverse %+v, want all of it", d)
	}
	if d := r.Detail[1]; !(d.Share > 0.3 && d.Share < 1) {
		t.Errorf("detail of Tikhonov's map %+v, want some of it", d)
	}
	if !math.IsNaN(r.MoreError.At(0, 0)) {
		t.Error("a reconstruction without For has errors for more data")
	}
	if a, b := r.MoreError.At(0, 1), r.MoreError.At(2, 1); !(a > b && math.Abs(b-r.Clean[1]) < 1e-12) {
		t.Errorf("error from 12 data %g, from all %g, want that of the test without noise, %g", a, b, r.Clean[1])
	}
	for _, want := range []string{"pseudo-inverse", "Tikhonov's", "growth", "share shown", "by the number of exact data"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, r)
		}
	}
	o.Src = rng.New(7, 0)
	again, err := Stability(ctx, a, x, recs, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.String() != again.String() {
		t.Errorf("another report for the same source:\n%s\n%s", r, again)
	}
}

func TestStabilityOfBadInput(t *testing.T) {
	ctx := context.Background()
	a, x := blurred(t)
	good := []Reconstruction{{Name: "good", Map: tikhonovMap(t, a, 1)}}
	nan, err := NewFunc(48, 48, func(dst, _ []float64) { dst[3] = math.NaN() }, nil)
	if err != nil {
		t.Fatal(err)
	}
	small, err := NewDense(mat.NewDense(3, 4, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		x    []float64
		recs []Reconstruction
		o    *StabilityOptions
		want string
	}{
		{"short x", x[1:], good, nil, "x has length 47"},
		{"zero x", make([]float64, 48), good, nil, "x is zero"},
		{"no maps", x, nil, nil, "no reconstructions"},
		{"nil map", x, []Reconstruction{{Name: "none"}}, nil, "Map of reconstruction 0 (none) is nil"},
		{"shape", x, []Reconstruction{{Name: "small", Map: small}}, nil, "small maps 4 values to 3"},
		{"NaN", x, []Reconstruction{{Name: "wild", Map: nan}}, nil, "wild: "},
		{"noise", x, good, &StabilityOptions{Noise: []float64{1, -1}}, "Noise[1] is -1"},
		{"detail", x, good, &StabilityOptions{Detail: make([]float64, 48)}, "Detail"},
		{"size", x, good, &StabilityOptions{Worst: WorstCaseOptions{Size: -1}}, "Size is -1"},
		{"more", x, good, &StabilityOptions{More: []inverse.Operator{small}}, "More[0] has 4 unknowns"},
	} {
		if _, err := Stability(ctx, a, c.x, c.recs, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Stability(ended, a, x, good, nil); err != context.Canceled && (err == nil || !strings.Contains(err.Error(), context.Canceled.Error())) {
		t.Errorf("error %v after the end of the context", err)
	}
}
