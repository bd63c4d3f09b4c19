package autodiff

import (
	"testing"

	"github.com/go-inverse/inverse/internal/kernel"
)

// BenchmarkOverhead is what the tape costs per operation, forward and
// backward: an operation on one element.
func BenchmarkOverhead(b *testing.B) {
	const n = 1000
	for name, op := range map[string]func(t *Tape[float32], x Var) Var{
		"Square": (*Tape[float32]).Square,
		"Add":    func(t *Tape[float32], x Var) Var { return t.Add(x, x) },
		"Tanh":   (*Tape[float32]).Tanh,
	} {
		b.Run(name, func(b *testing.B) {
			var t Tape[float32]
			b.ReportAllocs()
			for b.Loop() {
				t.Reset(nil, nil)
				x := t.Variable(1, 1)
				t.Value(x)[0] = 0.1
				for range n {
					x = op(&t, x)
				}
				t.Backward(x, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/operation")
		})
	}
}

// BenchmarkLinear is a layer of 50 units with tanh on a block of 50 rows,
// forward and backward.
func BenchmarkLinear(b *testing.B) {
	params, grads := make([]float32, 2550), make([]float32, 2550)
	w, bias := Param{Rows: 50, Cols: 50}, Param{ID: 1, Offset: 2500, Rows: 1, Cols: 50}
	var t Tape[float32]
	for b.Loop() {
		t.Reset(params, grads)
		y := t.Linear(t.Variable(50, 50), t.Param(w), t.Param(bias), kernel.Tanh)
		t.Backward(y, 1)
	}
}

// BenchmarkSpline is splines of 10 bins on 50 rows of 5 variables, forward and
// backward.
func BenchmarkSpline(b *testing.B) {
	s := &Spline{Bins: 10, Bound: 3, MinWidth: 1e-3, MinHeight: 1e-3, MinSlope: 1e-3}
	var t Tape[float32]
	for b.Loop() {
		t.Reset(nil, nil)
		x, raw := t.Variable(50, 5), t.Variable(50, 5*s.Params())
		for i := range t.Value(x) {
			t.Value(x)[i] = float32(i%50)/8 - 3
		}
		for i := range t.Value(raw) {
			t.Value(raw)[i] = float32(i%7)/7 - 0.5
		}
		y, l := t.Spline(s, x, raw)
		t.Backward(t.Add(y, l), 1)
	}
}
