// Command fewstep asks how many evaluations of its network a learned prior
// needs to draw a handwritten digit.
//
//	go run ./examples/fewstep
//
// It draws from one learned score of 28×28 digits with several solvers and
// numbers of steps, and from the consistency model distilled from it, and
// compares the draws with digits that neither has seen: by the sliced Wasserstein
// distance between the images, and by the accuracy of a classifier that is to
// tell the ones from the others. Two sets of real digits give the
// floor of both. It writes fewstep.png to the folder -out.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/examples/internal/digits"
	"github.com/go-inverse/inverse/examples/internal/show"
)

func main() { show.Main(run) }

// method is a way to draw with a given number of network evaluations.
type method struct {
	name        string
	evaluations []int
	sampler     func(evaluations int, src rand.Source) inverse.Sampler
}

// A result is what draws of a method are like.
type result struct {
	Method      string
	Evaluations int
	quality
	Seconds float64
	draws   *mat.Dense
}

func run(ctx context.Context, f *show.Flags) error {
	n, evaluations := 500, []int{5, 10, 20, 50}
	if f.Quick {
		n, evaluations = 60, []int{5, 10}
	}
	held := digits.Held()
	j, err := newJudge(held, n)
	if err != nil {
		return err
	}
	all, err := methods(held, evaluations)
	if err != nil {
		return err
	}
	floor, err := j.judge(ctx, j.others, f.Seed)
	if err != nil {
		return err
	}
	var results []*result
	for _, m := range all {
		for _, e := range m.evaluations {
			name := fmt.Sprintf("%s, %d evaluations", m.name, e)
			r := &result{Method: m.name, Evaluations: e, draws: mat.NewDense(n, held.RawMatrix().Cols, nil)}
			start := time.Now()
			f.Progress("%s: drawing", name)
			if err := m.sampler(e, rand.NewPCG(f.Seed, 1)).Sample(ctx, r.draws); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r.Seconds = time.Since(start).Seconds()
			f.Progress("%s: judging", name)
			if r.quality, err = j.judge(ctx, r.draws, f.Seed); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			results = append(results, r)
		}
	}
	f.Done()
	path, err := draw(f, j, floor, results)
	if err != nil {
		return err
	}
	f.Print("%s%s\nThe picture is %s.\n", table(n, floor, results), meaning, path)
	return f.Figures(map[string]any{"floor": floor, "methods": results, "draws": n})
}

// largest and smallest are the noise levels σ/α of the few-step grid: some
// standard deviations of the data, and what cannot be seen.
const largest, smallest = 4, .02

func methods(held *mat.Dense, evaluations []int) ([]method, error) {
	score, err := digits.Score()
	if err != nil {
		return nil, err
	}
	start := moments(held)
	jump, err := digits.Jump()
	if err != nil {
		return nil, err
	}
	reverse := func(solver diffusion.Solver) func(int, rand.Source) inverse.Sampler {
		return func(steps int, src rand.Source) inverse.Sampler {
			return &diffusion.Reverse{Score: score, Solver: solver, Steps: steps, Src: src}
		}
	}
	return []method{
		{"consistency model", []int{1, 2, 3, 4}, func(steps int, src rand.Source) inverse.Sampler {
			jump.Steps, jump.Src = steps, src
			return jump
		}},
		{"DPM-Solver++, matched start", evaluations, func(steps int, src rand.Source) inverse.Sampler {
			return &diffusion.Reverse{
				Score: score, Solver: diffusion.DPMSolver{}, Steps: steps, Src: src,
				From: digits.Time(largest), To: digits.Time(smallest), Start: start,
			}
		}},
		{"DPM-Solver++", evaluations, reverse(diffusion.DPMSolver{})},
		{"DDIM", evaluations, reverse(diffusion.DDIM{})},
		{"Euler, probability flow", evaluations, reverse(diffusion.ProbabilityFlow{})},
		{"ancestral", evaluations, reverse(diffusion.DDIM{Eta: 1})},
	}, nil
}

// moments returns the means and variances of the columns.
func moments(x *mat.Dense) diffusion.Moments {
	rows, n := x.Dims()
	m := diffusion.Moments{Mean: make([]float64, n), Var: make([]float64, n)}
	for i := range rows {
		for j, v := range x.RawRowView(i) {
			m.Mean[j] += v / float64(rows)
		}
	}
	for i := range rows {
		for j, v := range x.RawRowView(i) {
			m.Var[j] += (v - m.Mean[j]) * (v - m.Mean[j]) / float64(rows-1)
		}
	}
	return m
}

func table(n int, floor quality, results []*result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d draws against %d held-out digits:\n", n, n)
	fmt.Fprintf(&b, "%-28s %11s %10s %16s %8s\n", "", "evaluations", "sliced W", "C2ST", "seconds")
	fmt.Fprintf(&b, "%-28s %11s %10.4f %8.3f ± %.3f %8s\n", "other held-out digits", "-", floor.SlicedW, floor.C2ST, floor.SE, "-")
	for _, r := range results {
		fmt.Fprintf(&b, "%-28s %11d %10.4f %8.3f ± %.3f %8.1f\n", r.Method, r.Evaluations, r.SlicedW, r.C2ST, r.SE, r.Seconds)
	}
	return b.String()
}

const meaning = `
- sliced W: sliced Wasserstein distance between images, black being -1 and white
  1. Two sets of real digits of the same size are not at 0: that is the floor.
- C2ST: accuracy of a classifier that sees 16 principal components, 0.5 if it
  cannot tell draws from digits.
- One evaluation of the consistency model gives about what DDIM and Euler's method
  give from ten; more of them change little.
- DPM-Solver++ needs ten evaluations for what it gets from fifty, and DDIM and
  Euler's method twenty. What is left then is the network's, not the solver's.
- The matched start begins at a lower noise level, from a Gaussian with the mean
  and variance of each pixel. In one dimension that pays. Images vary far more
  along some directions than pixel by pixel, and with ten evaluations or more its
  error is the larger one.
`
