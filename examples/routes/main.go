// Command routes solves one inverse problem by every route of the library, and
// holds each against the exact answer.
//
//	go run ./examples/routes
//
// The problem is written once: a prior of three components in two dimensions, an
// operator, and a Gaussian likelihood of one datum. The posterior is known in
// closed form, has two modes on a ridge, and is sampled by Markov chains,
// variational inference, two networks that learn it from 10,000 simulations, and
// two diffusion posteriors. C2ST is the accuracy of a classifier that tells draws
// from exact ones: 0.5 is as good as exact.
//
// It writes routes.png to the folder -out and prints a table. The file
// testdata/peers.py has the same problem for Python's libraries.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/sbi"
)

func main() { show.Main(run) }

func run(ctx context.Context, f *show.Flags) error {
	rows := 2000
	if f.Quick {
		rows = 300
	}
	p, err := newProblem()
	if err != nil {
		return err
	}
	// Two sets of exact draws: what C2ST says of these is as good as it gets.
	post, reference, err := p.exact(rows, rand.NewPCG(f.Seed, 100))
	if err != nil {
		return err
	}
	_, again, err := p.exact(rows, rand.NewPCG(f.Seed, 101))
	if err != nil {
		return err
	}
	results := []*result{again}
	for i, r := range routes {
		if f.Quick && r.trains {
			continue // training takes longer than a quick look
		}
		f.Progress("%s", r.Name)
		res, err := p.follow(ctx, r, rows, rand.NewPCG(f.Seed, uint64(i)))
		if err != nil {
			return err
		}
		results = append(results, res)
	}
	for _, r := range results {
		f.Progress("C2ST of %s", r.Name)
		c, err := sbi.C2ST(ctx, reference.draws, r.draws, &sbi.C2STOptions{Src: rand.NewPCG(f.Seed, 200)})
		if err != nil {
			return err
		}
		r.C2ST = c.Accuracy
	}
	f.Done()
	path, err := draw(f, p, post, results)
	if err != nil {
		return err
	}
	f.Print("%s\nThe picture is %s.\n", table(results, rows), path)
	return f.Figures(map[string]any{"draws": rows, "simulations": simulations, "routes": results})
}

func table(results []*result, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-20s  %16s  %14s  %6s  %11s  %9s  %9s\n", "", "mean", "sd", "C2ST", "evaluations", "seconds", "drawing")
	for _, r := range results {
		fmt.Fprintf(&b, "%-20s  %7.3f  %7.3f  %6.3f  %6.3f  %6.3f  %11d  %9.3g  %9.3g\n",
			r.Name, r.Mean[0], r.Mean[1], r.SD[0], r.SD[1], r.C2ST, r.Evaluations, r.Seconds, r.Drawing)
	}
	fmt.Fprintf(&b, "evaluations: of the operator; seconds: all, with training; drawing: %d draws alone\n", rows)
	return b.String()
}
