package sampler

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
)

// kernelCase is a kernel with the settings that all tests of kernels run it
// with on the linear Gaussian posterior.
type kernelCase struct {
	name   string
	kernel Kernel
	draws  int // for the moments
}

func kernelCases(g *linearGaussian) []kernelCase {
	return []kernelCase{
		{name: "NUTS", kernel: &NUTS{}, draws: 2500},
		{name: "NUTS/variance", kernel: &NUTS{Metric: DiagonalVariance}, draws: 2500},
		{name: "NUTS/dense", kernel: &NUTS{Metric: Dense}, draws: 2500},
		{name: "NUTS/lowrank", kernel: &NUTS{Metric: LowRank}, draws: 2500},
		{name: "HMC", kernel: &HMC{}, draws: 2500},
		{name: "HMC/unit", kernel: &HMC{Metric: Unit, Time: 1.2}, draws: 2500},
	}
}

func TestKernelsOnLinearGaussian(t *testing.T) {
	g := newLinearGaussian(t)
	for _, c := range kernelCases(g) {
		t.Run(c.name, func(t *testing.T) {
			r := mustRun(t, g, c.kernel, &Settings{Draws: c.draws, Src: rng.New(11, 0)})
			checkGaussian(t, r, g.mean, g.cov)
			s := r.Summary()
			if !s.Converged() {
				t.Errorf("not converged:\n%v", s)
			}
		})
	}
}

// Resumed from a checkpoint in warm-up, at its end, or between draws, a run
// goes on as if it had not been interrupted.
func TestResumeEqualsUninterrupted(t *testing.T) {
	g := newLinearGaussian(t)
	const warmup, draws, thin = 120, 40, 2
	for _, c := range kernelCases(g) {
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
	r, err := newRun(g, k, s)
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
	for _, c := range kernelCases(g) {
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

func TestNoAllocationPerIteration(t *testing.T) {
	g := newLinearGaussian(t)
	for _, c := range kernelCases(g) {
		r, err := newRun(quartic{3}, c.kernel, &Settings{Chains: 1, Warmup: 200, Draws: 2000, Src: rng.New(14, 0)})
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
