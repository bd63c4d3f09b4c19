package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
)

func src(seed uint64) rand.Source { return rng.New(seed, 0) }

// bimodal is a problem in one dimension whose posterior all but loses one of
// the three modes of the prior.
type bimodal struct {
	prior *prior.Mixture
	lik   *likelihood.Gaussian
	post  *posterior.Mixture
	score *Diffused // of the prior under VP(0.1, 20)
}

func newBimodal(t testing.TB) *bimodal {
	t.Helper()
	pri, err := prior.NewIsotropicMixture([]float64{.3, .5, .2}, mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}), []float64{.3, .4, .3}, nil)
	check(t, err)
	op, err := forward.NewDense(mat.NewDense(1, 1, []float64{1}))
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{.5}, .8)
	check(t, err)
	post, err := posterior.NewMixture(pri, lik)
	check(t, err)
	score, err := Diffuse(pri, NewVP(0.1, 20))
	check(t, err)
	return &bimodal{pri, lik, post, score}
}

// summary is what draws in one dimension are judged by.
type summary struct{ mean, std, low, w1 float64 }

// summarize compares draws with a mixture; low is the mass on (-3, -1.5), w1
// the Wasserstein distance.
func summarize(m *prior.Mixture, x *mat.Dense) summary {
	v := append([]float64(nil), x.RawMatrix().Data...)
	sort.Float64s(v)
	var s summary
	s.mean, s.std = stat.MeanStdDev(v, nil)
	for _, u := range v {
		if u > -3 && u < -1.5 {
			s.low += 1 / float64(len(v))
		}
	}
	s.w1 = wasserstein(m, v)
	return s
}

// wasserstein returns ∫|F - F_n| for sorted draws, by quadrature on a fine grid.
func wasserstein(m *prior.Mixture, sorted []float64) float64 {
	weights := m.Weights(nil)
	components := make([]distuv.Normal, len(weights))
	for k := range weights {
		c := m.Component(k)
		components[k] = distuv.Normal{Mu: c.Mean(nil)[0], Sigma: math.Sqrt(c.Variance(nil)[0])}
	}
	cdf := func(x float64) (f float64) {
		for k, w := range weights {
			f += w * components[k].CDF(x)
		}
		return f
	}
	lo, hi := math.Min(-6, sorted[0]), math.Max(6, sorted[len(sorted)-1])
	const n = 6000
	h := (hi - lo) / n
	i, sum := 0, 0.0
	for k := range n {
		x := lo + (float64(k)+.5)*h
		for i < len(sorted) && sorted[i] <= x {
			i++
		}
		sum += h * math.Abs(cdf(x)-float64(i)/float64(len(sorted)))
	}
	return sum
}

func draw(t testing.TB, s inverse.Sampler, n int) *mat.Dense {
	t.Helper()
	x := mat.NewDense(n, s.Dim(), nil)
	check(t, s.Sample(context.Background(), x))
	return x
}

func sumOf(t testing.TB, scores ...inverse.ScoreFunc) inverse.ScoreFunc {
	t.Helper()
	s, err := posterior.Sum(scores...)
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func gaussianMatrix(r *rand.Rand, rows, cols int) *mat.Dense {
	m := mat.NewDense(rows, cols, nil)
	for i := range rows {
		for j := range cols {
			m.Set(i, j, r.NormFloat64())
		}
	}
	return m
}
