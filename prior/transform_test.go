package prior

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

func mustInterval(t *testing.T, lower, upper []float64) Transform {
	t.Helper()
	tr, err := Interval(lower, upper)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func transforms(t *testing.T) map[string]Transform {
	inf := math.Inf(1)
	mixed := mustInterval(t, []float64{-inf, 2, -inf, -1, 5}, []float64{inf, inf, 3, 4, 5.5})
	return map[string]Transform{
		"identity":         Identity(2),
		"positive":         Positive(3),
		"interval":         mixed,
		"simplex 2":        Simplex(2),
		"simplex 5":        Simplex(5),
		"ordered":          Ordered(4),
		"ordered 1":        Ordered(1),
		"positive ordered": PositiveOrdered(3),
		"joint":            Joint(Simplex(3), mixed, PositiveOrdered(2), Simplex(4), Identity(1)),
	}
}

func TestTransforms(t *testing.T) {
	r := rand.New(rng.New(1, 0))
	for name, tr := range transforms(t) {
		_, nu := tr.Dims()
		u := make([]float64, nu)
		for range 5 {
			if err := CheckTransform(tr, u); err != nil {
				t.Errorf("%s at %v: %v", name, u, err)
			}
			for i := range u {
				u[i] = 1.5 * r.NormFloat64()
			}
		}
	}
}

// Far out x must stay finite and strictly inside, the log determinant and the
// pullback finite, and the gradient of the log determinant at its limit.
func TestTransformsFarOut(t *testing.T) {
	for name, tr := range transforms(t) {
		nx, nu := tr.Dims()
		x, u := make([]float64, nx), make([]float64, nu)
		gx, gu := make([]float64, nx), make([]float64, nu)
		for _, far := range []float64{-1e5, -800, -40, 40, 800, 1e5} {
			for i := range u {
				u[i] = far
				if i%2 == 1 {
					u[i] = far / 2
				}
			}
			if logDet := tr.Constrain(x, u); math.IsNaN(logDet) || math.IsInf(logDet, 0) {
				t.Errorf("%s at %g: log determinant is %g", name, far, logDet)
			}
			for i, v := range x {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s at %g: x[%d] = %g", name, far, i, v)
				}
			}
			// Increments that overflow leave no room for an order.
			if overflow := far > 700 && (name == "joint" || strings.Contains(name, "ordered")); !overflow {
				if err := tr.Unconstrain(make([]float64, nu), x); err != nil {
					t.Errorf("%s at %g: %v", name, far, err)
				}
			}
			tr.Pullback(gu, u, x, gx)
			for i, v := range gu {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s at %g: pullback[%d] = %g", name, far, i, v)
				}
			}
		}
	}
}

// The density of u integrates to 1 if that of x does.
func TestTransformsNormalise(t *testing.T) {
	t.Run("one dimension", func(t *testing.T) {
		inf := math.Inf(1)
		for name, c := range map[string]struct {
			tr Transform
			p  distuv.LogProber
		}{
			"positive": {Positive(1), distuv.Gamma{Alpha: 3, Beta: 2}},
			"above":    {mustInterval(t, []float64{1}, []float64{inf}), distuv.Pareto{Xm: 1, Alpha: 3}},
			"below":    {mustInterval(t, []float64{-inf}, []float64{0}), mirrored{distuv.Gamma{Alpha: 3, Beta: 2}}},
			"box":      {mustInterval(t, []float64{0}, []float64{1}), distuv.Beta{Alpha: 2, Beta: 3}},
		} {
			f := func(u float64) float64 {
				x := []float64{0}
				l := c.tr.Constrain(x, []float64{u})
				return math.Exp(l + c.p.LogProb(x[0]))
			}
			if got := quad.Fixed(f, -40, 40, 400, nil, 0); math.Abs(got-1) > 1e-8 {
				t.Errorf("%s: mass %v", name, got)
			}
		}
	})
	t.Run("simplex", func(t *testing.T) {
		p := distmv.NewDirichlet([]float64{2, 3, 1.5}, nil)
		tr, x := Simplex(3), make([]float64, 3)
		f := func(u float64) float64 {
			return quad.Fixed(func(v float64) float64 {
				l := tr.Constrain(x, []float64{u, v})
				return math.Exp(l + p.LogProb(x))
			}, -20, 20, 120, nil, 0)
		}
		if got := quad.Fixed(f, -20, 20, 120, nil, 0); math.Abs(got-1) > 1e-7 {
			t.Errorf("mass %v", got)
		}
	})
	t.Run("ordered", func(t *testing.T) {
		// The order statistics of two standard normals have density 2 φ φ.
		n := distuv.Normal{Mu: 0, Sigma: 1}
		tr, x := Ordered(2), make([]float64, 2)
		f := func(u float64) float64 {
			return quad.Fixed(func(v float64) float64 {
				l := tr.Constrain(x, []float64{u, v})
				return 2 * math.Exp(l+n.LogProb(x[0])+n.LogProb(x[1]))
			}, -30, 4, 200, nil, 0)
		}
		if got := quad.Fixed(f, -9, 9, 100, nil, 0); math.Abs(got-1) > 1e-7 {
			t.Errorf("mass %v", got)
		}
	})
}

type mirrored struct{ distuv.Gamma }

func (m mirrored) LogProb(x float64) float64 { return m.Gamma.LogProb(-x) }

func TestSimplexCentre(t *testing.T) {
	x := make([]float64, 4)
	Simplex(4).Constrain(x, make([]float64, 3))
	for i, v := range x {
		if math.Abs(v-0.25) > 1e-15 {
			t.Errorf("x[%d] = %v at u = 0, want 1/4", i, v)
		}
	}
}

func TestUnconstrainSaysWhatIsOutside(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		tr   Transform
		x    []float64
		want string
	}{
		{Identity(2), []float64{0, math.NaN()}, "x[1] = NaN"},
		{Positive(2), []float64{1, 0}, "x[1] = 0 is not inside (0, +Inf)"},
		{mustInterval(t, []float64{-inf}, []float64{1}), []float64{2}, "x[0] = 2 is not inside (-Inf, 1)"},
		{mustInterval(t, []float64{-1}, []float64{1}), []float64{1}, "x[0] = 1 is not inside (-1, 1)"},
		{Simplex(2), []float64{0.5, 0.6}, "sum to 1.1"},
		{Simplex(2), []float64{1.5, -0.5}, "x[1] = -0.5 is not positive"},
		{Ordered(3), []float64{1, 2, 2}, "x[2] = 2 is not above 2"},
		{PositiveOrdered(1), []float64{-1}, "x[0] = -1 is not above 0"},
		{Joint(Identity(2), Positive(1)), []float64{1, 2, -3}, "begins at x[2]"},
	} {
		_, nu := c.tr.Dims()
		err := c.tr.Unconstrain(make([]float64, nu), c.x)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T at %v: error %v, want %q", c.tr, c.x, err, c.want)
		}
	}
}

func TestIntervalErrors(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		lower, upper []float64
		want         string
	}{
		{nil, nil, "lower is empty"},
		{[]float64{1}, []float64{2, 3}, "length 1, upper has length 2"},
		{[]float64{0, 1}, []float64{1, 1}, "lower[1] = 1 is not below upper[1] = 1"},
		{[]float64{math.NaN()}, []float64{1}, "lower[0] = NaN"},
		{[]float64{inf}, []float64{inf}, "lower[0] = +Inf"},
		{[]float64{-math.MaxFloat64}, []float64{math.MaxFloat64}, "overflows"},
	} {
		if _, err := Interval(c.lower, c.upper); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Interval(%v, %v): error %v, want %q", c.lower, c.upper, err, c.want)
		}
	}
}

// CheckTransform must find a wrong determinant and a wrong pullback.
func TestCheckTransformFindsMistakes(t *testing.T) {
	u := []float64{0.3, -0.2}
	if err := CheckTransform(wrongDet{Positive(2)}, u); err == nil || !strings.Contains(err.Error(), "det") {
		t.Errorf("wrong determinant: %v", err)
	}
	if err := CheckTransform(wrongPullback{Positive(2)}, u); err == nil || !strings.Contains(err.Error(), "Pullback[0]") {
		t.Errorf("wrong pullback: %v", err)
	}
}

type wrongDet struct{ Transform }

func (w wrongDet) Constrain(x, u []float64) float64 { return w.Transform.Constrain(x, u) + 1e-5 }

type wrongPullback struct{ Transform }

func (w wrongPullback) Pullback(gu, u, x, gx []float64) {
	w.Transform.Pullback(gu, u, x, gx)
	gu[0]--
}

func TestTransformsDoNotAllocate(t *testing.T) {
	for name, tr := range transforms(t) {
		nx, nu := tr.Dims()
		x, u, gx, gu := make([]float64, nx), make([]float64, nu), make([]float64, nx), make([]float64, nu)
		noAllocations(t, name, func() {
			tr.Constrain(x, u)
			if err := tr.Unconstrain(u, x); err != nil {
				t.Fatal(err)
			}
			tr.Pullback(gu, u, x, gx)
		})
	}
}
