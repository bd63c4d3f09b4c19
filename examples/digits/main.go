// Command digits solves four inverse problems with one learned prior of
// handwritten digits: inpainting, deblurring, super-resolution, and phase
// retrieval, which is not linear. Nothing is trained again.
//
//	go run ./examples/digits           # 28×28 digits of MNIST
//	go run ./examples/digits -quick    # 8×8 digits
//
// The true images are ones that the prior has not seen. The program writes a
// picture of each problem to the folder -out, with truth, data, posterior mean
// and standard deviation and some draws, and prints a table. The networks are
// in the repository; command train, in the folder beside this, made them.
package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-inverse/inverse/examples/internal/show"
)

func main() { show.Main(run) }

func run(ctx context.Context, f *show.Flags) error {
	p, err := newPrior(f.Quick)
	if err != nil {
		return err
	}
	n, steps, truths := 48, 50, []int{0, 1, 2, 3}
	if f.Quick {
		n, steps, truths = 19, 20, truths[:2]
	}
	all, err := tasks(p.side, steps)
	if err != nil {
		return err
	}
	result := make(map[string]figures)
	var files []string
	for _, t := range all {
		s, err := p.solve(ctx, t, truths, n, f.Seed, func(k, of int) { f.Progress("%s: image %d of %d", t.name, k+1, of) })
		if err != nil {
			return err
		}
		result[t.name] = average(s)
		path, err := draw(f, t, s, p.side)
		if err != nil {
			return err
		}
		files = append(files, path)
	}
	f.Done()
	f.Print("%s%s\nThe pictures are %s.\n", table(all, result), meaning, strings.Join(files, ", "))
	return f.Figures(result)
}

func table(all []task, result map[string]figures) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-18s %-6s %9s %9s %6s %9s %6s %7s\n", "", "", "mean, dB", "draw, dB", "chi2", "coverage", "open", "turned")
	for _, t := range all {
		r := result[t.name]
		fmt.Fprintf(&b, "%-18s %-6s %9.1f %9.1f %6.2f %8.0f%% %5.0f%% %6.0f%%\n",
			t.name, t.method, r.MeanDB, r.DrawDB, r.Chi2, 100*r.Coverage, 100*r.Open, 100*r.Turned)
	}
	return b.String()
}

const meaning = `
- mean, draw: peak signal-to-noise ratio against the truth. The mean is better by
  what the draws vary. A draw that looks right may be far from the truth, as where
  half of a digit is hidden: that is the answer, not an error.
- chi2: misfit of the draws per datum, 1 for draws of the posterior if the data
  are many. DPS does not know the noise; its step was chosen for about 1.
- coverage: how often 90 % intervals of the draws have the true pixel, among the
  pixels that are open, with a standard deviation above 0.05. It should be 90 %,
  and less means that the draws vary too little. There is no exact posterior to
  hold this against: prior and guidance are both approximate, and images few.
- turned: draws that look more like the truth turned by half a circle. In phase
  retrieval the data are the same for both, and only the prior can tell. Where
  it cannot, a 6 is a 9, and the posterior mean is the one on top of the other.
`
