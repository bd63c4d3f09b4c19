// Command conservation compares ways to tell an inverse problem what physics
// knows for certain: that mass is conserved, and how a substance spreads.
//
//	go run ./examples/conservation
//
// A substance spreads in a closed channel, with three sensors in it. The unknown
// are its concentrations everywhere and always, 300 numbers with a Gaussian
// process for their prior. The known mass enters not at all, softly, as data
// with a small error, or as an equation that holds exactly; by projection of
// the draws or of a diffusion model's denoiser; with positive concentrations;
// and then the equation of diffusion itself, softly and exactly. There is an
// exact answer, found in another way.
//
// It writes conservation.png to the folder -out and prints a table.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/posterior"
)

func main() { show.Main(run) }

// method is a way to use what is known.
type method struct {
	Name  string
	s     inverse.Sampler
	draws *mat.Dense

	Error    float64 // of the mean, relative
	Coverage float64 // of 90 % credible intervals
	SD       float64 // mean over the unknowns
	Mass     float64 // largest error of the mass in any draw, relative
	Residual float64 // root mean square of that of the equation of diffusion
	Negative float64 // share of draws with a concentration below 0
}

// soft is the posterior with soft equations of some standard deviation.
type soft struct {
	Sigma           float64
	Mass, Diffusion convergence
}

// convergence is how far the mean is from that of the exact equations, in
// standard deviations of the posterior without them, and the condition number.
type convergence struct{ Distance, Condition float64 }

func run(ctx context.Context, f *show.Flags) error {
	rows := 1000
	if f.Quick {
		rows = 100
	}
	src := rand.NewPCG(f.Seed, 0)
	p, err := newProblem(src)
	if err != nil {
		return err
	}
	methods, err := p.methods(ctx, f, rows, src)
	if err != nil {
		return err
	}
	softer, agreement, err := p.soften()
	if err != nil {
		return err
	}
	f.Done()
	path, err := draw(f, p, methods, softer)
	if err != nil {
		return err
	}
	f.Print("%s\n%s\n", table(methods), softTable(softer))
	f.Print("The exact equation of diffusion, by conditioning and in the coordinates of the first\nconcentrations: means agree to %.1g.\n\n%s\nThe picture is %s.\n", agreement, meaning, path)
	return f.Figures(map[string]any{"methods": methods, "soft": softer, "agreement": agreement, "draws": rows})
}

const meaning = `What the numbers mean:
- Exact conditioning keeps the mass to rounding and costs one solution for each
  equation. A soft constraint keeps it to its sigma, converges to the exact answer
  as sigma², and makes the problem as stiff as it is tight.
- Moving draws to the nearest point of the constraint keeps the mass as well, but
  spreads the correction over all cells alike, also where the sensors have said
  what is there; the covariance says where it belongs. The same is true of the
  denoiser of a diffusion model.
- The mass says little about where the substance is. The equation of diffusion
  says much more, and the two together the most.
`

func (p *problem) methods(ctx context.Context, f *show.Flags, rows int, src rand.Source) ([]*method, error) {
	free, err := p.soft(nil, nil, 0)
	if err != nil {
		return nil, err
	}
	softMass, err := p.soft(p.mass, p.total, 0.1)
	if err != nil {
		return nil, err
	}
	hardMass, err := posterior.Constrain(free, p.mass, p.total, nil)
	if err != nil {
		return nil, err
	}
	nearest, err := posterior.Constrain(anonymous{free}, p.mass, p.total, nil)
	if err != nil {
		return nil, err
	}
	positive := mat.NewDense(size, size, nil)
	for i := range size {
		positive.Set(i, i, -1)
	}
	f.Progress("positive concentrations")
	both, err := posterior.Truncate(hardMass, positive, make([]float64, size))
	if err != nil {
		return nil, err
	}
	both.Src = src
	zero := make([]float64, (times-1)*cells)
	softStep, err := p.soft(p.step, zero, 0.01)
	if err != nil {
		return nil, err
	}
	hardStep, err := posterior.Constrain(free, p.step, zero, nil)
	if err != nil {
		return nil, err
	}
	var all mat.Dense
	all.Stack(p.step, p.mass.Slice(0, 1, 0, size)) // the others follow
	hardAll, err := posterior.Constrain(free, &all, append(zero, p.total[0]), nil)
	if err != nil {
		return nil, err
	}
	for _, g := range []*posterior.Gaussian{free, softMass, softStep} {
		g.Src = src
	}
	methods := []*method{
		{Name: "no physics", s: free},
		{Name: "mass, soft (0.1)", s: softMass},
		{Name: "mass, exact", s: hardMass},
		{Name: "mass, draws projected", s: nearest},
	}
	for _, covariance := range []bool{false, true} {
		s, err := p.diffusion(ctx, covariance, src)
		if err != nil {
			return nil, err
		}
		name := "mass, denoiser projected"
		if covariance {
			name = "mass, denoiser conditioned"
		}
		methods = append(methods, &method{Name: name, s: s})
	}
	methods = append(methods,
		&method{Name: "mass, exact, and positive", s: both},
		&method{Name: "diffusion, soft (0.01)", s: softStep},
		&method{Name: "diffusion, exact", s: hardStep},
		&method{Name: "diffusion and mass, exact", s: hardAll})
	for _, m := range methods {
		f.Progress("%s", m.Name)
		if err := p.measure(ctx, m, rows); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return methods, nil
}

// anonymous hides that a sampler is Gaussian.
type anonymous struct{ inverse.Sampler }

// diffusion is a diffusion model of the posterior, constrained.
func (p *problem) diffusion(ctx context.Context, covariance bool, src rand.Source) (inverse.Sampler, error) {
	free, err := p.given()
	if err != nil {
		return nil, err
	}
	score, err := diffusion.Diffuse(free, diffusion.NewVP(0.1, 20))
	if err != nil {
		return nil, err
	}
	s, err := diffusion.Constrain(score, p.mass, p.total, &diffusion.ConstrainOptions{Covariance: covariance})
	if err != nil {
		return nil, err
	}
	return &diffusion.Reverse{Score: s, Steps: 40, Src: src}, nil
}

func (p *problem) measure(ctx context.Context, m *method, rows int) error {
	m.draws = mat.NewDense(rows, size, nil)
	if err := m.s.Sample(ctx, m.draws); err != nil {
		return err
	}
	var mass, residual mat.Dense
	mass.Mul(m.draws, p.mass.T())
	residual.Mul(m.draws, p.step.T())
	for i := range rows {
		for j, want := range p.total {
			m.Mass = max(m.Mass, math.Abs(mass.At(i, j)/want-1))
		}
		if floats.Min(m.draws.RawRowView(i)) < -1e-9 {
			m.Negative += 1 / float64(rows)
		}
	}
	m.Residual = floats.Norm(residual.RawMatrix().Data, 2) / math.Sqrt(float64(rows*(times-1)*cells))
	mean := m.mean()
	m.Error = floats.Distance(mean, p.truth, 2) / floats.Norm(p.truth, 2)
	for j, truth := range p.truth {
		sd := stat.StdDev(mat.Col(nil, j, m.draws), nil)
		m.SD += sd / size
		if math.Abs(truth-mean[j]) <= 1.645*sd {
			m.Coverage += 1. / size
		}
	}
	return nil
}

// mean is that of the draws.
func (m *method) mean() []float64 {
	mean := make([]float64, size)
	rows, _ := m.draws.Dims()
	for i := range rows {
		floats.AddScaled(mean, 1/float64(rows), m.draws.RawRowView(i))
	}
	return mean
}

// soften follows soft equations as they become exact.
func (p *problem) soften() (s []soft, agreement float64, err error) {
	free, err := p.soft(nil, nil, 0)
	if err != nil {
		return nil, 0, err
	}
	variance, err := free.Variance(nil)
	if err != nil {
		return nil, 0, err
	}
	zero := make([]float64, (times-1)*cells)
	hard := make([][]float64, 2)
	for k, c := range []*mat.Dense{p.mass, p.step} {
		b := p.total
		if k == 1 {
			b = zero
		}
		q, err := posterior.Constrain(free, c, b, nil)
		if err != nil {
			return nil, 0, err
		}
		if hard[k], err = q.Mean(nil); err != nil {
			return nil, 0, err
		}
	}
	other, err := p.reduced()
	if err != nil {
		return nil, 0, err
	}
	agreement = floats.Distance(hard[1], other, math.Inf(1))
	one := func(c *mat.Dense, b, want []float64, sigma float64) (v convergence, err error) {
		g, err := p.soft(c, b, sigma)
		if err != nil {
			return v, err
		}
		for j, x := range g.Mean(nil) {
			v.Distance = max(v.Distance, math.Abs(x-want[j])/math.Sqrt(variance[j]))
		}
		v.Condition, err = p.condition(c, sigma)
		return v, err
	}
	for _, sigma := range []float64{1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001} {
		row := soft{Sigma: sigma}
		if row.Mass, err = one(p.mass, p.total, hard[0], sigma); err != nil {
			return nil, 0, err
		}
		if row.Diffusion, err = one(p.step, zero, hard[1], sigma); err != nil {
			return nil, 0, err
		}
		s = append(s, row)
	}
	return s, agreement, nil
}

func table(methods []*method) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s  %8s  %8s  %8s  %9s  %9s  %9s\n", "", "error", "90 %", "mean sd", "mass", "residual", "negative")
	for _, m := range methods {
		fmt.Fprintf(&b, "%-28s  %8.3f  %8.2f  %8.3f  %9.2g  %9.2g  %9.2g\n", m.Name, m.Error, m.Coverage, m.SD, m.Mass, m.Residual, m.Negative)
	}
	b.WriteString("error: of the mean, relative; 90 %: share of the truth inside of credible intervals;\nmass: largest relative error in any draw; residual: of the equation of diffusion, r.m.s.;\nnegative: share of draws with a negative concentration\n")
	return b.String()
}

func softTable(s []soft) string {
	var b strings.Builder
	b.WriteString("soft equations as they become exact: the largest distance of the mean to the exact\nanswer, in standard deviations, and the condition number\n")
	fmt.Fprintf(&b, "%8s  %20s  %20s\n", "sigma", "mass", "diffusion")
	for _, r := range s {
		fmt.Fprintf(&b, "%8g  %9.2g  %9.2g  %9.2g  %9.2g\n", r.Sigma, r.Mass.Distance, r.Mass.Condition, r.Diffusion.Distance, r.Diffusion.Condition)
	}
	return b.String()
}
