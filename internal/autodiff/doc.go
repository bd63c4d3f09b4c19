// Package autodiff differentiates programs over batch matrices in reverse
// mode, in float32 or float64.
//
// A [Tape] runs the operations as they are called and records them; Backward
// goes through the record in reverse. A matrix on the tape is a [Var]. It is
// row-major and, by convention, has one row an element of the batch.
//
//	var t autodiff.Tape[float32]
//	for each step {
//		t.Reset(params, grads)                   // the last step's memory is reused
//		x := t.Input(rows, 2)
//		copy(t.Value(x), data)
//		h := t.Linear(x, t.Param(w), t.Param(b), kernel.Tanh)
//		loss := t.Sum(t.Square(h))
//		t.Backward(loss, 1)                      // grads holds ∂loss/∂params
//	}
//
// The operations are run and recorded anew in each step, so the number of
// rows and the program itself may change between steps; values, gradients and
// records live in buffers that are kept, so a step that needs no more memory
// than those before it allocates nothing.
//
// What needs no gradient records nothing: without gradients for the
// parameters (nil grads) and without a [Tape.Variable] a tape is plain
// inference by the same code. With nil grads and a Variable it computes
// vector-Jacobian products at the input alone.
//
// Forward mode is written in terms of the tape's own operations: a [Dual]
// carries tangents along, and since those are Vars, a loss that contains
// derivatives of a network can itself be differentiated.
//
// A Tape is not safe for concurrent use; data-parallel work takes a tape per
// worker. Operands that do not fit are the programmer's error and panic with
// their shapes.
package autodiff
