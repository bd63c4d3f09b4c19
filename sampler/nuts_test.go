package sampler

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/floats"
)

// The U-turn criterion against its formula, on random momenta, of which about
// half turn.
func TestUTurnCriterion(t *testing.T) {
	rnd := rand.New(rng.New(6, 0))
	const d = 3
	vec := func() []float64 {
		v := make([]float64, d)
		for i := range v {
			v[i] = rnd.NormFloat64() + 0.5
		}
		return v
	}
	sum := func(a, b []float64) []float64 { return floats.AddTo(make([]float64, d), a, b) }
	turns := 0
	for range 500 {
		a, b := vec(), vec()
		s := sum(a, b)
		if got, want := straightPair(a, b), dot(s, a) > 0 && dot(s, b) > 0; got != want {
			t.Fatalf("pair: %v, want %v", got, want)
		}
		t1 := tree{first: &point{p: vec()}, last: &point{p: vec()}, rho: vec()}
		t2 := tree{first: &point{p: vec()}, last: &point{p: vec()}, rho: vec()}
		straight := func(rho1, rho2 []float64) bool {
			all := sum(rho1, rho2)
			left, right := sum(rho1, t2.first.p), sum(rho2, t1.last.p)
			return dot(all, t1.first.p) > 0 && dot(all, t2.last.p) > 0 &&
				dot(left, t1.first.p) > 0 && dot(left, t2.first.p) > 0 &&
				dot(right, t1.last.p) > 0 && dot(right, t2.last.p) > 0
		}
		all, want := sum(t1.rho, t2.rho), straight(t1.rho, t2.rho)
		if got := straightTrees(&t1, &t2); got != want || !floats.Equal(t1.rho, all) {
			t.Fatalf("trees: %v, want %v", got, want)
		}
		rho1, rho2 := sum(t1.first.p, t1.last.p), sum(t2.first.p, t2.last.p)
		if got, want := straightPairs(&t1, &t2), straight(rho1, rho2); got != want || !floats.EqualApprox(t1.rho, sum(rho1, rho2), 1e-15) {
			t.Fatalf("pairs: %v, want %v", got, want)
		}
		if !want {
			turns++
		}
	}
	if turns < 50 || turns > 450 {
		t.Errorf("%d of 500 turn: the test has no power", turns)
	}
}

// A trajectory in a harmonic potential of period 2π turns within a period,
// whatever the step. In one dimension it turns as soon as it has passed a
// turning point on the way to which it has made some ground.
func TestTrajectoryLength(t *testing.T) {
	target, err := NewTarget(mixture1{0, 1}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, eps := range []float64{0.01, 0.05, 0.2} {
		st, err := (&NUTS{StepSize: eps, Metric: Unit}).New(target, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Set([]float64{0.3}); err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rng.New(1, 0))
		var length, n float64
		for range 500 {
			var info Info
			if err := st.Step(rnd, &info); err != nil {
				t.Fatal(err)
			}
			if info.Divergent || info.Saturated {
				t.Fatalf("%+v", info)
			}
			length += eps * float64(info.Leapfrogs)
			n++
		}
		if length /= n; length < 1 || length > 2*math.Pi {
			t.Errorf("ε = %g: trajectories of mean length %.2f, want one in [1, 2π]", eps, length)
		}
	}
}

func TestNUTSOnMixture(t *testing.T) {
	b := mixture1{1.5, 1}
	r := mustRun(t, b, &NUTS{}, &Settings{Draws: 3000})
	checkMoment(t, "mean", r, func(x []float64) float64 { return x[0] }, 0)
	checkMoment(t, "second moment", r, func(x []float64) float64 { return x[0] * x[0] }, b.m*b.m+b.s*b.s)
}

func TestMaxDepthIsReported(t *testing.T) {
	r := mustRun(t, newLinearGaussian(t), &NUTS{MaxDepth: 1, StepSize: 0.01}, &Settings{Warmup: -1, Draws: 50})
	if r.Saturated != 200 {
		t.Errorf("%d saturated trees, want 200", r.Saturated)
	}
	if w := r.Summary().Warnings; len(w) == 0 {
		t.Error("the summary does not warn")
	}
}
