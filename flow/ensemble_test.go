package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/sampler"
)

// normal is the Conditional N(y + shift, sd²), the truth of tests.
type normal struct {
	shift, sd float64
}

func (n normal) Dims() (x, y int) { return 1, 1 }

func (n normal) LogProb(dst []float64, x, y *mat.Dense) {
	for i := range dst {
		dst[i] = kernel.LogNormal((x.At(i, 0)-n.mean(y, i))/n.sd) - math.Log(n.sd)
	}
}

func (n normal) Draw(_ context.Context, dst, y *mat.Dense, src rand.Source) error {
	r, _ := dst.Dims()
	z := make([]float64, r)
	rng.FillNormal(z, rng.New(rng.Seed(src), 0))
	for i, v := range z {
		dst.Set(i, 0, n.mean(y, i)+n.sd*v)
	}
	return nil
}

func (n normal) mean(y *mat.Dense, i int) float64 {
	if r, _ := y.Dims(); r == 1 {
		i = 0
	}
	return y.At(i, 0) + n.shift
}

func TestEnsemble(t *testing.T) {
	e, err := NewEnsemble([]Conditional{normal{-3, 1}, normal{3, 0.5}, normal{100, 1}}, []float64{1, 3, 0})
	if err != nil {
		t.Fatal(err)
	}
	p := Given(e, []float64{10})
	p.Src = rng.New(1, 0)
	const n = 20000
	draws := mat.NewDense(n, 1, nil)
	if err := p.Sample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	mean, variance := stat.MeanVariance(mat.Col(nil, 0, draws), nil)
	const wantMean, wantVar = 11.5, 0.25*(1+81.0/4) + 0.75*(0.25+9.0/4)
	if z := (mean - wantMean) / math.Sqrt(wantVar/n); math.Abs(z) > 4 {
		t.Errorf("mean is %g, want %g, off by %.1f standard errors", mean, wantMean, z)
	}
	if math.Abs(variance/wantVar-1) > 0.03 {
		t.Errorf("variance is %g, want %g", variance, wantVar)
	}
	for _, x := range []float64{7, 12, 13.3, 111} {
		want := math.Log(0.25*math.Exp(kernel.LogNormal(x-7)) + 0.75*2*math.Exp(kernel.LogNormal(2*(x-13))))
		if got := p.LogProb([]float64{x}); math.Abs(got-want) > 1e-12*math.Abs(want) {
			t.Errorf("LogProb(%g) is %g, want %g", x, got, want)
		}
	}
	x, y := pairs(60, 2, 1, 1)
	wide := trained(t, MAF{}, x, y, FitOptions{Epochs: 1})
	for _, c := range []struct {
		members []Conditional
		weights []float64
		want    string
	}{
		{nil, nil, "no members"},
		{[]Conditional{normal{}}, []float64{1, 2}, "1 members and 2 weights"},
		{[]Conditional{normal{}, normal{}}, []float64{1, -1}, "none negative"},
		{[]Conditional{normal{}}, []float64{0}, "positive sum"},
		{[]Conditional{normal{}, e, wide}, nil, "member 2 has dimensions 2 and 1"},
	} {
		if _, err := NewEnsemble(c.members, c.weights); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q", err, c.want)
		}
	}
}

// A mixture of flows is better than its members on average, by Jensen's
// inequality, and the members differ.
func TestFitEnsemble(t *testing.T) {
	x, y := pairs(400, 2, 1, 1)
	tx, ty := pairs(500, 2, 1, 2)
	o := &FitOptions{Src: rng.New(1, 0), Epochs: 15, Rate: 5e-3, Batch: 50}
	e, err := FitEnsemble(context.Background(), NSF{Transforms: 2, Width: 16}, 3, x, y, o)
	if err != nil {
		t.Fatal(err)
	}
	l := make([]float64, 500)
	var each []float64
	for _, m := range e.Members() {
		m.LogProb(l, tx, ty)
		each = append(each, stat.Mean(l, nil))
	}
	e.LogProb(l, tx, ty)
	if all := stat.Mean(l, nil); !(all > stat.Mean(each, nil)) || each[0] == each[1] {
		t.Errorf("mean log densities %g of the members, %g of the mixture", each, all)
	}
	o.Resume = strings.NewReader("x")
	if _, err := FitEnsemble(context.Background(), MAF{}, 2, x, y, o); err == nil {
		t.Error("no error with Resume")
	}
}

func TestSearch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	x, y := pairs(300, 1, 1, 1)
	var first string
	for _, procs := range []int{1, 4} {
		runtime.GOMAXPROCS(procs)
		done := 0
		trials, err := Search(context.Background(), x, y, &SearchOptions{
			Trials: 9, Keep: 2, Epochs: 3,
			Fit:      FitOptions{Src: rng.New(1, 0), Epochs: 12},
			Progress: func(d, total int) { done = d },
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(trials) != 9 || done != 9+3+2 {
			t.Errorf("%d trials, %d trainings", len(trials), done)
		}
		var b []byte
		for i, tr := range trials {
			if (tr.Flow != nil) != (i < 2) {
				t.Errorf("trial %d has the flow %v", i, tr.Flow)
			}
			if i == 1 && tr.ValidNLL < trials[0].ValidNLL {
				t.Error("the first trial is not the best")
			}
			b = fmt.Appendf(b, "%v %v %v\n", tr.Architecture, tr.ValidNLL, tr.Steps)
		}
		// The winner went through the rungs; trained at once it is the same.
		w := trials[0]
		o := w.Options
		o.Src = nil
		for i := range 9 { // which candidate it was
			seed := rng.Seed(rng.New(1, 0))
			s := rng.New(seed, uint64(2*i+2))
			f, err := Fit(context.Background(), w.Architecture, x, y, &FitOptions{
				Rate: o.Rate, Batch: o.Batch, Patience: o.Patience, Drops: o.Drops, Epochs: o.Epochs, ValidationRows: o.ValidationRows, Src: s,
			})
			if err != nil {
				t.Fatal(err)
			}
			if f.Report().ValidNLL == w.ValidNLL {
				b = append(b, "found"...)
				break
			}
		}
		if !strings.HasSuffix(string(b), "found") {
			t.Error("the best trial is not what Fit gives")
		}
		if first == "" {
			first = string(b)
		} else if string(b) != first {
			t.Errorf("another outcome with %d workers:\n%s\nthan with 1:\n%s", procs, b, first)
		}
	}
	_, err := Search(context.Background(), x, y, &SearchOptions{Trials: 2, Keep: 3})
	if err == nil {
		t.Error("no error for Keep above Trials")
	}
	bad := mat.DenseCopyOf(x)
	bad.Set(0, 0, math.NaN())
	if _, err = Search(context.Background(), bad, y, nil); err == nil || !strings.Contains(err.Error(), "row 0 of x has NaN") {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = Search(ctx, x, y, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// target is N(mean, sd²) times a constant, in gonum's spelling.
type target struct{ mean, sd, logConst float64 }

func (d target) LogProb(x []float64) float64 {
	return kernel.LogNormal((x[0]-d.mean)/d.sd) - math.Log(d.sd) + d.logConst
}

func TestCorrect(t *testing.T) {
	q := Given(normal{0, 1.5}, []float64{2}) // N(2, 1.5²)
	p := target{2.6, 1, -7}
	const n = 20000
	c, err := Correct(context.Background(), q, p, n, &CorrectOptions{Src: rng.New(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if !(c.KHat < 0.5) {
		t.Errorf("k-hat is %g", c.KHat)
	}
	if math.Abs(c.LogEvidence-p.logConst) > 4/math.Sqrt(c.ESS) {
		t.Errorf("log evidence is %g, want %g", c.LogEvidence, p.logConst)
	}
	// 1/E[w²] by the integral of p²/q: with s = 1.5² the exponent is
	// (p - q)²/(2 s - 1), the factor s/√(2 s - 1).
	s := 1.5 * 1.5
	if want := n / (s / math.Sqrt(2*s-1) * math.Exp(0.36/(2*s-1))); math.Abs(c.ESS/want-1) > 0.05 {
		t.Errorf("ESS is %g, want %g", c.ESS, want)
	}
	moments := func(what string, x *mat.Dense, w []float64, ess float64) {
		m, v := stat.PopMeanVariance(mat.Col(nil, 0, x), w)
		if z := (m - p.mean) * math.Sqrt(ess); math.Abs(z) > 4 {
			t.Errorf("%s: mean is %g, want %g, off by %.1f standard errors", what, m, p.mean, z)
		}
		if z := (v - 1) * math.Sqrt(ess/2); math.Abs(z) > 4 {
			t.Errorf("%s: variance is %g, want 1, off by %.1f standard errors", what, v, z)
		}
	}
	w := make([]float64, n)
	for i, l := range c.LogWeights {
		w[i] = math.Exp(l)
	}
	moments("weighted", c.Draws, w, c.ESS)
	sample := mat.NewDense(5000, 1, nil)
	c.Resample(sample, rng.New(2, 0))
	moments("resampled", sample, nil, 2500)
	chain, accepted := c.Metropolis(rng.New(3, 0))
	ess := sampler.ESS([][]float64{mat.Col(nil, 0, chain)})
	if !(accepted > 0.5 && accepted < 0.95) {
		t.Errorf("%g of the proposals are accepted", accepted)
	}
	moments("Metropolis", chain, nil, ess)

	// A proposal that is much too narrow is found out.
	c, err = Correct(context.Background(), Given(normal{0, 0.1}, []float64{2}), p, n, &CorrectOptions{Src: rng.New(1, 0)})
	if err != nil || !(c.KHat > sampler.KHatThreshold(n)) {
		t.Errorf("k-hat is %g, error %v", c.KHat, err)
	}
	for want, d := range map[string]inverse.Density{
		"the target is NaN": target{math.NaN(), 1, 0},
		"all zero":          target{0, 1, math.Inf(-1)},
	} {
		if _, err := Correct(context.Background(), q, d, 100, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}

// A flow is a proposal for sampler's independence kernel.
func TestIndependence(t *testing.T) {
	run, err := sampler.Run(context.Background(), target{2.6, 1, -7}, &sampler.Independence{Proposal: Given(normal{0, 1.5}, []float64{2})},
		&sampler.Settings{Chains: 2, Draws: 1000, Src: rng.New(1, 0), Init: mat.NewDense(2, 1, []float64{2, 3})})
	if err != nil {
		t.Fatal(err)
	}
	chains := make([][]float64, 2)
	for i, c := range run.Chains {
		chains[i] = mat.Col(nil, 0, c)
	}
	ess := sampler.ESS(chains)
	m := (stat.Mean(chains[0], nil) + stat.Mean(chains[1], nil)) / 2
	if z := (m - 2.6) * math.Sqrt(ess); !(ess > 500) || math.Abs(z) > 4 {
		t.Errorf("mean is %g, want 2.6, off by %.1f standard errors; ESS %.0f", m, z, ess)
	}
}
