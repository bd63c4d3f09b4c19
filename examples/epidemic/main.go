// Command epidemic infers how infectious the influenza of an English boarding
// school was in 1978, from the number of boys who were confined to bed each
// day, and checks every answer by another route.
//
//	go run ./examples/epidemic
//
// The epidemic is an SIR process in which single boys infect each other and
// recover at random: among 763 boys, and with one who brings the virus, chance
// matters, and no formula gives the likelihood of the counts. A simulator is
// all that neural posterior estimation (NPE) and approximate Bayesian
// computation (SMC-ABC) ask for. For so small a model a particle filter can
// estimate the likelihood without bias, at the cost of hundreds of simulations
// for each value, and so weigh draws of NPE into draws of the exact posterior:
// the reference here.
//
// It writes epidemic.png (the counts, and where new ones would lie),
// posterior.png (the basic reproduction number, the infectious period and the
// dispersion by each route) and sbc.png (calibration over the prior) to the
// folder -out, and prints a table.
//
// The counts are those of Communicable Disease Surveillance Centre and others,
// "Influenza in a boarding school", British Medical Journal, 4 March 1978,
// p. 587, for 22 January to 4 February.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/internal/rng"
)

func main() { show.Main(run) }

func run(ctx context.Context, f *show.Flags) error {
	s := full
	if f.Quick {
		s = quick
	}
	p, err := newProblem()
	if err != nil {
		return err
	}
	res, err := infer(ctx, p, s, rng.New(f.Seed, 0), f.Progress)
	if err != nil {
		return err
	}
	f.Done()
	files, err := draw(f, res)
	if err != nil {
		return err
	}
	f.Print("%s\n%v\n\nThe pictures are %s.\n", table(res), res.sbc, strings.Join(files, ", "))
	return f.Figures(figures(res))
}

func table(r *result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %11s  %-20s %-22s %s\n", "mean (90 % interval)", "simulations", "R₀", "infectious days", "dispersion")
	for _, q := range r.posteriors {
		fmt.Fprintf(&b, "%-28s %11d", q.name, q.simulations)
		for _, s := range q.summary {
			fmt.Fprintf(&b, "  %4.2f (%4.2f to %5.2f)", s.mean, s.q5, s.q95)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "\nThe weights of the particle filter are worth %.0f draws of %d.\n", r.ess, r.weighted)
	verdict := "explains"
	if !r.predictive.Pass() {
		verdict = "does not explain"
	}
	fmt.Fprintf(&b, "The posterior %s the counts: the least tail probability of a day is %.2f.\n", verdict, leastTail(r))
	return b.String()
}

// figures are what -json prints.
func figures(r *result) map[string]any {
	out := map[string]any{
		"sbc_pass": r.sbc.Pass(), "predictive_pass": r.predictive.Pass(), "predictive_least_tail": leastTail(r),
		"filter_ess": r.ess, "filter_draws": r.weighted, "seconds": r.seconds,
	}
	for _, q := range r.posteriors {
		m := map[string]any{"simulations": q.simulations}
		for k, s := range q.summary {
			m[[]string{"R0", "infectious_days", "dispersion"}[k]] = map[string]float64{"mean": s.mean, "sd": s.sd, "q5": s.q5, "q95": s.q95}
		}
		out[q.key] = m
	}
	return out
}
