package nn

import (
	"fmt"
	"math"
	"testing"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// The outputs that Run passes on, variable by variable, are those of Forward
// at the complete x.
func TestSequentialIsForward(t *testing.T) {
	const rows, outputs = 7, 3
	for _, c := range []struct {
		d, context  int
		hidden      []int
		residual    bool
		independent bool
	}{
		{1, 0, []int{5}, false, false}, {1, 4, []int{6, 6}, true, false}, {2, 0, []int{3}, false, false}, {4, 3, []int{10, 7}, false, false},
		{5, 2, []int{3, 3, 3}, true, false}, {6, 0, []int{20, 20}, true, false}, {3, 2, nil, false, false}, {3, 0, nil, false, false}, {8, 1, []int{4}, false, false},
		{1, 2, []int{5}, false, true}, {4, 3, []int{10, 10}, true, true}, {3, 0, []int{4}, false, true}, {3, 2, nil, false, true},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			src := rng.New(3, 0)
			p := NewParams[float64](src)
			m := NewMADE(p, "made", c.d, &MADEOptions{Hidden: c.hidden, Act: kernel.Tanh, Context: c.context, Outputs: outputs, Residual: c.residual, Independent: c.independent})
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			var tape autodiff.Tape[float64]
			tape.Reset(p.Values, nil)
			xv := tape.Input(rows, c.d)
			rng.FillNormal(tape.Value(xv), src)
			var cv autodiff.Var
			var contexts []float64
			if c.context > 0 {
				cv = tape.Input(rows, c.context)
				contexts = tape.Value(cv)
				rng.FillNormal(contexts, src)
			}
			want := tape.Value(m.Forward(&tape, xv, cv))
			truth := tape.Value(xv)

			s := m.Sequential(p)
			x := make([]float64, rows*c.d)
			for i := range x {
				x[i] = math.NaN() // what has not been set must not be read
			}
			scratch := make([]float64, s.Scratch(rows))
			for i := range scratch {
				scratch[i] = math.NaN()
			}
			s.Run(x, contexts, scratch, rows, func(i int, got []float64) {
				for r := range rows {
					for k := range outputs {
						if g, w := got[r*outputs+k], want[(r*c.d+i)*outputs+k]; !(math.Abs(g-w) < 1e-13) {
							t.Errorf("variable %d, row %d, output %d: %g, Forward has %g", i, r, k, g, w)
						}
					}
					x[r*c.d+i] = truth[r*c.d+i]
				}
			})
		})
	}
}
