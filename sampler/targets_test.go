package sampler

import (
	"context"
	"math"
	"testing"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// linearGaussian is the posterior of x ~ N(m, C), y = A x + N(0, s²I), scored
// as prior plus likelihood. Its moments are those of the textbook.
type linearGaussian struct {
	prior *distmv.Normal
	m     []float64
	c     *mat.SymDense
	a     *mat.Dense
	y     []float64
	s     float64

	mean []float64
	cov  *mat.SymDense
}

func newLinearGaussian(t testing.TB) *linearGaussian {
	t.Helper()
	g := &linearGaussian{
		m: []float64{2, -1, 0.5},
		c: mat.NewSymDense(3, []float64{1, 0.3, 0, 0.3, 2, -0.4, 0, -0.4, 0.5}),
		a: mat.NewDense(2, 3, []float64{1, 0.5, 0, -0.3, 1, 0.8}),
		y: []float64{1, 0.4}, s: 0.7,
	}
	var ok bool
	if g.prior, ok = distmv.NewNormal(g.m, g.c, nil); !ok {
		t.Fatal("prior covariance")
	}
	// Gain K = C Aᵀ (A C Aᵀ + s²I)⁻¹.
	var ca, aca, inv, k mat.Dense
	ca.Mul(g.c, g.a.T())
	aca.Mul(g.a, &ca)
	for i := range 2 {
		aca.Set(i, i, aca.At(i, i)+g.s*g.s)
	}
	if err := inv.Inverse(&aca); err != nil {
		t.Fatal(err)
	}
	k.Mul(&ca, &inv)
	var res, shift mat.VecDense
	res.MulVec(g.a, mat.NewVecDense(3, g.m))
	res.SubVec(mat.NewVecDense(2, g.y), &res)
	shift.MulVec(&k, &res)
	g.mean = make([]float64, 3)
	for i := range g.mean {
		g.mean[i] = g.m[i] + shift.AtVec(i)
	}
	var drop mat.Dense
	drop.Mul(&k, ca.T())
	g.cov = mat.NewSymDense(3, nil)
	for i := range 3 {
		for j := i; j < 3; j++ {
			g.cov.SetSym(i, j, g.c.At(i, j)-drop.At(i, j))
		}
	}
	return g
}

func (g *linearGaussian) Dim() int { return 3 }

func (g *linearGaussian) residual(x []float64) [2]float64 {
	var r [2]float64
	for i := range r {
		r[i] = g.y[i]
		for j, v := range x {
			r[i] -= g.a.At(i, j) * v
		}
	}
	return r
}

func (g *linearGaussian) LogLikelihood(x []float64) float64 {
	r := g.residual(x)
	return -(r[0]*r[0] + r[1]*r[1]) / (2 * g.s * g.s)
}

func (g *linearGaussian) LogProb(x []float64) float64 {
	return g.prior.LogProb(x) + g.LogLikelihood(x)
}

func (g *linearGaussian) ScoreInput(score, x []float64) []float64 {
	score = g.prior.ScoreInput(score, x)
	r := g.residual(x)
	for j := range score {
		for i, ri := range r {
			score[j] += g.a.At(i, j) * ri / (g.s * g.s)
		}
	}
	return score
}

// mixture1 is the even mixture of N(±m, s²) in one dimension.
type mixture1 struct{ m, s float64 }

func (b mixture1) Dim() int { return 1 }

func (b mixture1) LogProb(x []float64) float64 {
	u, v := (x[0]-b.m)/b.s, (x[0]+b.m)/b.s
	return logAddExp(-u*u/2, -v*v/2) - math.Ln2 - math.Log(b.s*math.Sqrt(2*math.Pi))
}

func (b mixture1) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, 1)
	}
	score[0] = (b.m*math.Tanh(b.m*x[0]/(b.s*b.s)) - x[0]) / (b.s * b.s)
	return score
}

// checkMoment holds the mean of f over the draws of each chain to want within
// 4 Monte Carlo standard errors.
func checkMoment(t *testing.T, what string, r *Result, f func(x []float64) float64, want float64) {
	t.Helper()
	var chains [][]float64
	for _, c := range r.Chains {
		n, _ := c.Dims()
		x := make([]float64, n)
		for i := range x {
			x[i] = f(c.RawRowView(i))
		}
		chains = append(chains, x)
	}
	var sum, n float64
	for _, c := range chains {
		for _, v := range c {
			sum += v
			n++
		}
	}
	mean, se := sum/n, MCSEMean(chains)
	if !(math.Abs(mean-want) < 4*se) {
		t.Errorf("%s is %.5f, want %.5f; off by %.1f standard errors of %.2g", what, mean, want, (mean-want)/se, se)
	}
}

// checkGaussian holds means and second moments of draws to those of N(mean,
// cov).
func checkGaussian(t *testing.T, r *Result, mean []float64, cov *mat.SymDense) {
	t.Helper()
	for i := range mean {
		checkMoment(t, "mean of "+r.Names[i], r, func(x []float64) float64 { return x[i] }, mean[i])
		for j := i; j < len(mean); j++ {
			checkMoment(t, "covariance of "+r.Names[i]+" and "+r.Names[j], r,
				func(x []float64) float64 { return (x[i] - mean[i]) * (x[j] - mean[j]) }, cov.At(i, j))
		}
	}
}

func mustRun(t testing.TB, target inverse.Density, k Kernel, s *Settings) *Result {
	t.Helper()
	if s.Src == nil {
		s.Src = rng.New(1, 0)
	}
	r, err := Run(context.Background(), target, k, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fewer returns n, less in a short test and less again under the race detector.
func fewer(n int) int {
	if testing.Short() {
		n /= 5
	}
	if raceEnabled {
		n /= 4
	}
	return n
}
