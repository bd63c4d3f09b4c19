// Command lotkavolterra infers the four rates of predators and prey that react
// at random, one by one, from nine statistics of their numbers. The likelihood
// of such data has no formula; there is only the simulator.
//
//	go run ./examples/lotkavolterra
//	go run ./examples/lotkavolterra -observation 1
//
// Four routes to the same posterior are shown side by side: SMC-ABC, which
// needs no network but many simulations; neural posterior estimation with
// splines, once from prior draws and once, sequentially, from draws where the
// posterior is; and COT-Flow, whose network is the potential of a transport.
// Observation 1 is of a path on which the predators die out early. It is rare,
// and so an amortised posterior, which has to be right everywhere, has hardly
// seen its like; the sequential one spends its simulations there.
//
// It writes corner.png (the posteriors), predictive.png (data simulated from
// them) and paths.png (populations of draws of the posterior) to the folder
// -out, and prints a table of moments, costs and predictive checks.
package main

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/internal/rng"
)

var observation = flag.Int("observation", 2, "the observed data, 1 or 2 of the COT-Flow paper")

func main() { show.Main(run) }

var names = []string{"log θ₁", "log θ₂", "log θ₃", "log θ₄"}

func run(ctx context.Context, f *show.Flags) error {
	p, err := newProblem(*observation)
	if err != nil {
		return err
	}
	budget := full
	if f.Quick {
		budget = quick
	}
	var posteriors []*posterior
	for i, r := range routes {
		q, err := r.infer(ctx, p, budget, rng.New(f.Seed, uint64(i)), func(format string, args ...any) {
			f.Progress(r.name+": "+format, args...)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := q.check(ctx, p, budget, rng.New(f.Seed, uint64(100+i))); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		q.name, q.colour = r.name, r.colour
		posteriors = append(posteriors, q)
	}
	f.Done()
	files, err := draw(f, p, posteriors, rng.New(f.Seed, 200))
	if err != nil {
		return err
	}
	f.Print("%s\nThe pictures are %s.\n", table(p, posteriors), strings.Join(files, ", "))
	return f.Figures(figures(p, posteriors))
}

func table(p *problem, posteriors []*posterior) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Observation %d. Mean ± standard deviation:\n\n%-10s %11s %8s", p.number, "", "simulations", "seconds")
	for _, n := range names {
		fmt.Fprintf(&b, " %15s", n)
	}
	fmt.Fprintf(&b, "  predictive check\n%-10s %11s %8s", "truth", "", "")
	for _, v := range p.truth {
		fmt.Fprintf(&b, " %8.2f       ", v)
	}
	fmt.Fprintln(&b)
	for _, q := range posteriors {
		fmt.Fprintf(&b, "%-10s %11d %8.1f", q.name, q.simulations, q.seconds)
		for j := range names {
			fmt.Fprintf(&b, " %8.2f ± %4.2f", q.mean[j], q.sd[j])
		}
		verdict := "passed"
		if !q.predictive.Pass() {
			verdict = "failed"
		}
		if q.endless > 0.001 {
			verdict += fmt.Sprintf("; at %.1f %% of the draws no path ends", 100*q.endless)
		}
		fmt.Fprintf(&b, "  %s\n", verdict)
	}
	return b.String()
}

// figures are what -json prints.
func figures(p *problem, posteriors []*posterior) map[string]any {
	out := map[string]any{"observation": p.number, "truth": p.truth}
	for _, q := range posteriors {
		out[q.name] = map[string]any{
			"simulations": q.simulations, "seconds": q.seconds, "mean": q.mean, "sd": q.sd,
			"predictive_tails": q.predictive.Tail, "predictive_pass": q.predictive.Pass(), "endless": q.endless,
		}
	}
	return out
}
