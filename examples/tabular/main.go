// Command tabular predicts a number from other numbers, with honest
// uncertainty: the strength of concrete from its ingredients, the cooling load
// of buildings from their shapes, and the resistance of yachts from their hulls.
//
//	go run ./examples/tabular
//
// For each data set it trains conditional flows of several architectures, and
// takes the one with the lowest validation loss or, if that is lower, their
// mixture. What this says of the test rows is a density for each, from which
// come intervals of any probability. A Gaussian linear regression is there for
// comparison.
//
// It writes intervals.png (test rows with their predictive intervals) and
// coverage.png (how many test rows are inside of intervals) to the folder -out,
// and prints the mean of -log q(x|y) over the test rows.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/flow"
)

func main() { show.Main(run) }

// candidates are the architectures that compete.
var candidates = []struct {
	name string
	flow.Architecture
	rate float64
}{
	{"mixture density network", flow.MDN{Components: 4}, 1e-3},
	{"neural spline flow", flow.NSF{Transforms: 2}, 1e-3},
	{"COT-Flow", flow.COT{Width: 32}, 5e-3},
	{"PCP-Map", flow.PCPMap{Width: 32, Layers: 2}, 5e-3},
}

// result is what became of a data set.
type result struct {
	Test      map[string]float64 // mean of -log q(x|y) over the test rows
	Valid     map[string]float64 // and over the validation rows
	Chosen    string             // what has the lowest Valid
	Inside50  float64            // share of the test rows inside of their 50 % interval
	Inside90  float64
	Seconds   float64
	intervals []interval
	ranks     []float64 // of the test rows among their draws, from 0 to 1
}

// interval is what is predicted for a test row: quantiles of 5, 25, 50, 75 and
// 95 %, and what was observed.
type interval struct {
	q        [5]float64
	observed float64
}

func run(ctx context.Context, f *show.Flags) error {
	results := make(map[string]*result)
	for i, set := range sets {
		d, err := read(set.name)
		if err != nil {
			return err
		}
		if results[set.name], err = study(ctx, f, set.name, d, uint64(i)); err != nil {
			return fmt.Errorf("%s: %w", set.name, err)
		}
	}
	intervals, err := drawIntervals(f, results)
	if err != nil {
		return err
	}
	coverage, err := drawCoverage(f, results)
	if err != nil {
		return err
	}
	f.Done()
	f.Print("mean of -log q(x|y) over the test rows, in nats (* has the lowest validation loss)\n\n%-26s", "")
	for _, set := range sets {
		f.Print(" %10s", set.name)
	}
	f.Print("\n")
	names := []string{linear}
	for _, c := range candidates {
		names = append(names, c.name)
	}
	names = append(names, mixture)
	for _, name := range names {
		f.Print("%-26s", name)
		for _, set := range sets {
			r, mark := results[set.name], " "
			if name == r.Chosen {
				mark = "*"
			}
			f.Print(" %9.3f%s", r.Test[name], mark)
		}
		f.Print("\n")
	}
	for _, set := range sets {
		r := results[set.name]
		f.Print("\n%s: %.0f %% of the test rows are inside of their 50 %% intervals, %.0f %% inside of 90 %%; %.0f s", set.name, 100*r.Inside50, 100*r.Inside90, r.Seconds)
	}
	f.Print("\nThe pictures are %s and %s.\n", intervals, coverage)
	return f.Figures(results)
}

// Names of rows of the table beside the candidates.
const (
	linear  = "linear regression"
	mixture = "mixture of the four"
)

// study trains the candidates on a data set and predicts its test rows with
// the best of them.
func study(ctx context.Context, f *show.Flags, name string, d *data, stream uint64) (*result, error) {
	start := time.Now()
	r := &result{Test: make(map[string]float64), Valid: make(map[string]float64)}
	r.Test[linear] = d.regression()
	var members []flow.Conditional
	for k, c := range candidates {
		o := &flow.FitOptions{
			ValidationRows: d.valid, Batch: 32, Rate: c.rate, Patience: 40, Drops: 2, Epochs: 400,
			Src: rand.NewPCG(f.Seed, 10*stream+uint64(k)),
			Progress: func(p flow.Progress) {
				f.Progress("%s, %s: epoch %d, validation %.3f", name, c.name, p.Epoch, p.Valid)
			},
		}
		if f.Quick {
			o.Epochs = 5
		}
		fit, err := flow.Fit(ctx, c.Architecture, d.x, d.y, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		members = append(members, fit)
	}
	all, err := flow.NewEnsemble(members, nil)
	if err != nil {
		return nil, err
	}
	lowest, best := math.Inf(1), flow.Conditional(all)
	validX, validY := d.validation()
	for k, q := range append(members, all) {
		name := mixture
		if k < len(candidates) {
			name = candidates[k].name
		}
		r.Test[name], r.Valid[name] = meanNLL(q, d.testX, d.testY), meanNLL(q, validX, validY)
		if v := r.Valid[name]; v < lowest {
			lowest, best, r.Chosen = v, q, name
		}
	}
	if err := r.predict(ctx, best, d, rand.NewPCG(f.Seed, 1000+stream)); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// meanNLL returns the mean of -log q(x|y).
func meanNLL(q flow.Conditional, x, y *mat.Dense) float64 {
	rows, _ := x.Dims()
	l := make([]float64, rows)
	q.LogProb(l, x, y)
	var sum float64
	for _, v := range l {
		sum -= v / float64(rows)
	}
	return sum
}

// predict sets the intervals of the test rows from draws.
func (r *result) predict(ctx context.Context, q flow.Conditional, d *data, src rand.Source) error {
	const n = 2000
	rows, _ := d.testX.Dims()
	draws := mat.NewDense(n, 1, nil)
	for i := range rows {
		y := d.testY.RawRowView(i)
		if err := q.Draw(ctx, draws, mat.NewDense(1, len(y), y), src); err != nil {
			return err
		}
		x := mat.Col(nil, 0, draws)
		slices.Sort(x)
		v := interval{observed: d.testX.At(i, 0)}
		for k, p := range []float64{0.05, 0.25, 0.5, 0.75, 0.95} {
			v.q[k] = x[int(p*n)]
		}
		r.intervals = append(r.intervals, v)
		below, _ := slices.BinarySearch(x, v.observed)
		r.ranks = append(r.ranks, (float64(below)+0.5)/(n+1))
	}
	r.Inside50, r.Inside90 = r.coverage(0.5), r.coverage(0.9)
	return nil
}

// coverage returns the share of the test rows inside of their central interval
// of probability p.
func (r *result) coverage(p float64) float64 {
	inside := 0
	for _, u := range r.ranks {
		if math.Abs(u-0.5) <= p/2 {
			inside++
		}
	}
	return float64(inside) / float64(len(r.ranks))
}
