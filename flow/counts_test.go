package flow

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// thinned are two counts given y ~ U(-1, 1): x₁ is of Poisson with mean
// exp(3 + 2y), and of these x₂ remain with probability σ(y).
func thinned(n int, seed uint64) (x, y *mat.Dense) {
	r := rand.New(rng.New(seed, 0))
	x, y = mat.NewDense(n, 2, nil), mat.NewDense(n, 1, nil)
	for i := range n {
		v := 2*r.Float64() - 1
		y.Set(i, 0, v)
		a := distuv.Poisson{Lambda: math.Exp(3 + 2*v), Src: r}.Rand()
		x.SetRow(i, []float64{a, distuv.Binomial{N: a, P: sigmoid(v), Src: r}.Rand()})
	}
	return x, y
}

// thinnedMass is the log mass of thinned, and independentMass that of the
// product of its marginals, which are of Poisson.
func thinnedMass(x, y []float64) float64 {
	l := distuv.Poisson{Lambda: math.Exp(3 + 2*y[0])}.LogProb(x[0])
	if x[0] == 0 {
		return l
	}
	return l + distuv.Binomial{N: x[0], P: sigmoid(y[0])}.LogProb(x[1])
}

func independentMass(x, y []float64) float64 {
	mean := math.Exp(3 + 2*y[0])
	return distuv.Poisson{Lambda: mean}.LogProb(x[0]) + distuv.Poisson{Lambda: mean * sigmoid(y[0])}.LogProb(x[1])
}

// TestCounts: counts of Poisson, from none to hundreds, and what remains of
// them, are learned: the divergence is about a hundredth of a nat, or for a
// product that from the product of the marginals.
func TestCounts(t *testing.T) {
	ctx := context.Background()
	n, bound := 10_000, 0.02
	if testing.Short() {
		n, bound = 3000, 0.08
	}
	x, y := thinned(n, 1)
	tx, ty := thinned(4000, 2)
	for _, independent := range []bool{false, true} {
		truth := thinnedMass
		if independent {
			truth = independentMass
		}
		f, err := Fit(ctx, Counts{Independent: independent}, x, y, &FitOptions{Rate: 2e-3, Patience: 5, Drops: 2, Src: rng.New(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		kl, se := gap(f, tx, ty, truth)
		t.Logf("independent %v: KL(p|q) = %.4f ± %.4f nats, %d steps, %v", independent, kl, se, f.Report().Steps, f.Report().Elapsed)
		if !(kl > -4*se && kl < bound) {
			t.Errorf("independent %v: KL(p|q) is %.4f ± %.4f, want below %g", independent, kl, se, bound)
		}

		// Masses sum to 1, and draws have them. The mean of x₁ is 2.7 and 20.
		const most, draws = 60, 20_000
		for _, v := range []float64{-1, 0} {
			all := mat.NewDense(most*most, 2, nil)
			for s := range most * most {
				all.SetRow(s, []float64{float64(s / most), float64(s % most)})
			}
			q := make([]float64, most*most)
			given := mat.NewDense(1, 1, []float64{v})
			f.LogProb(q, all, given)
			var first [most]float64
			for s, l := range q {
				q[s] = math.Exp(l)
				first[s/most] += q[s]
			}
			if sum := floats.Sum(q); !(math.Abs(sum-1) < 1e-3) {
				t.Errorf("independent %v, y = %g: the masses sum to %g", independent, v, sum)
			}
			d := mat.NewDense(draws, 2, nil)
			if err := f.Draw(ctx, d, given, rng.New(3, 0)); err != nil {
				t.Fatal(err)
			}
			var one, both [most]float64 // frequencies of x₁, and of x₂ beside the commonest x₁
			commonest := floats.MaxIdx(first[:])
			for i := range draws {
				row := d.RawRowView(i)
				if (Counts{}).stray(row) >= 0 {
					t.Fatalf("draw %d is %v", i, row)
				}
				if row[0] < most && row[1] < most {
					one[int(row[0])] += 1. / draws
					if int(row[0]) == commonest {
						both[int(row[1])] += 1. / draws
					}
				}
			}
			for k := range most {
				for what, c := range map[string][2]float64{"x₁": {one[k], first[k]}, "x₂": {both[k], q[commonest*most+k]}} {
					if z := (c[0] - c[1]) / math.Sqrt(math.Max(c[1], 1e-3)/draws); !(math.Abs(z) < 4.5) {
						t.Errorf("independent %v, y = %g, %s = %d: frequency %.4f, mass %.4f, %.1f standard errors", independent, v, what, k, c[0], c[1], z)
					}
				}
			}
		}
	}
}

// Gradients in the condition are those of central differences.
func TestCountsConditionScore(t *testing.T) {
	x, y := thinned(200, 1)
	for _, a := range []Counts{{Hidden: []int{8}, Components: 3}, {Hidden: []int{8}, Independent: true}, {Hidden: []int{8}, Components: 1}} {
		f := trained(t, a, x, y, FitOptions{Epochs: 20, Rate: 1e-2, Float64: true})
		l, want, score := make([]float64, 200), make([]float64, 200), mat.NewDense(200, 1, nil)
		if err := f.ConditionScore(l, score, x, y); err != nil {
			t.Fatal(err)
		}
		f.LogProb(want, x, y)
		for i := range 20 {
			if !(math.Abs(l[i]-want[i]) < 1e-9) {
				t.Errorf("%+v, row %d: log mass %g, want %g", a, i, l[i], want[i])
			}
			var v [1]float64
			g := fd.Derivative(func(y float64) float64 {
				f.LogProb(v[:], x.Slice(i, i+1, 0, 2).(*mat.Dense), mat.NewDense(1, 1, []float64{y}))
				return v[0]
			}, y.At(i, 0), &fd.Settings{Formula: fd.Central, Step: 1e-5})
			if s := score.At(i, 0); !(math.Abs(s-g) < 1e-6*(1+math.Abs(g))) {
				t.Errorf("%+v, row %d: ∂/∂y is %g, by differences %g", a, i, s, g)
			}
		}
	}
}

// A column that is the same in all rows has its mass there, without conditions
// too, and an impossible count has next to none.
func TestCountsConstant(t *testing.T) {
	x := mat.NewDense(200, 2, nil)
	for i := range 200 {
		x.SetRow(i, []float64{7, float64(i % 3)})
	}
	f := trained(t, Counts{Hidden: []int{8}}, x, nil, FitOptions{Rate: 2e-2, Validation: -1, Epochs: 300})
	var l [3]float64
	f.LogProb(l[:], mat.NewDense(3, 2, []float64{7, 1, 6, 1, 1e6, 1}), nil)
	if !(math.Abs(l[0]-math.Log(1./3)) < 0.1 && l[1] < -3 && l[2] < -20) || math.IsInf(l[2], 0) {
		t.Errorf("log masses of 7, 6 and a million are %g", l)
	}
}

func TestCountsErrors(t *testing.T) {
	ctx := context.Background()
	x, y := thinned(100, 1)
	with := func(v float64) *mat.Dense {
		out := mat.DenseCopyOf(x)
		out.Set(3, 1, v)
		return out
	}
	for _, c := range []struct {
		x    *mat.Dense
		a    Counts
		o    FitOptions
		want string
	}{
		{with(0.5), Counts{}, FitOptions{}, "row 3 of x has 0.5 in column 1, Counts wants whole numbers from 0 to 1.6777216e+07"},
		{with(-1), Counts{}, FitOptions{}, "row 3 of x has -1 in column 1"},
		{with(1 << 25), Counts{}, FitOptions{}, "row 3 of x has 3.3554432e+07 in column 1"},
		{with(math.NaN()), Counts{}, FitOptions{}, "row 3 of x has NaN in column 1"},
		{x, Counts{}, FitOptions{Transform: prior.Positive(2)}, "Counts cannot have a Transform"},
		{x, Counts{}, FitOptions{Regress: true}, "Counts cannot have Regress"},
		{x, Counts{Components: -1}, FitOptions{}, "Counts: Components is -1"},
	} {
		if f, err := Fit(ctx, c.a, c.x, y, &c.o); f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q", err, c.want)
		}
	}
	f := trained(t, Counts{}, x, y, FitOptions{Epochs: 1})
	l := make([]float64, 100)
	for _, v := range []float64{0.5, -1, math.NaN(), math.Inf(1)} {
		f.LogProb(l, with(v), y)
		for i, p := range l {
			if (i == 3) != math.IsInf(p, -1) || !(p <= 0) {
				t.Fatalf("x[3,1] = %g: LogProb of row %d is %g", v, i, p)
			}
		}
	}
}

// The quantile of a mixture is where its masses reach Φ(z), in both tails.
func TestQuantileOfCounts(t *testing.T) {
	const center, spread = 3.0, 1.5
	raw := []float64{0.3, -1, -1, 2, 1.2, -0.5} // weights, means, scales, two of each
	w := sigmoid(raw[0] - raw[1])
	tail := func(n, sign float64) float64 { // what is up to n, or beyond
		e := (math.Sqrt(n+1) - center) / spread
		a, b := math.Exp(raw[4])+leastSlope, math.Exp(raw[5])+leastSlope
		cdf := distuv.UnitNormal.CDF
		return w*cdf(sign*a*(e-raw[2])) + (1-w)*cdf(sign*b*(e-raw[3]))
	}
	for n := range 400 {
		lower, upper := tail(float64(n), 1), tail(float64(n), -1)
		z := quantile(math.Log(math.Min(lower, upper)))
		if upper < lower {
			z = -z
		}
		if a, b := quantileOfCounts(z-1e-7, raw, center, spread), quantileOfCounts(z+1e-7, raw, center, spread); a != float64(n) || b != float64(n+1) {
			t.Fatalf("beside the z of %d: %g and %g", n, a, b)
		}
	}
	if v := quantileOfCounts(math.NaN(), raw, center, spread); !math.IsNaN(v) {
		t.Errorf("the quantile at NaN is %g", v)
	}
}

func TestCountsDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x, y := thinned(1000, 1)
	l, z := make([]float64, 1000), mat.NewDense(1000, 2, nil)
	f := trained(t, Counts{}, x, y, FitOptions{Epochs: 1})
	for what, call := range map[string]func(){
		"LogProb":  func() { f.LogProb(l, x, y) },
		"Generate": func() { f.Generate(z, x, y) },
	} {
		call()
		if n := testing.AllocsPerRun(3, call); n > 3 {
			t.Errorf("%s of 1000 rows allocates %g times", what, n)
		}
	}
}
