package likelihood

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/rng"
)

func logProb(noise Noise, y, f []float64) float64 {
	return noise.LogProbScore(make([]float64, len(f)), y, f)
}

// Every law against gonum's density.
func TestLogProbAgreesWithGonum(t *testing.T) {
	diag := []float64{0.1, 0.2, 0.3, 0.4, 0.5}
	exposure := []float64{1, 2, 3, 4, 5}
	law := laws(t)
	gonum := map[string]func(y, f float64, i int) float64{
		"Normal":     func(y, f float64, i int) float64 { return distuv.Normal{Mu: f, Sigma: 0.7}.LogProb(y) },
		"NormalDiag": func(y, f float64, i int) float64 { return distuv.Normal{Mu: f, Sigma: diag[i]}.LogProb(y) },
		"StudentT": func(y, f float64, i int) float64 {
			return distuv.StudentsT{Mu: f, Sigma: 0.4, Nu: 3.5}.LogProb(y)
		},
		"Laplace": func(y, f float64, i int) float64 { return distuv.Laplace{Mu: f, Scale: 0.3}.LogProb(y) },
		"Poisson": func(y, f float64, i int) float64 { return distuv.Poisson{Lambda: f}.LogProb(y) },
		"PoissonLog": func(y, f float64, i int) float64 {
			return distuv.Poisson{Lambda: exposure[i] * math.Exp(f)}.LogProb(y)
		},
		"BernoulliLogit": func(y, f float64, i int) float64 {
			return distuv.Bernoulli{P: 1 / (1 + math.Exp(-f))}.LogProb(y)
		},
		"LogNormal": func(y, f float64, i int) float64 {
			return distuv.LogNormal{Mu: math.Log(f), Sigma: 0.4}.LogProb(y)
		},
	}
	f := []float64{0.3, 1.7, 2.5, 0.9, 4.2}
	for name, density := range gonum {
		y := make([]float64, testM)
		law[name].Rand(y, f, rng.New(2, 0))
		var want float64
		for i := range y {
			want += density(y[i], f[i], i)
		}
		if got := logProb(law[name], y, f); !scalar.EqualWithinAbsOrRel(got, want, 1e-12, 1e-12) {
			t.Errorf("%s: %.15g, gonum %.15g", name, got, want)
		}
	}
	y := make([]float64, testM)
	law["NormalCov"].Rand(y, f, rng.New(2, 0))
	normal, _ := distmv.NewNormal(f, covariance(testM), nil)
	if got, want := logProb(law["NormalCov"], y, f), normal.LogProb(y); !scalar.EqualWithinAbsOrRel(got, want, 1e-12, 1e-12) {
		t.Errorf("NormalCov: %.15g, gonum %.15g", got, want)
	}
}

// Every law integrates to 1 over y, and Rand has the mean and the variance of
// that integral, within 4.5 standard errors.
func TestNormalisedAndDrawn(t *testing.T) {
	const f = 1.3
	normal, _ := NewNormal(0.7)
	cov, _ := NewNormalCov(mat.NewSymDense(1, []float64{0.49}))
	for _, tc := range []struct {
		name     string
		noise    Noise
		lo, hi   float64
		discrete bool
	}{
		{"Normal", normal, f - 9, f + 9, false},
		{"NormalCov", cov, f - 9, f + 9, false},
		{"StudentT", StudentT{Nu: 9, Scale: 0.4}, f - 100, f + 100, false},
		{"Laplace", Laplace{Scale: 0.3}, f - 15, f + 15, false},
		{"Huber", Huber{Scale: 0.3}, f - 12, f + 12, false},
		{"HuberNarrow", Huber{Scale: 0.3, Delta: 0.2}, f - 60, f + 60, false},
		{"LogNormal", LogNormal{Sigma: 0.4}, 1e-3, 40, false},
		{"Poisson", Poisson{Exposure: []float64{2.5}}, 0, 60, true},
		{"PoissonLog", Poisson{Exposure: []float64{2.5}, Log: true}, 0, 90, true},
		{"BernoulliLogit", BernoulliLogit{}, 0, 1, true},
	} {
		moment := func(k int) float64 {
			g := func(y float64) float64 {
				return math.Pow(y, float64(k)) * math.Exp(logProb(tc.noise, []float64{y}, []float64{f}))
			}
			if !tc.discrete {
				// The kink of Laplace is at f.
				return quad.Fixed(g, tc.lo, f, 2000, nil, 0) + quad.Fixed(g, f, tc.hi, 2000, nil, 0)
			}
			var s float64
			for y := tc.lo; y <= tc.hi; y++ {
				s += g(y)
			}
			return s
		}
		if one := moment(0); math.Abs(one-1) > 1e-8 {
			t.Errorf("%s: integral %.12g", tc.name, one)
		}
		mean := moment(1)
		variance := moment(2) - mean*mean
		fourth := moment(4) - 4*mean*moment(3) + 6*mean*mean*moment(2) - 3*math.Pow(mean, 4)

		const draws = 40000
		src := rng.New(9, 0)
		y := []float64{0}
		var m1, m2 float64
		for range draws {
			tc.noise.Rand(y, []float64{f}, src)
			m1 += (y[0] - mean) / draws
			m2 += (y[0] - mean) * (y[0] - mean) / draws
		}
		if se := math.Sqrt(variance / draws); math.Abs(m1) > 4.5*se {
			t.Errorf("%s: mean of draws off by %g, standard error %g", tc.name, m1, se)
		}
		if se := math.Sqrt((fourth - variance*variance) / draws); math.Abs(m2-variance) > 4.5*se {
			t.Errorf("%s: variance of draws %g, want %g, standard error %g", tc.name, m2, variance, se)
		}
	}
}

func TestNormalCovRand(t *testing.T) {
	noise := laws(t)["NormalCov"]
	const draws = 40000
	f := []float64{1, 2, 3, 4, 5}
	src, cov := rng.New(4, 0), covariance(testM)
	y, got := make([]float64, testM), mat.NewSymDense(testM, nil)
	for range draws {
		noise.Rand(y, f, src)
		for i := range y {
			y[i] -= f[i]
		}
		got.SymRankOne(got, 1./draws, mat.NewVecDense(testM, y))
	}
	for i := range testM {
		for j := range testM {
			c := cov.At(i, j)
			se := math.Sqrt((cov.At(i, i)*cov.At(j, j) + c*c) / draws)
			if math.Abs(got.At(i, j)-c) > 4.5*se {
				t.Errorf("covariance[%d, %d] of draws %g, want %g, standard error %g", i, j, got.At(i, j), c, se)
			}
		}
	}
}

// The ends of the parameter ranges: values are limits, and nothing is NaN
// that has one.
func TestLimits(t *testing.T) {
	inf := math.Inf(1)
	for _, tc := range []struct {
		name  string
		noise Noise
		y, f  float64
		want  float64
		score float64
	}{
		{"no count, rate 0", Poisson{}, 0, 0, 0, -1},
		{"a count, rate 0", Poisson{}, 2, 0, -inf, math.NaN()},
		{"negative rate", Poisson{}, 0, -1, -inf, math.NaN()},
		{"no count, log rate -Inf", Poisson{Log: true}, 0, -inf, 0, 0},
		{"certain 1", BernoulliLogit{}, 1, 800, 0, 0},
		{"certain 0", BernoulliLogit{}, 0, -inf, 0, 0},
		{"impossible 1", BernoulliLogit{}, 1, -800, -800, 1},
		{"impossible 0", BernoulliLogit{}, 0, inf, -inf, math.NaN()},
		{"kink", Laplace{Scale: 0.5}, 3, 3, 0, 0},
		{"median 0", LogNormal{Sigma: 1}, 1, 0, -inf, math.NaN()},
	} {
		score := []float64{0}
		if got := tc.noise.LogProbScore(score, []float64{tc.y}, []float64{tc.f}); got != tc.want {
			t.Errorf("%s: log probability %g, want %g", tc.name, got, tc.want)
		}
		if !math.IsNaN(tc.score) && score[0] != tc.score {
			t.Errorf("%s: score %g, want %g", tc.name, score[0], tc.score)
		}
	}
}

func TestGaussianCovarianceForms(t *testing.T) {
	op := newSoftplusOp(testM, testN)
	y := make([]float64, testM)
	iid, err := NewGaussian(op, y, 0.7)
	if err != nil {
		t.Fatal(err)
	}
	diag, err := NewGaussianDiag(op, y, []float64{0.1, 0.2, 0.3, 0.4, 0.5})
	if err != nil {
		t.Fatal(err)
	}
	full, err := NewGaussianCov(op, y, covariance(testM))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := iid.Sigma(); s != 0.7 || !ok {
		t.Errorf("Sigma of iid noise: %g, %t", s, ok)
	}
	if _, ok := diag.Sigma(); ok {
		t.Error("diagonal noise has a Sigma")
	}
	for name, g := range map[string]*Gaussian{"iid": iid, "diag": diag, "full": full} {
		cov := mat.NewSymDense(testM, nil)
		g.AddCovariance(cov)
		var chol mat.Cholesky
		if !chol.Factorize(cov) {
			t.Fatal(name)
		}
		if got, want := g.LogDet(), chol.LogDet(); !scalar.EqualWithinAbsOrRel(got, want, 1e-12, 1e-12) {
			t.Errorf("%s: LogDet %g, want %g", name, got, want)
		}
		r := mat.NewDense(3, testM, nil)
		rng.FillNormal(r.RawMatrix().Data, rng.New(1, 0))
		var want, got, white, back mat.Dense
		if err := chol.SolveTo(&want, r.T()); err != nil {
			t.Fatal(err)
		}
		for _, d := range []*mat.Dense{&got, &white, &back} {
			d.ReuseAs(3, testM)
		}
		g.Precision(&got, r)
		if !mat.EqualApprox(got.T(), &want, 1e-10) {
			t.Errorf("%s: Precision is not the inverse of AddCovariance", name)
		}
		g.Whiten(&white, r)
		g.Color(&back, &white)
		if !mat.EqualApprox(&back, r, 1e-12) {
			t.Errorf("%s: Color is not the inverse of Whiten", name)
		}
		g.WhitenT(&back, &white)
		if !mat.EqualApprox(&back, &got, 1e-10) {
			t.Errorf("%s: Whiten and WhitenT are not Precision", name)
		}
		// Color² = Σ: rows e_i L^T, so Color(I)ᵀ... C = I·Lᵀ has CᵀC = LLᵀ.
		id := mat.NewDense(testM, testM, nil)
		for i := range testM {
			id.Set(i, i, 1)
		}
		g.Color(id, id)
		var sigma mat.Dense
		sigma.Mul(id.T(), id)
		if !mat.EqualApprox(&sigma, cov, 1e-12) {
			t.Errorf("%s: Color is not a square root of AddCovariance", name)
		}
	}
	if !mat.EqualApprox(func() mat.Matrix { c := mat.NewSymDense(testM, nil); full.AddCovariance(c); return c }(), covariance(testM), 1e-14) {
		t.Error("AddCovariance does not return what NewGaussianCov was given")
	}
}
