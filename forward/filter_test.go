package forward

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
)

// differences returns the (n-order)×n matrix of differences of the order.
func differences(n, order int) *mat.Dense {
	d := mat.NewDense(n-order, n, nil)
	for i := range n - order {
		for j, c := range [][]float64{{1}, {-1, 1}, {1, -2, 1}}[order] {
			d.Set(i, i+j, c)
		}
	}
	return d
}

// tikhonovByNormalEquations solves (AᵀA + λ²LᵀL) x = Aᵀy and returns x, the
// norms and the trace of A (AᵀA + λ²LᵀL)⁻¹ Aᵀ.
func tikhonovByNormalEquations(t *testing.T, a, l *mat.Dense, y []float64, lambda float64) (x []float64, residual, norm, trace float64) {
	t.Helper()
	m, _ := a.Dims()
	var k, ltl, inv mat.Dense
	k.Mul(a.T(), a)
	ltl.Mul(l.T(), l)
	ltl.Scale(lambda*lambda, &ltl)
	k.Add(&k, &ltl)
	if err := inv.Solve(&k, a.T()); err != nil {
		t.Fatal(err)
	}
	var v, r, lx mat.VecDense
	var influence mat.Dense
	v.MulVec(&inv, mat.NewVecDense(m, y))
	r.MulVec(a, &v)
	r.SubVec(&r, mat.NewVecDense(m, y))
	lx.MulVec(l, &v)
	influence.Mul(a, &inv)
	return v.RawVector().Data, mat.Norm(&r, 2), mat.Norm(&lx, 2), mat.Trace(&influence)
}

func TestTSVD(t *testing.T) {
	for _, shape := range [][2]int{{8, 8}, {11, 6}, {6, 11}, {1, 1}} {
		m, n := shape[0], shape[1]
		a, y := randomMatrix(m, n, 11), randomVector(m, 12)
		var svd mat.SVD
		if !svd.Factorize(a, mat.SVDThin) {
			t.Fatal("SVD failed")
		}
		var u, v mat.Dense
		svd.UTo(&u)
		svd.VTo(&v)
		want := make([]float64, n)
		for k, s := range svd.Values(nil) {
			floats.AddScaled(want, floats.Dot(mat.Col(nil, k, &u), y)/s, mat.Col(nil, k, &v))
			inv, err := TSVD(denseOf(t, a), y, &FilterOptions{Param: float64(k + 1)})
			if err != nil {
				t.Fatal(err)
			}
			residual := floats.Distance(applyRow(denseOf(t, a), want), y, 2)
			if d := floats.Distance(inv.X, want, 2); d > 1e-11 ||
				math.Abs(inv.Residual-residual) > 1e-11 || math.Abs(inv.Norm-floats.Norm(want, 2)) > 1e-11 {
				t.Errorf("%d×%d, k = %d: off by %g, residual %g for %g", m, n, k+1, d, inv.Residual, residual)
			}
			if inv.Stop != StopFixed || inv.Param != float64(k+1) {
				t.Errorf("%d×%d: Param %v by %v", m, n, inv.Param, inv.Stop)
			}
		}
	}
}

// TSVD does not divide by singular values that are zero to rounding.
func TestTSVDOfRankDeficient(t *testing.T) {
	a := mat.NewDense(3, 3, []float64{1, 2, 3, 2, 4, 6, 1, 0, 1})
	inv, err := TSVD(denseOf(t, a), []float64{1, 2, 1}, &FilterOptions{Noise: 1e-10})
	if err != nil {
		t.Fatal(err)
	}
	if inv.Param != 2 || inv.Norm > 1 {
		t.Errorf("kept %v singular values, norm %g", inv.Param, inv.Norm)
	}
	if _, err := TSVD(denseOf(t, a), []float64{1, 2, 1}, &FilterOptions{Param: 3}); err == nil {
		t.Error("no error for more singular values than the rank")
	}
}

func TestTikhonovIsTheNormalEquations(t *testing.T) {
	for _, shape := range [][2]int{{9, 9}, {12, 7}, {7, 12}, {1, 4}, {4, 3}, {3, 30}} {
		m, n := shape[0], shape[1]
		a, y := randomMatrix(m, n, 13), randomVector(m, 14)
		for order := range min(3, n) {
			l := differences(n, order)
			if m < order {
				continue // the null spaces of A and L intersect
			}
			for _, lambda := range []float64{1e-2, 0.3, 5} {
				want, residual, norm, _ := tikhonovByNormalEquations(t, a, l, y, lambda)
				check := func(name string, tol float64, inv *Inversion, err error) {
					t.Helper()
					if err != nil {
						t.Errorf("%s %d×%d, order %d: %v", name, m, n, order, err)
						return
					}
					if d := floats.Distance(inv.X, want, 2); d > tol*(1+floats.Norm(want, 2)) {
						t.Errorf("%s %d×%d, order %d, λ = %g: off by %g", name, m, n, order, lambda, d)
					}
					if math.Abs(inv.Residual-residual) > tol || math.Abs(inv.Norm-norm) > tol {
						t.Errorf("%s %d×%d, order %d, λ = %g: norms %g, %g, want %g, %g", name, m, n, order, lambda, inv.Residual, inv.Norm, residual, norm)
					}
				}
				o := &FilterOptions{Param: lambda}
				if order == 0 {
					inv, err := Tikhonov(denseOf(t, a), y, o)
					check("Tikhonov", 1e-8, inv, err)
					inv, err = GeneralTikhonov(background, denseOf(t, a), nil, y, o)
					check("GeneralTikhonov with L = nil", 1e-8, inv, err)
				}
				inv, err := GeneralTikhonov(background, denseOf(t, a), denseOf(t, l), y, o)
				check("GeneralTikhonov", 1e-8, inv, err)
				inv, err = (&penalised{denseOf(t, a), denseOf(t, l), y}).solve(background, lambda, nil)
				check("matrix-free", 1e-5, inv, err)
			}
		}
	}
}

func TestDiscrepancyPrinciple(t *testing.T) {
	a, truth, y, noise := noisyBlur(t, 70, 0.02)
	l := denseOf(t, differences(70, 2))
	o := &FilterOptions{Noise: noise}
	for name, f := range map[string]func() (*Inversion, error){
		"Tikhonov":        func() (*Inversion, error) { return Tikhonov(a, y, o) },
		"GeneralTikhonov": func() (*Inversion, error) { return GeneralTikhonov(background, a, l, y, o) },
		"TSVD":            func() (*Inversion, error) { return TSVD(a, y, o) },
		"matrix-free": func() (*Inversion, error) {
			return (&penalised{a, l, y}).discrepancy(background, 1.01*noise)
		},
	} {
		inv, err := f()
		if err != nil {
			t.Fatal(name, err)
		}
		residual := floats.Distance(applyRow(a, inv.X), y, 2)
		if math.Abs(residual-inv.Residual) > 1e-8 {
			t.Errorf("%s: Residual %g, want %g", name, inv.Residual, residual)
		}
		if inv.Stop != StopRule {
			t.Errorf("%s: stopped by %v", name, inv.Stop)
		}
		got := residual / noise
		switch name {
		case "TSVD":
			less, err := TSVD(a, y, &FilterOptions{Param: inv.Param - 1})
			if err != nil || got > 1.01 || less.Residual <= 1.01*noise {
				t.Errorf("TSVD: %v terms are not the fewest that meet the principle", inv.Param)
			}
		case "matrix-free":
			if got > 1.01 || got < 1.008 {
				t.Errorf("%s: residual is %.5f of the noise, want 1.01", name, got)
			}
		default:
			if math.Abs(got-1.01) > 1e-9 {
				t.Errorf("%s: residual is %.12f of the noise, want 1.01", name, got)
			}
		}
		if e := floats.Distance(inv.X, truth, 2) / floats.Norm(truth, 2); e > 0.2 {
			t.Errorf("%s: error %.3f", name, e)
		}
	}
}

// Above the limit for matrices the same problem is solved without them.
func TestLargeGeneralTikhonov(t *testing.T) {
	const n = denseLimit + 40
	a := must[inverse.Spectral](t)(NewIntegral(n, 1./n))
	// First differences are the inverse of a running sum.
	l := must[inverse.Linear](t)(NewConv1D(n, []float64{1, -1}, &Conv1DOptions{Boundary: Reflect}))
	truth := make([]float64, n)
	for i := range truth {
		truth[i] = math.Cos(3 * float64(i) / n)
	}
	y, e := applyRow(a, truth), randomVector(n, 20)
	const noise = 0.05
	floats.AddScaled(y, noise/floats.Norm(e, 2), e)
	inv, err := GeneralTikhonov(background, a, l, y, &FilterOptions{Noise: noise})
	if err != nil {
		t.Fatal(err)
	}
	if got := floats.Distance(applyRow(a, inv.X), y, 2) / noise; inv.Stop != StopRule || got > 1.01 || got < 1.008 {
		t.Errorf("stopped by %v with a residual of %.5f of the noise, want 1.01", inv.Stop, got)
	}
	// The gradient Aᵀ(Ax - y) + λ²LᵀLx vanishes.
	gradient, penalty := mat.NewDense(1, n, nil), mat.NewDense(1, n, nil)
	a.Adjoint(gradient, mat.NewDense(1, n, floats.SubTo(make([]float64, n), applyRow(a, inv.X), y)))
	l.Adjoint(penalty, mat.NewDense(1, n, applyRow(l, inv.X)))
	penalty.Scale(inv.Param*inv.Param, penalty)
	size := mat.Norm(penalty, 2)
	gradient.Add(gradient, penalty)
	if left := mat.Norm(gradient, 2); left > 1e-6*size {
		t.Errorf("gradient %g of a penalty of %g", left, size)
	}
	if d := floats.Distance(inv.X, truth, 2) / floats.Norm(truth, 2); d > 0.05 {
		t.Errorf("relative error %.3f", d)
	}
}

// GCV finds the minimum of the function computed from the influence matrix.
func TestGCV(t *testing.T) {
	const n = 40
	a, _, y, _ := noisyBlur(t, n, 0.02)
	matrix := gaussianBlur(n, 1)
	for order := range 3 {
		l := differences(n, order)
		gcv := func(lambda float64) float64 {
			_, residual, _, trace := tikhonovByNormalEquations(t, matrix, l, y, lambda)
			return math.Pow(residual/(n-trace), 2)
		}
		inv, err := GeneralTikhonov(background, a, denseOf(t, l), y, nil)
		if order == 0 {
			inv, err = Tikhonov(a, y, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		best, at := math.Inf(1), 0.
		for lambda := 1e-4; lambda < 1e2; lambda *= 1.1 {
			if v := gcv(lambda); v < best {
				best, at = v, lambda
			}
		}
		if v := gcv(inv.Param); v > best*(1+1e-9) {
			t.Errorf("order %d: GCV is %.9g at λ = %g, but %.9g at %g", order, v, inv.Param, best, at)
		}
	}

	inv, err := TSVD(a, y, nil)
	if err != nil {
		t.Fatal(err)
	}
	best, at := math.Inf(1), 0
	for k := 1; k < n; k++ {
		fixed, err := TSVD(a, y, &FilterOptions{Param: float64(k)})
		if err != nil {
			break // past the rank
		}
		if v := fixed.Residual / float64(n-k); v < best {
			best, at = v, k
		}
	}
	if inv.Param != float64(at) {
		t.Errorf("TSVD: GCV keeps %v terms, its minimum is at %d", inv.Param, at)
	}
}

// The curvature is that of differences along the curve, and its corner a good
// parameter.
func TestLCurve(t *testing.T) {
	a, truth, y, _ := noisyBlur(t, 100, 0.01)
	f, err := newFilter("Tikhonov", a, y)
	if err != nil {
		t.Fatal(err)
	}
	for _, lambda := range []float64{1e-3, 1e-2, 0.1, 1} {
		const h = 1e-3
		var r, s [3]float64
		for i := range 3 {
			residual2, norm2, _, _ := f.at(lambda * math.Exp(h*float64(i-1)))
			r[i], s[i] = math.Log(residual2), math.Log(norm2)
		}
		r1, s1 := (r[2]-r[0])/(2*h), (s[2]-s[0])/(2*h)
		r2, s2 := (r[2]-2*r[1]+r[0])/(h*h), (s[2]-2*s[1]+s[0])/(h*h)
		// Hansen's curvature is that of the logarithms of the norms.
		want := 2 * (r1*s2 - r2*s1) / math.Pow(r1*r1+s1*s1, 1.5)
		if got := f.curvature(lambda); math.Abs(got-want) > 1e-4*math.Abs(want) {
			t.Errorf("λ = %g: curvature %g, by differences %g", lambda, got, want)
		}
	}
	for name, f := range map[string]func(inverse.Spectral, []float64, *FilterOptions) (*Inversion, error){"Tikhonov": Tikhonov, "TSVD": TSVD} {
		least := math.Inf(1)
		for i := range 60 {
			param := float64(i + 1)
			if name == "Tikhonov" {
				param = 1e-4 * math.Pow(1.2, float64(i))
			}
			inv, err := f(a, y, &FilterOptions{Param: param})
			if err != nil {
				t.Fatal(err)
			}
			least = min(least, floats.Distance(inv.X, truth, 2))
		}
		inv, err := f(a, y, &FilterOptions{Rule: LCurve})
		if err != nil {
			t.Fatal(err)
		}
		if e := floats.Distance(inv.X, truth, 2); e > 1.5*least {
			t.Errorf("%s: error %g at the corner %g, least %g", name, e, inv.Param, least)
		}
	}
}

func TestPicard(t *testing.T) {
	s := diagonal{1, 0, 3}
	terms, err := Picard(s, []float64{2, -1, 6})
	if err != nil {
		t.Fatal(err)
	}
	want := []PicardTerm{{3, 6, 2}, {1, 2, 2}, {0, 1, math.Inf(1)}}
	for i := range want {
		if terms[i] != want[i] {
			t.Errorf("term %d is %+v, want %+v", i, terms[i], want[i])
		}
	}
}

// diagonal is an operator whose singular values are not sorted.
type diagonal []float64

func (d diagonal) Dims() (m, n int) { return len(d), len(d) }
func (d diagonal) Apply(dst, x *mat.Dense) {
	dst.Apply(func(_, j int, v float64) float64 { return d[j] * v }, x)
}
func (d diagonal) Adjoint(dst, y *mat.Dense) { d.Apply(dst, y) }
func (d diagonal) SingularValues() []float64 { return d }
func (d diagonal) MulV(dst, c *mat.Dense)    { dst.Copy(c) }
func (d diagonal) MulVT(dst, c *mat.Dense)   { dst.Copy(c) }
func (d diagonal) MulU(dst, c *mat.Dense)    { dst.Copy(c) }
func (d diagonal) MulUT(dst, c *mat.Dense)   { dst.Copy(c) }

func TestUnsortedSingularValues(t *testing.T) {
	inv, err := TSVD(diagonal{1, 0, 3, 2}, []float64{1, 1, 1, 1}, &FilterOptions{Param: 2})
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{0, 0, 1. / 3, 0.5}; !floats.EqualApprox(inv.X, want, 1e-15) {
		t.Errorf("got %v, want %v", inv.X, want)
	}
}

func TestFilterEdges(t *testing.T) {
	a, y := diagonal{1, 2}, []float64{3, 4}
	inv, err := Tikhonov(a, y, &FilterOptions{Noise: 6})
	if err != nil || inv.Stop != StopBound || floats.Norm(inv.X, 2) != 0 || inv.Residual != 5 {
		t.Errorf("data below the noise: %+v, %v", inv, err)
	}
	inv, err = TSVD(a, y, &FilterOptions{Noise: 6})
	if err != nil || inv.Stop != StopBound || inv.Param != 0 || inv.Residual != 5 {
		t.Errorf("data below the noise: %+v, %v", inv, err)
	}
	// GCV finds no minimum here.
	inv, err = Tikhonov(diagonal{1, 2, 3, 1e-3}, []float64{1e-9, 0, 0, 1}, nil)
	if err != nil || inv.Stop != StopBound {
		t.Errorf("GCV of noise: %+v, %v", inv, err)
	}
	// What L takes to 0 stays.
	inv, err = GeneralTikhonov(background, denseOf(t, mat.NewDense(2, 2, []float64{1, 0, 0, 1})), denseOf(t, differences(2, 1)), y, &FilterOptions{Noise: 6})
	if err != nil || inv.Stop != StopBound || !floats.EqualApprox(inv.X, []float64{3.5, 3.5}, 1e-12) {
		t.Errorf("data below the noise: %+v, %v", inv, err)
	}
}

func TestFilterBadInput(t *testing.T) {
	a, y := diagonal{1, 2}, []float64{3, 4}
	tall := denseOf(t, mat.NewDense(2, 1, []float64{1, 0}))
	for _, tt := range []struct {
		a    inverse.Spectral
		y    []float64
		o    FilterOptions
		want string
	}{
		{nil, y, FilterOptions{}, "operator is nil"},
		{diagonal{0, 0}, y, FilterOptions{}, "operator is zero"},
		{a, y[:1], FilterOptions{}, "y has length 1"},
		{a, []float64{math.Inf(-1), 0}, FilterOptions{}, "y has a value"},
		{a, y, FilterOptions{Param: -1}, "Param is -1"},
		{a, y, FilterOptions{Param: 1, Rule: GCV}, "Rule is GCV, want one"},
		{a, y, FilterOptions{Rule: Discrepancy}, "Noise is 0"},
		{a, y, FilterOptions{Noise: math.NaN()}, "Noise is NaN"},
		{a, y, FilterOptions{Rule: -1}, "unknown Rule -1"},
		{tall, y, FilterOptions{Noise: 1}, "the residual is at least 4"},
	} {
		for name, f := range map[string]func() (*Inversion, error){
			"Tikhonov":        func() (*Inversion, error) { return Tikhonov(tt.a, tt.y, &tt.o) },
			"TSVD":            func() (*Inversion, error) { return TSVD(tt.a, tt.y, &tt.o) },
			"GeneralTikhonov": func() (*Inversion, error) { return GeneralTikhonov(background, tt.a, nil, tt.y, &tt.o) },
		} {
			_, err := f()
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
			}
		}
	}
	if _, err := TSVD(a, y, &FilterOptions{Param: 1.5}); err == nil || !strings.Contains(err.Error(), "whole number") {
		t.Errorf("TSVD with half a singular value: %v", err)
	}
	null := denseOf(t, mat.NewDense(1, 2, []float64{1, -1}))
	if _, err := GeneralTikhonov(background, null, denseOf(t, differences(2, 1)), y[:1], nil); err == nil || !strings.Contains(err.Error(), "same vector") {
		t.Errorf("operators with a common null space: %v", err)
	}
	if _, err := GeneralTikhonov(background, a, denseOf(t, differences(3, 1)), y, nil); err == nil || !strings.Contains(err.Error(), "L is 2×3") {
		t.Errorf("L of the wrong size: %v", err)
	}
	large := make(diagonal, denseLimit+1)
	for i := range large {
		large[i] = 1
	}
	if _, err := GeneralTikhonov(background, large, nil, make([]float64, len(large)), &FilterOptions{Rule: LCurve}); err == nil || !strings.Contains(err.Error(), "at most 600 unknowns") {
		t.Errorf("L-curve of a large problem: %v", err)
	}
	ctx, cancel := context.WithCancel(background)
	cancel()
	if _, err := GeneralTikhonov(ctx, a, nil, y, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancellation: %v", err)
	}
}
