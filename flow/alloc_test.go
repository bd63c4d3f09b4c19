package flow

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// mallocs returns the number of allocations in f. Meanwhile there is one
// processor and no memory is collected, so that pools find what they have.
func mallocs(f func()) float64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// More steps of training do not allocate more.
func TestTrainingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x, y := pairs(1000, 3, 2, 1)
	for _, a := range small {
		train := func(epochs int) func() {
			return func() {
				o := &FitOptions{Src: rng.New(1, 0), Validation: -1, Batch: 50, Epochs: epochs, Workers: 1, Embedding: MLP{}}
				if _, err := Fit(context.Background(), a, x, y, o); err != nil {
					t.Fatal(err)
				}
			}
		}
		train(1)()
		few, many := mallocs(train(2)), mallocs(train(22))
		// An epoch, of 20 steps, makes a stream to shuffle the rows with, and
		// its report makes a slice grow.
		if perStep := (many - few) / (20 * 20); perStep > 0.2 {
			t.Errorf("%s: %.3f allocations a step (%g, %g)", name(a), perStep, few, many)
		}
	}
}

// Evaluating and drawing a block of rows does not allocate, and more rows do
// not allocate more.
func TestEvaluationDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x, y := pairs(1000, 3, 2, 1)
	l, z := make([]float64, 1000), mat.NewDense(1000, 3, nil)
	for _, a := range small {
		f := trained(t, a, x, y, FitOptions{Epochs: 1})
		for what, call := range map[string]func(){
			"LogProb":  func() { f.LogProb(l, x, y) },
			"Invert":   func() { f.Invert(z, l, x, y) },
			"Generate": func() { f.Generate(z, x, y) },
		} {
			call()
			if n := testing.AllocsPerRun(3, call); n > 3 {
				t.Errorf("%s: %s of 1000 rows allocates %g times", name(a), what, n)
			}
		}
		one := y.Slice(0, 1, 0, 2).(*mat.Dense)
		src := rng.New(1, 0)
		draw := func() {
			if err := f.Draw(context.Background(), z, one, src); err != nil {
				t.Fatal(err)
			}
		}
		draw()
		if n := testing.AllocsPerRun(3, draw); n > 10 { // a stream for each of four blocks
			t.Errorf("%s: Draw of 1000 rows allocates %g times", name(a), n)
		}
		post := Given(f, []float64{1, 2})
		row := x.RawRowView(0)
		if n := testing.AllocsPerRun(20, func() { post.LogProb(row) }); n > 3 {
			t.Errorf("%s: LogProb of a point allocates %g times", name(a), n)
		}
	}
}
