package prior

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

func mustMixture(t testing.TB, weights []float64, means *mat.Dense, covs ...mat.Symmetric) *Mixture {
	t.Helper()
	m, err := NewMixture(weights, means, covs, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func mustIsotropic(t testing.TB, weights []float64, means *mat.Dense, sd ...float64) *Mixture {
	t.Helper()
	m, err := NewIsotropicMixture(weights, means, sd, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mixtures returns one mixture of each kind in three dimensions.
func mixtures(t testing.TB) map[string]*Mixture {
	means := randomDense(4, 3, 1)
	means.Scale(2, means)
	w := []float64{0.1, 0.2, 0.3, 0.4}
	a, b := randomCovariance(3, 2), randomCovariance(3, 3)
	d, e := mat.NewDiagDense(3, []float64{1, 2, 0.5}), mat.NewDiagDense(3, []float64{0.3, 1, 1})
	return map[string]*Mixture{
		"isotropic":         mustIsotropic(t, w, means, 0.7),
		"isotropic, unlike": mustIsotropic(t, w, means, 0.7, 0.5, 0.5, 1.2),
		"diagonal":          mustMixture(t, w, means, d),
		"diagonal, unlike":  mustMixture(t, w, means, d, d, e, e),
		"full":              mustMixture(t, w, means, a),
		"full, unlike":      mustMixture(t, w, means, a, b, b, d),
		"one":               mustMixture(t, nil, mat.NewDense(1, 3, []float64{1, 2, 3}), a),
		"zero weight":       mustIsotropic(t, []float64{0, 1, 0, 2}, means, 0.7),
	}
}

func TestMixture(t *testing.T) {
	x := []float64{0.3, -1, 0.8}
	for name, m := range mixtures(t) {
		t.Run(name, func(t *testing.T) {
			testPrior(t, m, x)
			var cov mat.SymDense
			m.CovarianceMatrix(&cov)
			testCovariance(t, m, m.Mean(nil), &cov)
			// The sum over components, by gonum.
			want, weights := 0.0, m.Weights(nil)
			for k := range m.Len() {
				var s mat.SymDense
				g := m.Component(k)
				g.CovarianceMatrix(&s)
				n, _ := distmv.NewNormal(g.Mean(nil), &s, nil)
				want += weights[k] * n.Prob(x)
			}
			if got := m.LogProb(x); !closeTo(got, math.Log(want), 1e-12) {
				t.Errorf("LogProb %v, want %v", got, math.Log(want))
			}
			if sum := floats.Sum(m.Responsibilities(nil, x)); !closeTo(sum, 1, 1e-14) {
				t.Errorf("responsibilities sum to %v", sum)
			}
		})
	}
}

func lecture(t testing.TB) *Mixture {
	return mustIsotropic(t, []float64{0.3, 0.5, 0.2}, mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}), 0.3, 0.4, 0.3)
}

// The example of Ruthotto's lecture on inverse problems.
func TestMixtureConditionLecture(t *testing.T) {
	post, evidence, err := lecture(t).Condition(mat.NewDense(1, 1, []float64{1}), []float64{0.5}, mat.NewDiagDense(1, []float64{0.64}))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range []float64{0.001237, 0.801063, 0.197700} {
		if got := post.Weights(nil)[k]; math.Abs(got-want) > 5e-7 {
			t.Errorf("weight %d is %v, want %v", k, got, want)
		}
	}
	var v mat.SymDense
	post.CovarianceMatrix(&v)
	if mean, sd := post.Mean(nil)[0], math.Sqrt(v.At(0, 0)); math.Abs(mean-0.34965) > 5e-6 || math.Abs(sd-0.61993) > 5e-6 {
		t.Errorf("mean %v, standard deviation %v, want 0.34965, 0.61993", mean, sd)
	}
	// Evidence and density by quadrature of prior times likelihood.
	joint := func(x float64) float64 {
		r := (0.5 - x) / 0.8
		return math.Exp(lecture(t).LogProb([]float64{x}) - r*r/2 - math.Log(0.8*math.Sqrt(2*math.Pi)))
	}
	z := quad.Fixed(joint, -6, 6, 400, nil, 0)
	if !closeTo(evidence, math.Log(z), 1e-8) {
		t.Errorf("log evidence %v, by quadrature %v", evidence, math.Log(z))
	}
	for _, x := range []float64{-2.2, -1, 0, 0.4, 1.6} {
		if got, want := post.LogProb([]float64{x}), math.Log(joint(x)/z); !closeTo(got, want, 1e-8) {
			t.Errorf("log posterior at %g is %v, by quadrature %v", x, got, want)
		}
	}
}

// Bayes' rule pointwise, for all kinds and both shapes of A: the posterior
// times the evidence is the prior times the likelihood.
func TestMixtureConditionIsBayesRule(t *testing.T) {
	for name, m := range mixtures(t) {
		for _, rows := range []int{1, 3, 5} {
			a, r := randomDense(rows, 3, 4), randomCovariance(rows, 5)
			y := randomDense(1, rows, 6).RawRowView(0)
			post, evidence, err := m.Condition(a, y, r)
			if err != nil {
				t.Fatal(err)
			}
			noise, err := NewGaussian(y, r, nil)
			if err != nil {
				t.Fatal(err)
			}
			points := randomDense(5, 3, 7)
			for i := range 5 {
				x := points.RawRowView(i)
				var ax mat.VecDense
				ax.MulVec(a, mat.NewVecDense(3, x))
				want := m.LogProb(x) + noise.LogProb(ax.RawVector().Data) - evidence
				if got := post.LogProb(x); !closeTo(got, want, 1e-9) {
					t.Errorf("%s, %d data: log posterior %v, want %v", name, rows, got, want)
				}
			}
			testPrior(t, post, points.RawRowView(0))
		}
	}
}

// A thousand standard deviations out the score is that of the component that
// dominates there.
func TestMixtureTails(t *testing.T) {
	m := mustIsotropic(t, []float64{0.5, 0.5}, mat.NewDense(2, 2, []float64{-1, 0, 1, 0}), 0.01)
	x := []float64{11, 3}
	want := []float64{-1e4 * 10, -1e4 * 3}
	score := m.ScoreInput(nil, x)
	diffused := mat.NewDense(1, 2, nil)
	m.DiffusedScore(diffused, mat.NewDense(1, 2, x), 1, 0)
	for i := range want {
		if !closeTo(score[i], want[i], 1e-12) || !closeTo(diffused.At(0, i), want[i], 1e-12) {
			t.Errorf("score[%d] is %v, diffused %v, want %v", i, score[i], diffused.At(0, i), want[i])
		}
	}
	if got, want := m.LogProb(x), math.Log(0.5)-math.Log(2*math.Pi*1e-4)-0.5*1e4*109; !closeTo(got, want, 1e-12) {
		t.Errorf("LogProb %v, want %v", got, want)
	}
}

func TestMixtureErrors(t *testing.T) {
	means := mat.NewDense(2, 1, []float64{0, 1})
	one := mat.NewDiagDense(1, []float64{1})
	nan := math.NaN()
	for _, c := range []struct {
		weights []float64
		means   *mat.Dense
		covs    []mat.Symmetric
		want    string
	}{
		{nil, nil, []mat.Symmetric{one}, "means is empty"},
		{nil, &mat.Dense{}, []mat.Symmetric{one}, "means is empty"},
		{nil, mat.NewDense(1, 1, []float64{nan}), []mat.Symmetric{one}, "means: element (0, 0) is NaN"},
		{nil, means, nil, "covs has length 0, want 1 or 2"},
		{nil, means, []mat.Symmetric{one, nil}, "covs[1] is nil"},
		{nil, means, []mat.Symmetric{mat.NewDiagDense(2, []float64{1, 1})}, "covs[0] is 2×2, want 1×1"},
		{[]float64{1}, means, []mat.Symmetric{one}, "weights has length 1"},
		{[]float64{1, -1}, means, []mat.Symmetric{one}, "weights[1] is -1"},
		{[]float64{nan, 1}, means, []mat.Symmetric{one}, "weights[0] is NaN"},
		{[]float64{0, 0}, means, []mat.Symmetric{one}, "weights sum to 0"},
	} {
		if _, err := NewMixture(c.weights, c.means, c.covs, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	for _, sd := range [][]float64{{0}, {1, -1}, {nan}} {
		if _, err := NewIsotropicMixture(nil, means, sd, nil); err == nil || !strings.Contains(err.Error(), "sd[") {
			t.Errorf("sd %v: error %v", sd, err)
		}
	}
	if _, err := NewIsotropicMixture(nil, means, nil, nil); err == nil || !strings.Contains(err.Error(), "sd has length 0") {
		t.Errorf("no sd: error %v", err)
	}
	if got := mustIsotropic(t, []float64{2, 6}, means, 1).Weights(nil); !slices.Equal(got, []float64{0.25, 0.75}) {
		t.Errorf("normalised weights %v", got)
	}
}
