package sampler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

func TestRunTakesADistmvNormal(t *testing.T) {
	cov := mat.NewSymDense(2, []float64{4, 1, 1, 2})
	n, ok := distmv.NewNormal([]float64{3, -5}, cov, nil)
	if !ok {
		t.Fatal("covariance")
	}
	r := mustRun(t, n, &NUTS{}, &Settings{Warmup: 400})
	checkGaussian(t, r, []float64{3, -5}, cov)
	if r.Names[1] != "x[2]" {
		t.Errorf("names %q", r.Names)
	}
	if rows, cols := r.Draws().Dims(); rows != 4000 || cols != 2 {
		t.Errorf("Draws is %d×%d", rows, cols)
	}
}

// gamma is the density x^(a-1) exp(-x) of x > 0, NaN elsewhere.
type gamma struct{ a float64 }

func (gamma) Dim() int                      { return 1 }
func (gamma) Transform() prior.Transform    { return prior.Positive(1) }
func (gamma) Names() []string               { return []string{"rate"} }
func (g gamma) LogProb(x []float64) float64 { return (g.a-1)*math.Log(x[0]) - x[0] }
func (g gamma) ScoreInput(s, x []float64) []float64 {
	s[0] = (g.a-1)/x[0] - 1
	return s
}

func TestBoundedParameter(t *testing.T) {
	r := mustRun(t, gamma{2.5}, &NUTS{}, &Settings{Warmup: 400, Draws: 2500})
	checkMoment(t, "mean", r, func(x []float64) float64 { return x[0] }, 2.5)
	checkMoment(t, "log", r, func(x []float64) float64 { return math.Log(x[0]) }, 0.7031566406452432) // digamma(2.5)
	if r.Names[0] != "rate" {
		t.Errorf("names %q", r.Names)
	}
	if _, err := Run(context.Background(), gamma{2}, &NUTS{}, &Settings{Init: mat.NewDense(1, 1, []float64{-1})}); err == nil {
		t.Error("no error for a first point outside the support")
	}
	mustRun(t, gamma{2}, &NUTS{}, &Settings{Init: mat.NewDense(1, 1, []float64{0.1}), Draws: 10, Warmup: 10})
}

func TestThinning(t *testing.T) {
	g := newLinearGaussian(t)
	every := mustRun(t, g, &NUTS{}, &Settings{Chains: 1, Warmup: 50, Draws: 30})
	third := mustRun(t, g, &NUTS{}, &Settings{Chains: 1, Warmup: 50, Draws: 10, Thin: 3})
	for i := range 10 {
		if got, want := third.Chains[0].At(i, 1), every.Chains[0].At(3*i+2, 1); got != want {
			t.Errorf("draw %d is %v, want %v", i, got, want)
		}
	}
}

// faulty is a standard normal that fails as fault says.
type faulty struct {
	fault func(x []float64) (float64, error)
}

func (faulty) Dim() int                    { return 1 }
func (faulty) LogProb(x []float64) float64 { return -x[0] * x[0] / 2 }
func (f faulty) Evaluate(score, x []float64) (float64, error) {
	if score != nil {
		score[0] = -x[0]
	}
	lp, err := f.fault(x)
	return lp - x[0]*x[0]/2, err
}

func TestFailuresAreDivergencesWithAReason(t *testing.T) {
	stiff := errors.New("the solver gave up")
	for name, f := range map[string]func(x []float64) (float64, error){
		"error":    func(x []float64) (float64, error) { return 0, ifBelow(x[0], -1, stiff) },
		"NaN":      func(x []float64) (float64, error) { return 0 * math.Log(x[0]+1), nil },
		"infinity": func(x []float64) (float64, error) { return -math.Log(max(0, min(1, x[0]+1))), nil },
	} {
		if name == "infinity" {
			f = func(x []float64) (float64, error) {
				if x[0] < -1 {
					return math.Inf(1), nil
				}
				return 0, nil
			}
		}
		r := mustRun(t, faulty{f}, &NUTS{}, &Settings{Init: mat.NewDense(1, 1, []float64{0.5})})
		if r.Divergences == 0 {
			t.Errorf("%s: no divergences", name)
		}
		for _, c := range r.Chains {
			if lowest := mat.Min(c); lowest < -1 {
				t.Errorf("%s: a draw at %g, where the target fails", name, lowest)
			}
		}
		if w := fmt.Sprint(r.Summary()); !strings.Contains(w, "diverged") {
			t.Errorf("%s: the summary does not warn:\n%s", name, w)
		}
	}
}

func ifBelow(x, limit float64, err error) error {
	if x < limit {
		return err
	}
	return nil
}

func TestPersistentFailureNamesThePoint(t *testing.T) {
	stiff := errors.New("the solver gave up")
	f := faulty{func(x []float64) (float64, error) {
		if x[0] != 0.5 {
			return 0, stiff
		}
		return 0, nil
	}}
	_, err := Run(context.Background(), f, &NUTS{}, &Settings{Init: mat.NewDense(1, 1, []float64{0.5})})
	if !errors.Is(err, stiff) || !strings.Contains(err.Error(), "0.5") || !strings.Contains(err.Error(), "chain 1") {
		t.Errorf("got %v", err)
	}
}

func TestNoFirstPoint(t *testing.T) {
	f := faulty{func([]float64) (float64, error) { return math.NaN(), nil }}
	_, err := Run(context.Background(), f, &NUTS{}, nil)
	if err == nil || !strings.Contains(err.Error(), "100 tries") {
		t.Errorf("got %v", err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	calls := 0
	for _, after := range []int{0, 500} {
		f := faulty{func([]float64) (float64, error) {
			if calls++; calls > after {
				panic("index out of range")
			}
			return 0, nil
		}}
		r, err := Run(context.Background(), f, &NUTS{}, &Settings{Workers: 1})
		var p *par.PanicError
		if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "run_test.go") {
			t.Errorf("after %d calls: got %v", after, err)
		}
		if r != nil {
			if _, err := r.MarshalBinary(); err == nil {
				t.Error("a broken chain can be saved")
			}
		}
	}
}

type density func(x []float64) float64

func (f density) LogProb(x []float64) float64 { return f(x) }

func TestSettingsErrors(t *testing.T) {
	normal := mixture1{0, 1}
	flat := density(func([]float64) float64 { return 0 })
	for _, c := range []struct {
		target inverse.Density
		kernel Kernel
		s      Settings
		want   string
	}{
		{nil, &NUTS{}, Settings{}, "target is nil"},
		{normal, nil, Settings{}, "kernel is nil"},
		{normal, &NUTS{}, Settings{Chains: -1}, "Chains is -1"},
		{normal, &NUTS{}, Settings{Draws: -1}, "Draws is -1"},
		{normal, &NUTS{TargetAccept: 1.5}, Settings{}, "TargetAccept is 1.5"},
		{normal, &NUTS{MaxDepth: -1}, Settings{}, "MaxDepth is -1"},
		{normal, &NUTS{Metric: 17}, Settings{}, "Metric is 17"},
		{normal, &HMC{Time: -1}, Settings{}, "Time is -1"},
		{normal, &NUTS{}, Settings{Names: []string{"a", "b"}}, "2 names for 1"},
		{normal, &NUTS{}, Settings{Init: mat.NewDense(1, 2, nil)}, "dimension is 2"},
		{normal, &NUTS{}, Settings{Init: mat.NewDense(3, 1, nil)}, "3 rows"},
		{normal, &NUTS{}, Settings{Transform: prior.Positive(2)}, "dimension is 2"},
		{normal, &NUTS{}, Settings{Resume: []byte("draws")}, "not a checkpoint"},
		{flat, &NUTS{}, Settings{}, "no method Dim"},
		{flat, &NUTS{}, Settings{Init: mat.NewDense(1, 1, nil)}, "needs the score"},
	} {
		_, err := Run(context.Background(), c.target, c.kernel, &c.s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

func TestCancelAndResume(t *testing.T) {
	g := newLinearGaussian(t)
	settings := func() *Settings { return &Settings{Chains: 2, Warmup: 50, Draws: 4000, Src: rng.New(5, 0)} }
	whole := mustRun(t, g, &NUTS{}, settings())

	ctx, cancel := context.WithCancel(context.Background())
	s := settings()
	s.Progress = func(p Progress) {
		if p.Done > 100 {
			cancel()
		}
	}
	slow := s
	part, err := Run(ctx, g, &NUTS{}, slow)
	if err == nil {
		t.Skip("the run ended before it could be stopped")
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	_ = part.Summary().String() // whatever has been drawn
	data, err := part.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	s = settings()
	s.Resume = data
	sameDraws(t, "cancelled", mustRun(t, g, &NUTS{}, s), whole)

	// A finished run can be made longer.
	s = settings()
	s.Draws = 100
	short, err := mustRun(t, g, &NUTS{}, s).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	s = settings()
	s.Resume = short
	sameDraws(t, "longer", mustRun(t, g, &NUTS{}, s), whole)
}

func TestCallbacks(t *testing.T) {
	g := newLinearGaussian(t)
	var last Progress
	saved := 0
	var data []byte
	r := mustRun(t, g, &NUTS{}, &Settings{Warmup: 100, Draws: 500,
		Progress:        func(p Progress) { last = p },
		Checkpoint:      func(b []byte) error { saved++; data = b; return nil },
		CheckpointEvery: time.Nanosecond,
	})
	if last.Done != 2400 || last.Total != 2400 || last.Draws != 2000 || last.Warming != 0 || last.Remaining != 0 || !(last.StepSize > 0) {
		t.Errorf("last progress %+v", last)
	}
	if saved == 0 {
		t.Fatal("no checkpoint")
	}
	sameDraws(t, "from a callback's checkpoint",
		mustRun(t, g, &NUTS{}, &Settings{Warmup: 100, Draws: 500, Resume: data}), r)

	full := errors.New("the disk is full")
	_, err := Run(context.Background(), g, &NUTS{}, &Settings{Checkpoint: func([]byte) error { return full }, CheckpointEvery: time.Nanosecond})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	g := newLinearGaussian(t)
	base := Settings{Chains: 2, Warmup: 20, Draws: 10, Src: rng.New(1, 0)}
	data, err := mustRun(t, g, &NUTS{}, &base).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(s *Settings)
		kernel Kernel
		want   string
	}{
		{func(s *Settings) { s.Chains = 3 }, &NUTS{}, "Chains"},
		{func(s *Settings) { s.Warmup = 21 }, &NUTS{}, "Warmup"},
		{func(s *Settings) { s.Thin = 2 }, &NUTS{}, "Thin"},
		{func(s *Settings) { s.Draws = 5 }, &NUTS{}, "Draws"},
		{func(*Settings) {}, &HMC{}, "state"},
		{func(*Settings) {}, &NUTS{Metric: Dense}, ""},
		{func(s *Settings) { s.Resume = s.Resume[:len(s.Resume)/2] }, &NUTS{}, "damaged"},
		{func(s *Settings) { s.Resume[len(s.Resume)/2] ^= 1 }, &NUTS{}, "damaged"},
	} {
		s := base
		s.Resume = append([]byte(nil), data...)
		c.change(&s)
		_, err := Run(context.Background(), g, c.kernel, &s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q", err, c.want)
		}
	}
}

// Loading never panics, whatever the bytes: here with a checksum that is
// right, so that they are looked at.
func FuzzResume(f *testing.F) {
	g := newLinearGaussian(f)
	data, err := mustRun(f, g, &NUTS{}, &Settings{Chains: 1, Warmup: 20, Draws: 5}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[len(checkpointMagic) : len(data)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		sealed := sealCheckpoint(append([]byte(checkpointMagic), body...))
		r, err := newRun(context.Background(), g, &NUTS{}, &Settings{Chains: 1, Warmup: 20, Draws: 5, Resume: sealed})
		if err == nil && r.chains[0].iter > 1<<48 {
			t.Error("an absurd count was accepted")
		}
	})
}

func TestResultIsASampler(t *testing.T) {
	r := mustRun(t, newLinearGaussian(t), &NUTS{}, &Settings{Chains: 2, Warmup: 50, Draws: 20})
	have := make(map[float64]bool)
	for _, c := range r.Chains {
		for i := range 20 {
			have[c.At(i, 0)] = true
		}
	}
	dst := mat.NewDense(200, 3, nil)
	if err := r.Sample(context.Background(), dst); err != nil {
		t.Fatal(err)
	}
	seen := make(map[float64]bool)
	for i := range 200 {
		if !have[dst.At(i, 0)] {
			t.Fatalf("row %d is not a draw", i)
		}
		seen[dst.At(i, 0)] = true
	}
	if len(seen) < 30 {
		t.Errorf("%d different draws in 200", len(seen))
	}
}

// lazy is a user's kernel: it draws from N(0, 1) itself and carries a counter.
type lazy struct{}

type lazyState struct {
	X []float64
	N int
}

func (lazy) New(t *Target, _ int) (State, error) { return &lazyState{X: make([]float64, t.Dim())}, nil }
func (s *lazyState) Set(x []float64) error       { copy(s.X, x); return nil }
func (s *lazyState) Position() []float64         { return s.X }
func (s *lazyState) Step(rnd *rand.Rand, _ *Info) error {
	s.X[0] = rnd.NormFloat64()
	s.N++
	return nil
}

func TestUserKernel(t *testing.T) {
	r := mustRun(t, mixture1{0, 1}, lazy{}, &Settings{Warmup: -1, Draws: 500})
	checkMoment(t, "mean", r, func(x []float64) float64 { return x[0] }, 0)
}
