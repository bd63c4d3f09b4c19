package prior

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

// continuous is every continuous distribution of distuv that has a density,
// with parameters that give it four moments.
var continuous = []distuv.LogProber{
	distuv.Beta{Alpha: 2, Beta: 3},
	distuv.Chi{K: 3},
	distuv.ChiSquared{K: 3},
	distuv.Exponential{Rate: 2},
	distuv.F{D1: 3, D2: 12},
	distuv.Gamma{Alpha: 2.5, Beta: 3},
	distuv.GumbelRight{Mu: 1, Beta: 2},
	distuv.InverseGamma{Alpha: 6, Beta: 3},
	distuv.Laplace{Mu: 1, Scale: 2},
	distuv.Logistic{Mu: 1, S: 2},
	distuv.LogNormal{Mu: 0.5, Sigma: 0.3},
	distuv.NoncentralT{Nu: 7, Mu: 1},
	distuv.Normal{Mu: 1, Sigma: 2},
	distuv.Pareto{Xm: 1, Alpha: 6},
	distuv.StudentsT{Mu: 1, Sigma: 2, Nu: 6},
	distuv.NewTriangle(0, 2, 0.5, nil),
	distuv.Uniform{Min: 1, Max: 2},
	distuv.Weibull{K: 2, Lambda: 1},
}

// Each distribution has mass 1, a right score, draws with the moments of its
// density, and a transform onto its support.
func TestProductOfEachDistribution(t *testing.T) {
	for _, d := range continuous {
		name := fmt.Sprintf("%T", d)
		p, err := NewProduct([]distuv.LogProber{d}, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := []float64{d.(distuv.Quantiler).Quantile(0.3)}
		testPrior(t, p, x)
		tr := TransformOf(p)
		if err := CheckTransform(tr, []float64{0.3}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// Moments in the unconstrained u, where the density is smooth.
		moment := func(f func(x float64) float64) float64 {
			return quad.Fixed(func(s float64) float64 {
				u := math.Sinh(s)
				l := tr.Constrain(x, []float64{u})
				v := math.Exp(l+p.LogProb(x)) * math.Cosh(s)
				if v == 0 {
					return 0
				}
				return f(x[0]) * v
			}, -7, 7, 1000, nil, 0)
		}
		if mass := moment(func(float64) float64 { return 1 }); math.Abs(mass-1) > 1e-5 {
			t.Errorf("%s: mass %v", name, mass)
		}
		mean := moment(func(x float64) float64 { return x })
		variance := moment(func(x float64) float64 { return (x - mean) * (x - mean) })
		testMoments(t, p, []float64{mean}, []float64{variance})
	}
}

func TestProduct(t *testing.T) {
	p, err := NewProduct(continuous, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(continuous))
	sum := 0.0
	for i, d := range continuous {
		x[i] = d.(distuv.Quantiler).Quantile(0.7)
		one, err := NewProduct([]distuv.LogProber{d}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sum += one.LogProb(x[i : i+1])
	}
	testPrior(t, p, x)
	if got := p.LogProb(x); !closeTo(got, sum, 1e-13) {
		t.Errorf("LogProb %v, sum of the coordinates %v", got, sum)
	}
	if err := CheckTransform(TransformOf(p), make([]float64, len(x))); err != nil {
		t.Error(err)
	}
	x[0] = 1.5 // outside
	if got := p.LogProb(x); !math.IsInf(got, -1) {
		t.Errorf("LogProb outside the support is %v", got)
	}
	for i, s := range p.ScoreInput(nil, x) {
		if s != 0 {
			t.Errorf("score[%d] outside the support is %v", i, s)
		}
	}
}

func TestIID(t *testing.T) {
	p, err := NewIID(3, distuv.Laplace{Scale: 0.5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	testPrior(t, p, []float64{0.3, -2, 1})
	testMoments(t, p, []float64{0, 0, 0}, []float64{0.5, 0.5, 0.5})
	if got, want := p.LogProb([]float64{1, -1, 2}), -8.0; !closeTo(got, want, 1e-14) {
		t.Errorf("LogProb %v, want %v", got, want)
	}
}

func TestProductDiscrete(t *testing.T) {
	p, err := NewProduct([]distuv.LogProber{distuv.Poisson{Lambda: 3, Src: rng.New(1, 0)}, distuv.Normal{Sigma: 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := []float64{2, 1}
	if got, want := p.LogProb(x), (distuv.Poisson{Lambda: 3}).LogProb(2)+(distuv.Normal{Sigma: 2}).LogProb(1); !closeTo(got, want, 1e-14) {
		t.Errorf("LogProb %v, want %v", got, want)
	}
	if s := p.ScoreInput(nil, x); s[0] != 0 || s[1] != -0.25 {
		t.Errorf("score %v, want [0 -0.25]", s)
	}
	draws := mat.NewDense(4000, 2, nil)
	p.Draw(draws, rng.New(1, 1))
	if mean := mat.Sum(draws.ColView(0)) / 4000; math.Abs(mean-3) > 4*math.Sqrt(3./4000) {
		t.Errorf("mean of Poisson draws is %v, want 3", mean)
	}
}

func TestProductErrors(t *testing.T) {
	for _, c := range []struct {
		d    distuv.LogProber
		want string
	}{
		{nil, "dists[1] is nil"},
		{distuv.Normal{Sigma: -1}, "dists[1] distuv.Normal"},
		{distuv.Gamma{Alpha: -1, Beta: 1}, "dists[1] distuv.Gamma"},
		{distuv.Uniform{Min: 2, Max: 1}, "dists[1] distuv.Uniform"},
		{noDraws{}, "neither Quantile nor Rand"},
	} {
		if _, err := NewProduct([]distuv.LogProber{distuv.UnitNormal, c.d}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: error %v, want %q", c.d, err, c.want)
		}
	}
	if _, err := NewProduct(nil, nil); err == nil {
		t.Error("an empty product is accepted")
	}
	if _, err := NewIID(0, distuv.UnitNormal, nil); err == nil {
		t.Error("no coordinates are accepted")
	}
}

type noDraws struct{}

func (noDraws) LogProb(float64) float64 { return 0 }
