package sampler

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// kernelCase is a kernel and how it is run on the linear Gaussian posterior.
type kernelCase struct {
	name   string
	kernel Kernel
	draws  int
	thin   int
	cov    *mat.SymDense // what its draws have, nil for the posterior's
}

func kernelCases(t testing.TB, g *linearGaussian) []kernelCase {
	proposal, ok := distmv.NewNormal(g.mean, scaled(g.cov, 2), nil)
	if !ok {
		t.Fatal("proposal")
	}
	reference, ok := distmv.NewNormal([]float64{1.5, -0.7, 0.6}, scaled(g.cov, 1.5), nil)
	if !ok {
		t.Fatal("reference")
	}
	const h, tau, lambda = 0.05, 1.7, 0.3
	return []kernelCase{
		{name: "NUTS", kernel: &NUTS{}, draws: 2500},
		{name: "NUTS/variance", kernel: &NUTS{Metric: DiagonalVariance}, draws: 2500},
		{name: "NUTS/dense", kernel: &NUTS{Metric: Dense}, draws: 2500},
		{name: "NUTS/fisher", kernel: &NUTS{Metric: DiagonalFisher}, draws: 2500},
		{name: "HMC", kernel: &HMC{}, draws: 2500},
		{name: "HMC/unit", kernel: &HMC{Metric: Unit, Time: 1.2}, draws: 2500},
		{name: "MALA", kernel: &MALA{}, draws: 2500, thin: 5},
		{name: "Barker", kernel: &Barker{}, draws: 2500, thin: 8},
		{name: "RandomWalk", kernel: &RandomWalk{}, draws: 2500, thin: 15},
		{name: "RandomWalk/covariance", kernel: &RandomWalk{Covariance: g.c}, draws: 2500, thin: 15},
		{name: "Independence", kernel: &Independence{Proposal: proposal}, draws: 2500, thin: 2},
		{name: "AdaptiveMetropolis", kernel: &AdaptiveMetropolis{}, draws: 2500, thin: 12},
		{name: "AdaptiveMetropolis/forever", kernel: &AdaptiveMetropolis{Forever: true, Covariance: g.c}, draws: 2500, thin: 12},
		{name: "DRAM", kernel: &DRAM{}, draws: 2500, thin: 12},
		{name: "PCN", kernel: &PCN{Reference: g.prior}, draws: 2500, thin: 8},
		{name: "PCN/likelihood", kernel: &PCN{Reference: g.prior, Likelihood: density(g.LogLikelihood)}, draws: 2500, thin: 8},
		{name: "PCN/generalised", kernel: &PCN{Reference: reference}, draws: 2500, thin: 4},
		{name: "EllipticalSlice", kernel: &EllipticalSlice{Prior: g.prior}, draws: 2500, thin: 3},
		{name: "EllipticalSlice/likelihood", kernel: &EllipticalSlice{Prior: g.prior, Likelihood: density(g.LogLikelihood)}, draws: 2500, thin: 3},
		{name: "Slice", kernel: &Slice{}, draws: 2500, thin: 2},
		{name: "Gibbs", kernel: &Gibbs{Blocks: []Block{
			NormalBlock([]int{2, 0}, g.conditional(t, 2, 0)),
			NormalBlock([]int{1, 2}, g.conditional(t, 1, 2)),
		}}, draws: 2500},
		{name: "Gibbs/kernels", kernel: &Gibbs{Blocks: []Block{
			{Index: []int{2, 0}, Kernel: &NUTS{}},
			{Index: []int{1}, Kernel: &AdaptiveMetropolis{}, Steps: 3},
		}}, draws: 2500, thin: 2},
		{name: "MCLMC", kernel: &MCLMC{EnergyVariance: 1e-5}, draws: 2500},
		{name: "Tempering", kernel: &Tempering{Kernel: &NUTS{}, Levels: 3}, draws: 2500},
		{name: "Tempering/base", kernel: &Tempering{Kernel: &AdaptiveMetropolis{}, Base: g.prior, Levels: 3}, draws: 2500, thin: 8},
		{name: "ULA", kernel: &ULA{StepSize: h}, draws: 2500, thin: 20, cov: g.langevinCovariance(t, h, 0)},
		{name: "MYULA", kernel: &MYULA{StepSize: h, Lambda: lambda, Prox: func(dst, x []float64, lambda float64) {
			// g(x) = |x - mean|²/2τ, whose envelope is |x - mean|²/2(τ+λ).
			for i, v := range x {
				dst[i] = (tau*v + lambda*g.mean[i]) / (tau + lambda)
			}
		}}, draws: 2500, thin: 20, cov: g.langevinCovariance(t, h, 1/(tau+lambda))},
	}
}

func scaled(c *mat.SymDense, f float64) *mat.SymDense {
	var s mat.SymDense
	s.ScaleSym(f, c)
	return &s
}

// conditional is the distribution of some coordinates of the posterior given
// the others: with the posterior precision Λ, Q = Λ_bb and b = (Λ m)_b - Λ_ba x_a.
func (g *linearGaussian) conditional(t testing.TB, index ...int) func(q *mat.SymDense, b, x []float64) {
	prec := g.precision(t)
	var lm mat.VecDense
	lm.MulVec(prec, mat.NewVecDense(3, g.mean))
	return func(q *mat.SymDense, b, x []float64) {
		for i, k := range index {
			b[i] = lm.AtVec(k)
			for j := range 3 {
				at := slices.Index(index, j)
				if at < 0 {
					b[i] -= prec.At(k, j) * x[j]
				} else if at >= i {
					q.SetSym(i, at, prec.At(k, j))
				}
			}
		}
	}
}

func (g *linearGaussian) precision(t testing.TB) *mat.Dense {
	var p mat.Dense
	if err := p.Inverse(g.cov); err != nil {
		t.Fatal(err)
	}
	return &p
}

// langevinCovariance is that of x - hΛx + √(2h) z in equilibrium,
// (Λ(I - hΛ/2))⁻¹, for Λ the posterior precision plus extra I.
func (g *linearGaussian) langevinCovariance(t testing.TB, h, extra float64) *mat.SymDense {
	l := g.precision(t)
	for i := range 3 {
		l.Set(i, i, l.At(i, i)+extra)
	}
	var s, inv mat.Dense
	s.Mul(l, l)
	s.Scale(-h/2, &s)
	s.Add(&s, l)
	if err := inv.Inverse(&s); err != nil {
		t.Fatal(err)
	}
	c := mat.NewSymDense(3, nil)
	for i := range 3 {
		for j := i; j < 3; j++ {
			c.SetSym(i, j, inv.At(i, j))
		}
	}
	return c
}

func TestKernelsOnLinearGaussian(t *testing.T) {
	g := newLinearGaussian(t)
	for _, c := range kernelCases(t, g) {
		t.Run(c.name, func(t *testing.T) {
			r := mustRun(t, g, c.kernel, &Settings{Draws: fewer(c.draws), Thin: c.thin, Src: rng.New(11, 0)})
			cov := c.cov
			if cov == nil {
				cov = g.cov
			}
			checkGaussian(t, r, g.mean, cov)
			if s := r.Summary(); !testing.Short() && !s.Converged() {
				t.Errorf("not converged:\n%v", s)
			}
			if r.Divergences > 0 {
				t.Errorf("%d divergences", r.Divergences)
			}
		})
	}
}

// Resumed from a checkpoint in warm-up, at its end, or between draws, a run
// goes on as if it had not been interrupted.
func TestResumeEqualsUninterrupted(t *testing.T) {
	g := newLinearGaussian(t)
	const warmup, draws, thin = 120, 40, 2
	for _, c := range kernelCases(t, g) {
		t.Run(c.name, func(t *testing.T) {
			settings := func() *Settings {
				return &Settings{Chains: 2, Warmup: warmup, Draws: draws, Thin: thin, Src: rng.New(12, 0)}
			}
			whole := mustRun(t, g, c.kernel, settings())
			for _, stop := range []int{1, 57, warmup, warmup + 1, warmup + 33} {
				part := interrupted(t, g, c.kernel, settings(), stop)
				s := settings()
				s.Src = nil
				s.Resume = part
				sameDraws(t, fmt.Sprintf("resumed at %d", stop), mustRun(t, g, c.kernel, s), whole)
			}
		})
	}
}

// interrupted returns the checkpoint of a run after iteration at of each of
// its chains.
func interrupted(t *testing.T, g *linearGaussian, k Kernel, s *Settings, at int) []byte {
	t.Helper()
	r, err := newRun(context.Background(), g, k, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.chains {
		iterate(t, r, c, at)
	}
	data, err := r.result().MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func iterate(t testing.TB, r *run, c *chain, n int) {
	t.Helper()
	for range n {
		if err := r.iterate(c); err != nil {
			t.Fatal(err)
		}
	}
}

func sameDraws(t *testing.T, what string, got, want *Result) {
	t.Helper()
	if len(got.Chains) != len(want.Chains) {
		t.Fatalf("%s: %d chains, want %d", what, len(got.Chains), len(want.Chains))
	}
	for i := range got.Chains {
		if !slices.Equal(got.Chains[i].RawMatrix().Data, want.Chains[i].RawMatrix().Data) {
			t.Errorf("%s: the draws of chain %d differ", what, i+1)
		}
		// Energies may be NaN; compare bits.
		var a, b bytes.Buffer
		a.Write(appendFloats(nil, got.Stats[i].RawMatrix().Data))
		b.Write(appendFloats(nil, want.Stats[i].RawMatrix().Data))
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: the statistics of chain %d differ", what, i+1)
		}
	}
}

func TestSameBitsForEveryGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	g := newLinearGaussian(t)
	for _, c := range kernelCases(t, g) {
		var first *Result
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			r := mustRun(t, g, c.kernel, &Settings{Chains: 3, Warmup: 100, Draws: 50, Src: rng.New(13, 0)})
			if first == nil {
				first = r
				continue
			}
			sameDraws(t, fmt.Sprintf("%s with GOMAXPROCS = %d", c.name, procs), r, first)
		}
	}
}

// standard is N(0, I) in three dimensions, which allocates nothing.
type standard struct{}

func (standard) Dim() int                    { return 3 }
func (standard) LogProb(x []float64) float64 { return -dot(x, x) / 2 }
func (standard) Mean([]float64) []float64    { return make([]float64, 3) }
func (standard) Draw(dst *mat.Dense, src rand.Source) {
	rng.FillNormal(dst.RawRowView(0), src)
}
func (standard) ScoreInput(score, x []float64) []float64 {
	for i, v := range x {
		score[i] = -v
	}
	return score
}

func TestNoAllocationPerIteration(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool allocate")
	}
	g := newLinearGaussian(t)
	for _, c := range kernelCases(t, g) {
		switch k := c.kernel.(type) {
		// gonum's normal distribution allocates.
		case *Independence:
			k.Proposal = standard{}
		case *PCN:
			k.Reference = standard{}
		case *EllipticalSlice:
			k.Prior = standard{}
		case *Tempering:
			if k.Base != nil {
				k.Base = standard{}
			}
		}
		var target inverse.Density = quartic{3}
		if strings.HasSuffix(c.name, "/likelihood") {
			switch k := c.kernel.(type) {
			case *PCN:
				k.Likelihood = quartic{3}
			case *EllipticalSlice:
				k.Likelihood = quartic{3}
			}
		}
		r, err := newRun(context.Background(), target, c.kernel, &Settings{Chains: 1, Warmup: 200, Draws: 2000, Src: rng.New(14, 0)})
		if err != nil {
			t.Fatal(err)
		}
		iterate(t, r, r.chains[0], 700)
		if n := testing.AllocsPerRun(1000, func() {
			if err := r.iterate(r.chains[0]); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times an iteration", c.name, n)
		}
	}
}
