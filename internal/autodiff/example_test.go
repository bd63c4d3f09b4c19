package autodiff_test

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// The gradient of a small network at its weights.
func Example() {
	w := autodiff.Param{ID: 0, Offset: 0, Rows: 1, Cols: 2}
	b := autodiff.Param{ID: 1, Offset: 2, Rows: 1, Cols: 1}
	params, grads := []float64{0.5, -1, 0.25}, make([]float64, 3)

	var t autodiff.Tape[float64]
	t.Reset(params, grads)
	x := t.Input(2, 2)
	copy(t.Value(x), []float64{1, 2, 3, 4})
	y := t.Linear(x, t.Param(w), t.Param(b), kernel.Softplus)
	loss := t.Mean(t.Square(y))
	t.Backward(loss, 1)
	fmt.Printf("loss %.4f, gradient %.4f\n", t.Value(loss)[0], grads)
	// Output: loss 0.0368, gradient [0.0848 0.1504 0.0657]
}

// A vector-Jacobian product at the input, with the parameters constant.
func ExampleTape_Pullback() {
	var t autodiff.Tape[float64]
	t.Reset(nil, nil)
	x := t.Variable(1, 3)
	copy(t.Value(x), []float64{1, 2, 3})
	y := t.CumSum(t.Square(x))
	t.Pullback(y, []float64{1, 0, 1})
	fmt.Println(t.Value(y), t.Grad(x))
	// Output: [1 5 14] [4 4 6]
}

// The trace of the Jacobian of a field, as a continuous normalising flow
// needs it: here of (x₁²x₂, x₂), which is 2x₁x₂ + 1, and its gradient.
func ExampleTape_Trace() {
	var t autodiff.Tape[float64]
	t.Reset(nil, nil)
	x := t.Variable(1, 2)
	copy(t.Value(x), []float64{3, 5})
	column := func(j float64) autodiff.Dual { // x_j, by a product with a constant
		d := t.Seed(x, 0, 2)
		e := t.Input(1, 2)
		copy(t.Value(e), []float64{1 - j, j})
		return t.LinearDual(d, e, 0, kernel.Identity)
	}
	x1, x2 := column(0), column(1)
	y1 := t.MulDual(t.MulDual(x1, x1), x2)
	field := autodiff.Dual{Val: t.ConcatCols(y1.Val, x2.Val), Tan: t.ConcatCols(y1.Tan, x2.Tan)}
	trace := t.Trace(field)
	t.Backward(trace, 1)
	fmt.Println(t.Value(trace), t.Grad(x))
	// Output: [31] [10 6]
}
