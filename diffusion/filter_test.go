package diffusion

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// runner is a particle filter.
type runner interface {
	inverse.Sampler
	Run(ctx context.Context, dst *mat.Dense) (*FilterReport, error)
}

func filters(t testing.TB, score *Diffused, lik *likelihood.Gaussian) map[string]runner {
	t.Helper()
	out := map[string]runner{}
	for name, g := range allGuidances(t, score, lik) {
		s, err := NewTDS(g, lik)
		check(t, err)
		out["TDS "+name] = s
	}
	m, err := NewMCGDiff(score, lik)
	check(t, err)
	out["MCGDiff"] = m
	return out
}

func settings(r runner) *Filter {
	switch r := r.(type) {
	case *TDS:
		return &r.Filter
	case *MCGDiff:
		return &r.Filter
	}
	return nil
}

// The filters correct what guidances get wrong, on a posterior that guidances
// miss by W1 0.05 and more, and estimate the evidence. By
//
//	INVERSE_SLOW=1 go test ./diffusion -run TestFiltersBimodal -v
//
// there are so many draws that what is left is the error of 64 particles and
// 100 steps.
func TestFiltersBimodal(t *testing.T) {
	p := newBimodal(t)
	n := 12_800
	limits := map[string]float64{"TDS PiGDM": .02, "TDS MMPS": .02, "TDS Exact": .02, "TDS DPS": .04, "MCGDiff": .03}
	if testing.Short() {
		n = 512
		for name := range limits {
			limits[name] += .06
		}
	}
	if os.Getenv("INVERSE_SLOW") != "" {
		n = 128_000
		limits = map[string]float64{"TDS PiGDM": .015, "TDS MMPS": .01, "TDS Exact": .01, "TDS DPS": .035, "MCGDiff": .01}
	}
	for name, s := range filters(t, p.score, p.lik) {
		limit, ok := limits[name]
		if !ok || testing.Short() && name == "TDS DPS" { // one filter says little
			continue
		}
		settings(s).Src = src(4)
		n := n
		if name == "TDS DPS" { // its weights have heavy tails
			settings(s).Particles = 1024
			n = max(n, 50*1024)
		}
		x := mat.NewDense(n, 1, nil)
		report, err := s.Run(context.Background(), x)
		check(t, err)
		got := summarize(p.post.Mixture, x)
		log, rel := report.Evidence()
		t.Logf("%-12s mean %.4f std %.4f W1 %.4f, evidence %.4f ± %.4f of the exact one, mean ESS %.1f", name, got.mean, got.std, got.w1,
			math.Exp(log-p.post.LogEvidence()), rel, stat.Mean(report.ESS, nil))
		if got.w1 > limit {
			t.Errorf("%s: W1 is %.4f, want at most %.4f", name, got.w1, limit)
		}
		// 100 steps leave less than a percent.
		if d := math.Abs(log - p.post.LogEvidence()); d > 4*rel+.01 {
			t.Errorf("%s: log evidence is off by %.4f ± %.4f", name, d, rel)
		}
	}
}

// Draws of a Gaussian posterior in five dimensions, from three data of which
// one is redundant: mean, covariance, evidence.
func TestFiltersGaussian(t *testing.T) {
	r := rand.New(src(40))
	const n = 5
	a := gaussianMatrix(r, 3, n)
	a.SetRow(2, a.RawRowView(1))
	op, err := forward.NewDense(a)
	check(t, err)
	lik, err := likelihood.NewGaussian(op, []float64{1.5, -1, -.6}, .5)
	check(t, err)
	pri, err := prior.NewIsotropicMixture(nil, mat.NewDense(1, n, []float64{.5, 0, -.5, 0, 1}), []float64{.8}, nil)
	check(t, err)
	score, err := Diffuse(pri, NewVP(.1, 20))
	check(t, err)
	noise := mat.NewDiagDense(3, []float64{.25, .25, .25})
	post, evidence, err := pri.Condition(a, lik.Data(), noise)
	check(t, err)
	want := mat.NewSymDense(n, nil)
	post.CovarianceMatrix(want)
	draws := 6400
	if testing.Short() {
		draws = 640
	}
	for name, s := range filters(t, score, lik) {
		if name == "TDS DPS" {
			continue // 64 particles are far too few for its weights
		}
		if testing.Short() && name != "TDS MMPS" && name != "MCGDiff" {
			continue
		}
		f := settings(s)
		f.Src, f.Steps, f.Start = src(6), 200, Moments{pri.Mean(nil), []float64{.64}}
		f.Grid = UniformLogSNR
		x := mat.NewDense(draws, n, nil)
		report, err := s.Run(context.Background(), x)
		check(t, err)
		// Draws of one filter are dependent: the error is that of the filters' means.
		log, rel := report.Evidence()
		if d := math.Abs(log - evidence); d > 4*rel+.03 {
			t.Errorf("%s: log evidence %.4f, want %.4f ± %.4f", name, log, evidence, rel)
		}
		filters := draws / 64
		for j := range n {
			means := make([]float64, filters)
			for i := range means {
				means[i] = stat.Mean(mat.Col(nil, j, x.Slice(64*i, 64*i+64, 0, n)), nil)
			}
			mean, sd := stat.MeanStdDev(means, nil)
			if d := math.Abs(mean - post.Mean(nil)[j]); d > 4*sd/math.Sqrt(float64(filters))+.01 {
				t.Errorf("%s: mean %d is %.4f, want %.4f ± %.4f", name, j, mean, post.Mean(nil)[j], sd/math.Sqrt(float64(filters)))
			}
			got := stat.Variance(mat.Col(nil, j, x), nil)
			if math.Abs(got/want.At(j, j)-1) > .03+8/math.Sqrt(float64(draws)) {
				t.Errorf("%s: variance %d is %.4f, want %.4f", name, j, got, want.At(j, j))
			}
		}
	}
}

func TestSystematicResampling(t *testing.T) {
	w := newWalk(&path{n: 1}, mat.NewDense(4, 1, nil), 0, 4, nil)
	s := &swarm{walk: w, logw: []float64{math.Log(.5), math.Inf(-1), math.Log(.3), math.Log(.2)}, w: make([]float64, 4), ancestor: make([]int, 4)}
	s.weigh()
	if got, want := s.ess, 1/(.25+.09+.04); math.Abs(got-want) > 1e-12 {
		t.Errorf("ESS is %v, want %v", got, want)
	}
	counts := make([]float64, 4)
	w.src = rng.New(1, 0)
	for range 1000 {
		seen := make([]int, 4)
		for _, a := range s.systematic(make([]int, 10)) {
			seen[a]++
		}
		for i, want := range []int{5, 0, 3, 2} { // n w is whole: always that many
			if d := seen[i] - want; d < -1 || d > 1 {
				t.Fatalf("drawn %v", seen)
			}
			counts[i] += float64(seen[i]) / 1e4
		}
	}
	for i, want := range []float64{.5, 0, .3, .2} {
		if math.Abs(counts[i]-want) > .005 {
			t.Errorf("particle %d has share %.4f, want %v", i, counts[i], want)
		}
	}
}

func TestFiltersReproducible(t *testing.T) {
	p := newBimodal(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, s := range filters(t, p.score, p.lik) {
		f := settings(s)
		sample := func(procs int) *mat.Dense {
			runtime.GOMAXPROCS(procs)
			f.Src = src(1)
			return draw(t, s, 95)
		}
		f.Steps = 5
		// Many filters, and one of several blocks of particles.
		for _, size := range [][2]int{{16, 10}, {1500, 1500}} {
			f.Particles, f.Draws = size[0], size[1]
			if !mat.Equal(sample(1), sample(4)) {
				t.Errorf("%s, %d particles: GOMAXPROCS changes the draws", name, size[0])
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	p := newBimodal(t)
	g, err := NewDPS(p.score, p.lik)
	check(t, err)
	tds, err := NewTDS(g, p.lik)
	check(t, err)
	x := mat.NewDense(2, 1, nil)
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{Particles: -1}, "Particles is -1"}, {Filter{Steps: -2}, "Steps is -2"}, {Filter{Particles: 4, Draws: 5}, "Draws is 5"},
		{Filter{Threshold: 2}, "Threshold is 2"}, {Filter{Eta: -1}, "Eta is -1"}, {Filter{From: 1e-4}, "From"},
	} {
		tds.Filter = c.f
		if err := tds.Sample(context.Background(), x); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	gp := newGaussianProblem(t, 41, 3, 2)
	noSVD, err := likelihood.NewGaussian(linearOnly{gp.a}, gp.lik.Data(), 1)
	check(t, err)
	for _, c := range []struct {
		err  func() error
		want string
	}{
		{func() error { _, err := NewMCGDiff(gp.score, gp.lik); return err }, "noise"},
		{func() error { _, err := NewMCGDiff(gp.score, noSVD); return err }, "inverse.Spectral"},
		{func() error { _, err := NewMCGDiff(gp.score, p.lik); return err }, "dimension"},
		{func() error { _, err := NewMCGDiff(nil, noSVD); return err }, "score is nil"},
		{func() error { _, err := NewTDS(nil, p.lik); return err }, "guidance is nil"},
		{func() error { _, err := NewTDS(g, nil); return err }, "likelihood is nil"},
		{func() error { _, err := NewTDS(g, gp.lik); return err }, "dimension"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

// linearOnly is a matrix without a singular value decomposition.
type linearOnly struct{ a *mat.Dense }

func (o linearOnly) Dims() (m, n int)          { return o.a.Dims() }
func (o linearOnly) Apply(dst, x *mat.Dense)   { dst.Mul(x, o.a.T()) }
func (o linearOnly) Adjoint(dst, y *mat.Dense) { dst.Mul(y, o.a) }
