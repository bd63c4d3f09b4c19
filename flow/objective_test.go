package flow_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// proposed has x drawn from a mixture instead of the prior N(m₀, S₀), and
// y = x + noise. Its posterior has a closed form.
type proposed struct {
	pri      *prior.Gaussian
	proposal *prior.Mixture
	x, y     *mat.Dense
}

func newProposed(t *testing.T, n int) *proposed {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	pri, err := prior.NewGaussian([]float64{0.5, -0.5}, mat.NewSymDense(2, []float64{1, 0.5, 0.5, 2}), nil)
	must(err)
	proposal, err := prior.NewMixture([]float64{0.7, 0.3}, mat.NewDense(2, 2, []float64{2, 0.5, 1.5, 1.5}),
		[]mat.Symmetric{mat.NewSymDense(2, []float64{0.5, 0.1, 0.1, 0.6}), mat.NewSymDense(2, []float64{0.7, -0.2, -0.2, 0.5})}, nil)
	must(err)
	p := &proposed{pri, proposal, mat.NewDense(n, 2, nil), mat.NewDense(n, 2, nil)}
	proposal.Draw(p.x, rng.New(1, 0))
	r := rand.New(rng.New(2, 0))
	for i := range n {
		for j := range 2 {
			p.y.Set(i, j, p.x.At(i, j)+r.NormFloat64())
		}
	}
	return p
}

// TestProposal: whatever the correction, the result is the posterior for the
// prior and not for the proposal, whose mean is elsewhere.
func TestProposal(t *testing.T) {
	n := 4000
	p := newProposed(t, n)
	logPrior, weights := make([]float64, n), make([]float64, n)
	for i := range n {
		logPrior[i] = p.pri.LogProb(p.x.RawRowView(i))
		weights[i] = math.Exp(logPrior[i] - p.proposal.LogProb(p.x.RawRowView(i)))
	}
	y := []float64{1, 0.5}
	exact, _, err := p.pri.Condition(mat.NewDiagDense(2, []float64{1, 1}), []float64{1, 0.5}, mat.NewDiagDense(2, []float64{1, 1}))
	if err != nil {
		t.Fatal(err)
	}
	// The posterior for the proposal: what a fit without correction gives.
	wrong, _, err := p.proposal.Condition(mat.NewDiagDense(2, []float64{1, 1}), y, mat.NewDiagDense(2, []float64{1, 1}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    flow.FitOptions
		want prior.Prior
		tol  float64
	}{
		{"none", flow.FitOptions{}, wrong, 0.03},
		{"atoms", flow.FitOptions{Proposal: &flow.Proposal{Atoms: 10, LogPrior: logPrior}}, exact, 0.03},
		{"mixture", flow.FitOptions{Proposal: &flow.Proposal{Mixture: p.proposal, Prior: p.pri}}, exact, 0.03},
		{"weights", flow.FitOptions{Weights: weights}, exact, 0.03},
	} {
		c.o.Src, c.o.Rate, c.o.Epochs, c.o.Patience = rng.New(3, 0), 3e-3, 60, 10
		f, err := flow.Fit(context.Background(), flow.MDN{Components: 2, Hidden: []int{20}}, p.x, p.y, &c.o)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		q, err := flow.MixtureAt(f, y)
		if err != nil {
			t.Fatal(err)
		}
		// The mixture is the flow's own density.
		at := []float64{0.3, 0.4}
		if a, b := q.LogProb(at), flow.Given(f, y).LogProb(at); math.Abs(a-b) > 1e-4*(1+math.Abs(b)) {
			t.Errorf("%s: log density %g of the mixture, %g of the flow", c.name, a, b)
		}
		// Kullback-Leibler divergence from the truth, by its draws.
		draws := mat.NewDense(4000, 2, nil)
		c.want.Draw(draws, rng.New(4, 0))
		var kl float64
		for i := range 4000 {
			x := draws.RawRowView(i)
			kl += (c.want.LogProb(x) - q.LogProb(x)) / 4000
		}
		if kl > c.tol || kl < -0.01 {
			t.Errorf("%s: divergence %.4f nats", c.name, kl)
		}
	}
	var apart float64
	draws := mat.NewDense(4000, 2, nil)
	exact.Draw(draws, rng.New(5, 0))
	for i := range 4000 {
		x := draws.RawRowView(i)
		apart += (exact.LogProb(x) - wrong.LogProb(x)) / 4000
	}
	if apart < 0.2 {
		t.Errorf("the two posteriors are only %.3f apart: the test tests nothing", apart)
	}
}

// TestStart: a fit that starts from another one and makes no step is it.
func TestStart(t *testing.T) {
	p := newProposed(t, 500)
	arch := flow.MAF{Transforms: 2, Hidden: []int{16}}
	fit := func(o *flow.FitOptions) *flow.Flow {
		o.Src = rng.New(6, 0)
		f, err := flow.Fit(context.Background(), arch, p.x, p.y, o)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := fit(&flow.FitOptions{Epochs: 20})
	again := fit(&flow.FitOptions{Epochs: 1, Rate: 1e-12, Start: first})
	a, b := make([]float64, 500), make([]float64, 500)
	first.LogProb(a, p.x, p.y)
	again.LogProb(b, p.x, p.y)
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-3 {
			t.Fatalf("row %d: %g after a step of no length, %g before", i, b[i], a[i])
		}
	}
	for want, o := range map[string]*flow.FitOptions{
		"Start is a":          {Start: first, Float64: true},
		"3 Weights":           {Weights: make([]float64, 3)},
		"sum of Weights":      {Weights: make([]float64, 500)},
		"Atoms is 1":          {Proposal: &flow.Proposal{Atoms: 1}},
		"LogPrior has 0":      {Proposal: &flow.Proposal{Atoms: 5}},
		"needs an MDN":        {Proposal: &flow.Proposal{Mixture: p.proposal, Prior: p.pri}},
		"has Atoms and LogPr": {Proposal: &flow.Proposal{Mixture: p.proposal}},
	} {
		if _, err := flow.Fit(context.Background(), arch, p.x, p.y, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestDiffusion holds a learned probability flow to a density with two modes
// that is known.
func TestDiffusion(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	n := 4000
	x, y := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
	r := rand.New(rng.New(7, 0))
	for i := range n {
		v := 2*r.Float64() - 1
		s := 1.0
		if r.Float64() < 0.5 {
			s = -1
		}
		y.Set(i, 0, v)
		x.Set(i, 0, s*(1+0.5*v)+0.1*r.NormFloat64())
	}
	f, err := flow.Fit(context.Background(), flow.Diffusion{Width: 64, Blocks: 2}, x, y, &flow.FitOptions{Src: rng.New(8, 0), Epochs: 200, Patience: 8})
	if err != nil {
		t.Fatal(err)
	}
	// Σ over a grid of the density is 1, and the divergence is small.
	const steps = 400
	grid, l := mat.NewDense(steps, 1, nil), make([]float64, steps)
	for i := range steps {
		grid.Set(i, 0, -3+6*(float64(i)+0.5)/steps)
	}
	at := mat.NewDense(1, 1, []float64{0.5})
	f.LogProb(l, grid, at)
	var mass, kl float64
	for i := range steps {
		p := 0.0
		for _, m := range []float64{-1.25, 1.25} {
			z := (grid.At(i, 0) - m) / 0.1
			p += 0.5 * math.Exp(-z*z/2) / (0.1 * math.Sqrt(2*math.Pi))
		}
		mass += math.Exp(l[i]) * 6 / steps
		if p > 0 {
			kl += p * (math.Log(p) - l[i]) * 6 / steps
		}
	}
	if math.Abs(mass-1) > 0.02 || kl > 0.08 {
		t.Errorf("mass %.4f, divergence %.4f nats", mass, kl)
	}
	draws := mat.NewDense(4000, 1, nil)
	if err := f.Draw(context.Background(), draws, at, rng.New(9, 0)); err != nil {
		t.Fatal(err)
	}
	var left, near float64
	for i := range 4000 {
		v := draws.At(i, 0)
		if v < 0 {
			left++
		}
		if math.Abs(math.Abs(v)-1.25) < 0.3 {
			near++
		}
	}
	if math.Abs(left/4000-0.5) > 0.06 || near < 0.97*4000 {
		t.Errorf("%.0f of 4000 draws are left, %.0f near a mode", left, near)
	}
	if worst, rms := flow.InverseError(f, x.Slice(0, 200, 0, 1).(*mat.Dense), y.Slice(0, 200, 0, 1).(*mat.Dense)); worst > 0.05 || rms > 5e-3 {
		t.Errorf("inverse error %.2g, rms %.2g", worst, rms)
	}
}
