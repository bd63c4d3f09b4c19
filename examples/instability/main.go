// Command instability shows what a network does that has learned to invert a
// blur directly, next to methods that know that they cannot.
//
//	go run ./examples/instability
//
// Random signals of 64 values are blurred. Two networks learn the way back, one
// from exact data and one from data with 1 % of noise. They are compared with
// Tikhonov's method, the posterior mean and a diffusion posterior: the error as
// noise grows over three decades, the worst perturbation of the data for each
// (Antun et al., 2020), and whether credible intervals hold the truth. A last
// part has signals that the prior does not expect, and asks the tests of package
// sbi to notice.
//
// It writes instability.png to the folder -out and prints tables.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/examples/internal/show"
)

func main() { show.Main(run) }

func run(ctx context.Context, f *show.Flags) error {
	c := config{seeds: 3, pairs: 10_000, epochs: 40, signals: 100, diffused: 3, draws: 200, alarms: 500}
	if f.Quick {
		c = config{seeds: 1, pairs: 2000, epochs: 8, signals: 20, diffused: 1, draws: 50, alarms: 20}
	}
	p, err := newProblem(12)
	if err != nil {
		return err
	}
	var trials []*trial
	for k := range c.seeds {
		t, err := p.try(ctx, c, rand.NewPCG(f.Seed, uint64(k)), func(format string, args ...any) {
			f.Progress("seed %d of %d: "+format, append([]any{k + 1, c.seeds}, args...)...)
		})
		if err != nil {
			return fmt.Errorf("seed %d: %w", k+1, err)
		}
		trials = append(trials, t)
	}
	f.Progress("tests of the prior")
	alarms, err := p.alarms(ctx, c, rand.NewPCG(f.Seed, 1000))
	if err != nil {
		return err
	}
	f.Done()
	path, err := draw(f, trials[0], trials)
	if err != nil {
		return err
	}
	sigma := p.op.SingularValues()
	f.Print("The blur has singular values from %.3g to %.3g.\n\n", sigma[0], sigma[size-1])
	f.Print("%s\n%s\n%s\n%s\n%s\nThe picture is %s.\n", errorTable(trials), trials[0].report, coverageTable(trials), alarms, meaning, path)
	return f.Figures(figures(p, trials, alarms))
}

const meaning = `What the numbers mean:
- The network that was trained on exact data has learned an inverse of the blur:
  without noise it is better than any other method, and it amplifies
  perturbations by up to 1/σ_min. That is linear algebra, and no fault of the network.
- A network trained on noisy data does not: it is as stable as Tikhonov's method,
  and close to the posterior mean at the noise that it was trained for. Here the
  lecture's "no amount of data or architecture fixes instability" is too strong:
  noise in training does. But at other levels of noise such a network is too
  cautious, or not cautious enough, where the posterior mean adapts.
- The posterior says how far to believe its mean. Its intervals hold the truth as
  often as they claim, also where the networks are off by many times their width.
`

// errorTable has the errors as noise grows, over the seeds.
func errorTable(trials []*trial) string {
	var b strings.Builder
	fmt.Fprintf(&b, "relative error by noise, mean ± sd over %d seeds\n%-30s", len(trials), "")
	for _, l := range levels {
		fmt.Fprintf(&b, "  %16g", l)
	}
	fmt.Fprintf(&b, "  %18s\n", "growth")
	for j, name := range methods {
		fmt.Fprintf(&b, "%-30s", name)
		for i := range levels {
			m, s := over(trials, func(t *trial) float64 { return t.errors[i][j] })
			fmt.Fprintf(&b, "  %8.3g ± %-5.1g", m, s)
		}
		m, s := over(trials, func(t *trial) float64 { return t.growth(j) })
		fmt.Fprintf(&b, "  ×%9.3g ± %-5.1g\n", m, s)
	}
	m, s := over(trials, (*trial).faster)
	fmt.Fprintf(&b, "The error of the network trained on exact data grows %.3g ± %.1g times as much as the posterior mean's.\n", m, s)
	return b.String()
}

func coverageTable(trials []*trial) string {
	var b strings.Builder
	fmt.Fprintf(&b, "share of the truth inside 90 %% credible intervals, by noise\n%-30s", "")
	for _, l := range levels {
		fmt.Fprintf(&b, "  %16g", l)
	}
	b.WriteByte('\n')
	for k, name := range []string{"posterior", "diffusion posterior"} {
		fmt.Fprintf(&b, "%-30s", name)
		for i := range levels {
			m, s := over(trials, func(t *trial) float64 { return t.coverage[i][k] })
			fmt.Fprintf(&b, "  %8.3g ± %-5.1g", m, s)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%-30s", "network's estimates inside them")
	for i := range levels {
		m, s := over(trials, func(t *trial) float64 { return t.coverage[i][2] })
		fmt.Fprintf(&b, "  %8.3g ± %-5.1g", m, s)
	}
	b.WriteByte('\n')
	return b.String()
}

// over returns mean and standard deviation over the trials.
func over(trials []*trial, f func(*trial) float64) (mean, sd float64) {
	v := make([]float64, len(trials))
	for i, t := range trials {
		v[i] = f(t)
	}
	mean, sd = stat.MeanStdDev(v, nil)
	if math.IsNaN(sd) {
		sd = 0
	}
	return mean, sd
}

func figures(p *problem, trials []*trial, a *alarms) map[string]any {
	type row struct{ Mean, SD float64 }
	errs := make(map[string][]row)
	growth := make(map[string]row)
	for j, name := range methods {
		for i := range levels {
			m, s := over(trials, func(t *trial) float64 { return t.errors[i][j] })
			errs[name] = append(errs[name], row{m, s})
		}
		m, s := over(trials, func(t *trial) float64 { return t.growth(j) })
		growth[name] = row{m, s}
	}
	m, s := over(trials, (*trial).faster)
	gains := make(map[string]float64)
	for j, name := range trials[0].report.Names {
		gains[name] = trials[0].report.Worst[j].Gain
	}
	sigma := p.op.SingularValues()
	return map[string]any{"levels": levels, "errors": errs, "growth": growth, "faster": row{m, s}, "worst_gain": gains,
		"inverse_of_sigma_min": 1 / sigma[size-1], "coverage": trials[0].coverage, "alarms": a}
}
