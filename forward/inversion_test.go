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
	"github.com/go-inverse/inverse/internal/rng"
)

var background = context.Background()

type iterative func(context.Context, inverse.Linear, []float64, *IterOptions) (*Inversion, error)

var iteratives = map[string]iterative{"Landweber": Landweber, "CGLS": CGLS, "LSQR": LSQR}

// gaussianBlur is an ill-conditioned symmetric n×n blur of width w.
func gaussianBlur(n int, w float64) *mat.Dense {
	a := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			d := float64(i-j) / w
			a.Set(i, j, math.Exp(-d*d/2)/(w*math.Sqrt(2*math.Pi)))
		}
	}
	return a
}

// noisyBlur returns a blur, a true signal with edges, its noisy data and the
// norm of the noise.
func noisyBlur(t *testing.T, n int, level float64) (a inverse.Spectral, truth, y []float64, noise float64) {
	a = denseOf(t, gaussianBlur(n, float64(n)/40))
	truth = make([]float64, n)
	for i := range truth {
		s := (float64(i) + 0.5) / float64(n)
		if s > 0.2 && s < 0.4 {
			truth[i] = 1
		}
		truth[i] += math.Exp(-200 * (s - 0.7) * (s - 0.7))
	}
	e := make([]float64, n)
	rng.FillNormal(e, rng.New(5, 0))
	y = applyRow(a, truth)
	noise = level * floats.Norm(y, 2)
	floats.AddScaled(y, noise/floats.Norm(e, 2), e)
	return a, truth, y, noise
}

func randomMatrix(m, n int, seed uint64) *mat.Dense {
	return normalRows(m, n, rng.New(seed, 0))
}

func randomVector(n int, seed uint64) []float64 {
	x := make([]float64, n)
	rng.FillNormal(x, rng.New(seed, 1))
	return x
}

// Run to convergence, every method gives the least-squares solution of least
// norm, from Gram matrices.
func TestIterativeMethodsConvergeToLeastSquares(t *testing.T) {
	for _, shape := range [][2]int{{15, 5}, {5, 15}, {1, 3}, {3, 1}} {
		m, n := shape[0], shape[1]
		a, y := randomMatrix(m, n, 1), randomVector(m, 2)
		var want, gram, aty mat.VecDense
		var g mat.Dense
		if m >= n {
			g.Mul(a.T(), a)
			aty.MulVec(a.T(), mat.NewVecDense(m, y))
			if err := want.SolveVec(&g, &aty); err != nil {
				t.Fatal(err)
			}
		} else {
			g.Mul(a, a.T())
			if err := gram.SolveVec(&g, mat.NewVecDense(m, y)); err != nil {
				t.Fatal(err)
			}
			want.MulVec(a.T(), &gram)
		}
		for name, f := range iteratives {
			inv, err := f(background, denseOf(t, a), y, &IterOptions{MaxIter: 1_000_000, Tol: 1e-13})
			if err != nil {
				t.Fatal(err)
			}
			if inv.Stop != StopConverged {
				t.Errorf("%s %d×%d: stopped by %v", name, m, n, inv.Stop)
			}
			if d := floats.Distance(inv.X, want.RawVector().Data, 2); d > 1e-9*mat.Norm(&want, 2) {
				t.Errorf("%s %d×%d: off by %g", name, m, n, d)
			}
			if r := floats.Distance(applyRow(denseOf(t, a), inv.X), y, 2); math.Abs(r-inv.Residual) > 1e-9 {
				t.Errorf("%s %d×%d: Residual %g, want %g", name, m, n, inv.Residual, r)
			}
			if norm := floats.Norm(inv.X, 2); math.Abs(norm-inv.Norm) > 1e-12 {
				t.Errorf("%s %d×%d: Norm %g, want %g", name, m, n, inv.Norm, norm)
			}
		}
	}
}

// CGLS and LSQR iterates minimise the residual over the Krylov space, here
// by QR of an orthogonalised basis of it.
func TestKrylovIterates(t *testing.T) {
	const m, n = 20, 15
	a, y, x0 := randomMatrix(m, n, 3), randomVector(m, 4), randomVector(n, 5)
	r0 := mat.NewVecDense(m, nil)
	r0.MulVec(a, mat.NewVecDense(n, x0))
	r0.SubVec(mat.NewVecDense(m, y), r0)
	basis := mat.NewDense(n, 8, nil)
	v := mat.NewVecDense(n, nil)
	v.MulVec(a.T(), r0)
	want := make([][]float64, 8)
	for k := range want {
		for range 2 {
			for j := range k {
				q := basis.ColView(j)
				v.AddScaledVec(v, -mat.Dot(q, v), q)
			}
		}
		v.ScaleVec(1/mat.Norm(v, 2), v)
		basis.SetCol(k, v.RawVector().Data)
		var ab mat.Dense
		var c, dx mat.VecDense
		kb := basis.Slice(0, n, 0, k+1)
		ab.Mul(a, kb)
		if err := c.SolveVec(&ab, r0); err != nil {
			t.Fatal(err)
		}
		dx.MulVec(kb, &c)
		want[k] = floats.AddTo(make([]float64, n), x0, dx.RawVector().Data)
		var av mat.VecDense
		av.MulVec(a, v)
		v.MulVec(a.T(), &av)
	}
	for _, name := range []string{"CGLS", "LSQR"} {
		calls := 0
		_, err := iteratives[name](background, denseOf(t, a), y, &IterOptions{X0: x0, MaxIter: len(want), Progress: func(it Iterate) {
			calls++
			if it.Iteration != calls {
				t.Errorf("%s: call %d reports iteration %d", name, calls, it.Iteration)
			}
			if d := floats.Distance(it.X, want[it.Iteration-1], 2); d > 1e-10 {
				t.Errorf("%s: iterate %d is off by %g", name, it.Iteration, d)
			}
			if r := floats.Distance(applyRow(denseOf(t, a), it.X), y, 2); math.Abs(r-it.Residual) > 1e-10 {
				t.Errorf("%s: iterate %d has residual %g, reported as %g", name, it.Iteration, r, it.Residual)
			}
		}})
		if err != nil || calls != len(want) {
			t.Errorf("%s: %d calls, error %v", name, calls, err)
		}
	}
}

// After k steps from 0 Landweber's iterate has the filter factors
// 1 - (1 - ωσ²)ᵏ.
func TestLandweberFilterFactors(t *testing.T) {
	const k = 7
	a, y := randomMatrix(9, 6, 6), randomVector(9, 7)
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		t.Fatal("SVD failed")
	}
	s := svd.Values(nil)
	omega := 1.3 / (s[0] * s[0])
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	var c, want mat.VecDense
	c.MulVec(u.T(), mat.NewVecDense(9, y))
	for i := range s {
		c.SetVec(i, c.AtVec(i)*(1-math.Pow(1-omega*s[i]*s[i], k))/s[i])
	}
	want.MulVec(&v, &c)
	inv, err := Landweber(background, denseOf(t, a), y, &IterOptions{MaxIter: k, Step: omega})
	if err != nil {
		t.Fatal(err)
	}
	if inv.Stop != StopLimit || inv.Param != k {
		t.Errorf("stopped by %v at %v", inv.Stop, inv.Param)
	}
	if d := floats.Distance(inv.X, want.RawVector().Data, 2); d > 1e-12 {
		t.Errorf("off by %g", d)
	}
}

// The probe estimates the trace of the influence matrix: the mean over
// starting operators agrees with the filter factors within standard errors.
func TestLandweberTrace(t *testing.T) {
	const m, n, k, draws = 40, 30, 12, 60
	var sum, sum2 float64
	for i := range uint64(draws) {
		// The probe is the same each time, so the operator is drawn.
		a := denseOf(t, randomMatrix(m, n, 100+i))
		exact := &landweber{sigma: a.SingularValues(), omega: 1e-2}
		p, err := newLeastSquares("", a, make([]float64, m), &IterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		estimate := newLandweber(struct{ inverse.Linear }{a}, p, &IterOptions{Rule: GCV, Step: 1e-2})
		estimate.start()
		for range k {
			estimate.step()
		}
		d := estimate.trace(k) - exact.trace(k)
		sum += d
		sum2 += d * d
	}
	mean := sum / draws
	if se := math.Sqrt((sum2/draws - mean*mean) / draws); math.Abs(mean) > 4*se || se == 0 || se > 1 {
		t.Errorf("the estimate is off by %g, standard error %g", mean, se)
	}
}

// With noisy data the error falls, then rises, and the rules stop near its
// least.
func TestSemiConvergence(t *testing.T) {
	a, truth, y, noise := noisyBlur(t, 60, 0.02)
	for name, f := range iteratives {
		limit := 50
		if name == "Landweber" {
			limit = 1_500
		}
		var errs, residuals []float64
		_, err := f(background, a, y, &IterOptions{MaxIter: limit, Tol: 1e-15, Progress: func(it Iterate) {
			errs = append(errs, floats.Distance(it.X, truth, 2)/floats.Norm(truth, 2))
			residuals = append(residuals, it.Residual)
		}})
		if err != nil {
			t.Fatal(err)
		}
		best := floats.MinIdx(errs)
		if best == 0 || best == len(errs)-1 {
			t.Errorf("%s: no semi-convergence: the least error is at iteration %d of %d", name, best+1, len(errs))
			continue
		}
		if errs[0] < 1.2*errs[best] || errs[len(errs)-1] < 1.2*errs[best] {
			t.Errorf("%s: error from %.3f over %.3f to %.3f", name, errs[0], errs[best], errs[len(errs)-1])
		}
		for _, rule := range []Rule{Discrepancy, GCV, LCurve} {
			o := &IterOptions{MaxIter: limit, Rule: rule}
			if rule == Discrepancy {
				o.Noise = noise
			}
			inv, err := f(background, a, y, o)
			if err != nil {
				t.Fatal(err)
			}
			k := int(inv.Param)
			if inv.Stop != StopRule {
				t.Errorf("%s by %v: stopped by %v", name, rule, inv.Stop)
			}
			if math.Abs(inv.Residual-residuals[k-1]) > 1e-9 {
				t.Errorf("%s by %v: residual %g at iteration %d, want %g", name, rule, inv.Residual, k, residuals[k-1])
			}
			e := floats.Distance(inv.X, truth, 2) / floats.Norm(truth, 2)
			limit := 1.25
			if rule == LCurve {
				limit = 1.5
			}
			if e > limit*errs[best] {
				t.Errorf("%s by %v: error %.4f after %d iterations, least %.4f after %d", name, rule, e, k, errs[best], best+1)
			}
			if rule == Discrepancy && (residuals[k-1] > 1.01*noise || k > 1 && residuals[k-2] <= 1.01*noise) {
				t.Errorf("%s: iteration %d is not the first to meet the discrepancy principle", name, k)
			}
		}
	}
}

func TestIterativeEdges(t *testing.T) {
	a := denseOf(t, randomMatrix(4, 3, 8))
	for name, f := range iteratives {
		inv, err := f(background, a, make([]float64, 4), nil)
		if err != nil || inv.Stop != StopConverged || floats.Norm(inv.X, 2) != 0 {
			t.Errorf("%s of zero data: %+v, %v", name, inv, err)
		}
		inv, err = f(background, a, []float64{1, 0, 0, 0}, &IterOptions{Noise: 1})
		if err != nil || inv.Stop != StopBound || floats.Norm(inv.X, 2) != 0 {
			t.Errorf("%s of data below the noise: %+v, %v", name, inv, err)
		}
		for _, rule := range []Rule{GCV, LCurve} {
			blur, _, y, _ := noisyBlur(t, 60, 1e-4)
			inv, err = f(background, blur, y, &IterOptions{Rule: rule, MaxIter: 3})
			if err != nil || inv.Stop != StopLimit || inv.Param != 3 {
				t.Errorf("%s by %v that 3 iterations do not reach: %+v, %v", name, rule, inv, err)
			}
		}
		ctx, cancel := context.WithCancel(background)
		_, err = f(ctx, a, randomVector(4, 9), &IterOptions{Tol: 1e-300, Progress: func(it Iterate) {
			if it.Iteration == 2 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v after cancellation", name, err)
		}
	}
}

func TestIterativeBadInput(t *testing.T) {
	a, y := denseOf(t, randomMatrix(3, 2, 10)), []float64{1, 2, 3}
	zero := denseOf(t, mat.NewDense(3, 2, nil))
	for _, tt := range []struct {
		a    inverse.Linear
		y    []float64
		o    IterOptions
		want string
	}{
		{nil, y, IterOptions{}, "operator is nil"},
		{zero, y, IterOptions{}, "operator is zero"},
		{a, y[:2], IterOptions{}, "y has length 2, the operator gives 3"},
		{a, []float64{1, math.NaN(), 2}, IterOptions{}, "y has a value that is not finite"},
		{a, y, IterOptions{X0: y}, "X0 has length 3"},
		{a, y, IterOptions{X0: []float64{0, math.Inf(1)}}, "X0 has a value"},
		{a, y, IterOptions{MaxIter: -1}, "MaxIter is -1"},
		{a, y, IterOptions{Tol: math.NaN()}, "Tol is NaN"},
		{a, y, IterOptions{Noise: -1}, "Noise is -1"},
		{a, y, IterOptions{Rule: Discrepancy}, "Noise is 0"},
		{a, y, IterOptions{Rule: 17}, "unknown Rule 17"},
		{a, y, IterOptions{Eta: 0.5}, "Eta is 0.5"},
		{a, y, IterOptions{Step: -1}, "Step is -1"},
	} {
		for name, f := range iteratives {
			_, err := f(background, tt.a, tt.y, &tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
			}
		}
	}
	if _, err := Landweber(background, a, y, &IterOptions{Step: 1e3, MaxIter: 10_000}); err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("Landweber with a long step: %v", err)
	}
}

func denseOf(t testing.TB, a *mat.Dense) *Dense {
	t.Helper()
	d, err := NewDense(a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
