package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Op is the reverse of an operation that is computed outside of the tape.
type Op[T kernel.Float] interface {
	// Backward adds to the gradients of the operands, which [Tape.AddTo]
	// gives, what follows from dy, that of the result. It may destroy dy.
	Backward(t *Tape[T], dy []T)
}

// Record returns a new rows×cols matrix that the caller computes from the
// operands and puts into Value. If Recording reports that no gradient is
// wanted, op is not used.
func (t *Tape[T]) Record(op Op[T], rows, cols int, operands ...Var) Var {
	list := t.vars.take(len(operands))
	copy(list, operands)
	v, _ := t.record(recorded[T]{}, node[T]{list: list, rows: rows, cols: cols, spec: op})
	return v
}

// Recording reports whether parameters have gradients.
func (t *Tape[T]) Recording() bool { return t.grads != nil }

// Params returns the flat vector of parameters that Reset was given.
func (t *Tape[T]) Params() []T { return t.params }

// AddTo returns the gradient of an operand for adding to, nil if none is
// wanted. Only an Op may call it.
func (t *Tape[T]) AddTo(v Var) []T {
	if v == 0 {
		return nil
	}
	return t.addTo(v)
}

type recorded[T kernel.Float] struct{}

func (recorded[T]) backward(t *Tape[T], y *node[T]) { y.spec.(Op[T]).Backward(t, y.grad) }
