package sampler

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// logEvidence is log N(y; A m, A C Aᵀ + s²I) less the constant that
// LogLikelihood leaves out.
func (g *linearGaussian) logEvidence(t *testing.T) float64 {
	var ca, s mat.Dense
	ca.Mul(g.c, g.a.T())
	s.Mul(g.a, &ca)
	cov := mat.NewSymDense(2, nil)
	for i := range 2 {
		for j := i; j < 2; j++ {
			cov.SetSym(i, j, s.At(i, j))
		}
		cov.SetSym(i, i, cov.At(i, i)+g.s*g.s)
	}
	var mean mat.VecDense
	mean.MulVec(g.a, mat.NewVecDense(3, g.m))
	n, ok := distmv.NewNormal(mean.RawVector().Data, cov, nil)
	if !ok {
		t.Fatal("evidence covariance")
	}
	return n.LogProb(g.y) + math.Log(2*math.Pi*g.s*g.s)
}

// The mean over independent runs of the evidence estimate is unbiased, and the
// particles have the posterior's moments.
func TestSMCOnLinearGaussian(t *testing.T) {
	g := newLinearGaussian(t)
	want := g.logEvidence(t)
	for name, k := range map[string]Kernel{"random walk": nil, "NUTS": &NUTS{}, "HMC": &HMC{StepSize: 0.5}} {
		if testing.Short() && k != nil {
			continue
		}
		const runs = 8
		var logZ, claimed []float64
		all := &Result{Names: []string{"a", "b", "c"}}
		for i := range runs {
			r, err := SMC(context.Background(), g.prior, g, &SMCSettings{Kernel: k, Moves: 8, Src: rng.New(31, uint64(i))})
			if err != nil {
				t.Fatal(err)
			}
			logZ = append(logZ, r.LogEvidence)
			claimed = append(claimed, r.LogEvidenceSE)
			all.Chains = append(all.Chains, r.Draws)
			if r.Betas[0] != 0 || r.Betas[len(r.Betas)-1] != 1 || !slices.IsSorted(r.Betas) {
				t.Errorf("%s: β = %v", name, r.Betas)
			}
		}
		mean, sd := meanSD(logZ)
		if se := max(sd, claimed[0]) / math.Sqrt(runs); math.Abs(mean-want) > 4*se {
			t.Errorf("%s: log evidence %.4f ± %.4f, want %.4f", name, mean, se, want)
		}
		if c, _ := meanSD(claimed); c < sd/3 || c > 3*sd {
			t.Errorf("%s: the standard error of the log evidence is claimed to be %.4f, and is %.4f", name, c, sd)
		}
		// Runs are independent, particles of one run are not: means of runs.
		for i := range 3 {
			var means, squares []float64
			for _, c := range all.Chains {
				var m, q float64
				for k := range 1000 {
					d := c.At(k, i) - g.mean[i]
					m += d / 1000
					q += d * d / 1000
				}
				means, squares = append(means, m), append(squares, q)
			}
			if m, sd := meanSD(means); math.Abs(m) > 5*sd/math.Sqrt(runs) {
				t.Errorf("%s: mean %d is off by %.4f, standard error %.4f", name, i, m, sd/math.Sqrt(runs))
			}
			if m, sd := meanSD(squares); math.Abs(m-g.cov.At(i, i)) > 5*sd/math.Sqrt(runs) {
				t.Errorf("%s: variance %d is %.4f, want %.4f, standard error %.4f", name, i, m, g.cov.At(i, i), sd/math.Sqrt(runs))
			}
		}
	}
}

func meanSD(x []float64) (mean, sd float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		sd += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, math.Sqrt(sd)
}

// wideBase is N(0, 10²), the base for mixtures.
func wideBase(t *testing.T) *distmv.Normal {
	n, ok := distmv.NewNormal([]float64{0}, mat.NewSymDense(1, []float64{100}), nil)
	if !ok {
		t.Fatal("base")
	}
	return n
}

// skewed is the mixture 0.8 N(-8, 1) + 0.2 N(8, 1).
type skewed struct{}

func (skewed) Dim() int { return 1 }
func (skewed) LogProb(x []float64) float64 {
	u, v := x[0]+8, x[0]-8
	return logAddExp(math.Log(0.8)-u*u/2, math.Log(0.2)-v*v/2) - 0.5*math.Log(2*math.Pi)
}

func TestSMCOnMixture(t *testing.T) {
	var right, logZ []float64
	for i := range 10 {
		r, err := SMC(context.Background(), wideBase(t), skewed{}, &SMCSettings{Src: rng.New(32, uint64(i))})
		if err != nil {
			t.Fatal(err)
		}
		n := 0.0
		for k := range 1000 {
			if r.Draws.At(k, 0) > 0 {
				n++
			}
		}
		right, logZ = append(right, n/1000), append(logZ, r.LogEvidence)
	}
	if m, sd := meanSD(right); math.Abs(m-0.2) > 4*sd/math.Sqrt(10) || sd > 0.05 {
		t.Errorf("weight of the right mode is %.3f, standard error %.3f, want 0.2", m, sd/math.Sqrt(10))
	}
	if m, sd := meanSD(logZ); math.Abs(m) > 4*sd/math.Sqrt(10) || sd > 0.2 {
		t.Errorf("log evidence is %.3f, standard error %.3f, want 0", m, sd/math.Sqrt(10))
	}
}

func TestTemperingOnMixture(t *testing.T) {
	for name, k := range map[string]*Tempering{
		"no base": {Kernel: &AdaptiveMetropolis{}},
		"base":    {Kernel: &Slice{}, Base: wideBase(t)},
	} {
		r := mustRun(t, skewed{}, k, &Settings{Draws: fewer(10_000)})
		checkMoment(t, name+": weight of the right mode", r, func(x []float64) float64 {
			if x[0] > 0 {
				return 1
			}
			return 0
		}, 0.2)
		checkMoment(t, name+": second moment", r, func(x []float64) float64 { return x[0] * x[0] }, 65)
		if s := r.Summary(); !testing.Short() && !s.Converged() {
			t.Errorf("%s: not converged\n%v", name, s)
		}
	}
}

// Systematic resampling gives index i either floor(N w_i) or ceil(N w_i)
// descendants, and N w_i on average.
func TestSystematicResampling(t *testing.T) {
	weight := []float64{0, 0.31, 0.02, 0, 0.45, 0.22, 0}
	const n, runs = 10, 20000
	total := make([]float64, len(weight))
	rnd := rand.New(rng.New(33, 0))
	ancestor := make([]int, n)
	for range runs {
		systematic(ancestor, weight, rnd.Float64())
		counts := make([]float64, len(weight))
		for _, a := range ancestor {
			counts[a]++
		}
		for i, c := range counts {
			if e := n * weight[i]; c < math.Floor(e) || c > math.Ceil(e) {
				t.Fatalf("%v descendants of index %d, want about %v", c, i, e)
			}
			total[i] += c
		}
	}
	for i, c := range total {
		if e := n * weight[i]; math.Abs(c/runs-e) > 4*0.5/math.Sqrt(runs) {
			t.Errorf("index %d has %v descendants on average, want %v", i, c/runs, e)
		}
	}
}

func TestSMCSameBitsForEveryGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	g := newLinearGaussian(t)
	var first *SMCResult
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		r, err := SMC(context.Background(), g.prior, g, &SMCSettings{Particles: 250, Src: rng.New(34, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r
		} else if !mat.Equal(first.Draws, r.Draws) || first.LogEvidence != r.LogEvidence {
			t.Errorf("GOMAXPROCS = %d gives other draws", procs)
		}
	}
}

// uniform is the density of (0, 4), to be drawn from.
type uniform struct{}

func (uniform) Dim() int { return 1 }
func (uniform) LogProb(x []float64) float64 {
	if x[0] <= 0 || x[0] >= 4 {
		return math.Inf(-1)
	}
	return -math.Log(4)
}
func (uniform) Draw(dst *mat.Dense, src rand.Source) {
	dst.Set(0, 0, 4*rand.New(src).Float64())
}

// The target x exp(-x²/2) on x > 0, of which 1 - exp(-8) is within (0, 4), has
// a bounded support, which a Transform or plain rejection respects.
func TestSMCBounded(t *testing.T) {
	inside, err := prior.Interval([]float64{0}, []float64{4})
	if err != nil {
		t.Fatal(err)
	}
	rayleigh := density(func(x []float64) float64 {
		if x[0] <= 0 || x[0] >= 4 {
			return math.Inf(-1)
		}
		return math.Log(x[0]) - x[0]*x[0]/2
	})
	for _, tr := range []prior.Transform{nil, inside} {
		r, err := SMC(context.Background(), uniform{}, rayleigh, &SMCSettings{Particles: 4000, Transform: tr, Src: rng.New(35, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if want := math.Log1p(-math.Exp(-8)); math.Abs(r.LogEvidence-want) > 4*r.LogEvidenceSE {
			t.Errorf("log evidence %.4f ± %.4f, want %.4f", r.LogEvidence, r.LogEvidenceSE, want)
		}
		if lo, hi := mat.Min(r.Draws), mat.Max(r.Draws); lo <= 0 || hi >= 4 {
			t.Errorf("particles in [%g, %g]", lo, hi)
		}
		dst := mat.NewDense(3, 1, nil)
		if err := r.Sample(context.Background(), dst); err != nil || dst.At(0, 0) == 0 {
			t.Errorf("Sample: %v", err)
		}
	}
}

func TestSMCErrors(t *testing.T) {
	g := newLinearGaussian(t)
	never := density(func([]float64) float64 { return math.Inf(-1) })
	for _, c := range []struct {
		base, target inverse.Density
		s            SMCSettings
		want         string
	}{
		{nil, g, SMCSettings{}, "base is nil"},
		{g.prior, nil, SMCSettings{}, "target is nil"},
		{g, g, SMCSettings{}, "neither the method Draw"},
		{g.prior, never, SMCSettings{}, "none of 1000 draws"},
		{wideBase(t), g, SMCSettings{}, "dimension"},
		{g.prior, g, SMCSettings{ESS: 2}, "ESS is 2"},
		{g.prior, g, SMCSettings{Particles: -1}, "Particles is -1"},
		{g.prior, g, SMCSettings{MaxStages: 1, ESS: 0.99}, "after 1 temperatures"},
	} {
		_, err := SMC(context.Background(), c.base, c.target, &c.s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := SMC(ctx, g.prior, g, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
