package nn

import (
	"cmp"
	"slices"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Sequential evaluates a [MADE] one variable at a time, as drawing from an
// autoregressive density does: a hidden unit is computed once, as soon as the
// variables are known that it sees. So all d variables together cost one
// Forward, where d passes through the network would cost d of them.
//
// It holds a copy of the weights and is safe for concurrent use.
type Sequential[T kernel.Float] struct {
	d, context, outputs int
	residual            bool
	layers              []sequentialLayer[T]
}

// sequentialLayer is a layer with inputs and units sorted by degree. Those of
// degree at most g are the first inputs[g] and units[g+1].
type sequentialLayer[T kernel.Float] struct {
	weight, bias  []T
	inputs, units []int
	act           kernel.Activation
}

// Sequential returns the network for the weights in p.
func (m *MADE[T]) Sequential(p *Params[T]) *Sequential[T] {
	last := len(m.layers) - 1
	s := &Sequential[T]{context: m.o.Context, outputs: m.o.Outputs, residual: m.o.Residual}
	s.d = m.layers[last].weight.Rows / s.outputs
	// The degrees of the inputs of a layer: the context comes last in the
	// layout of MADE, and has degree 0.
	in := m.o.inputDegrees(s.d)
	for k, l := range m.layers {
		out := make([]int, l.weight.Rows)
		for j := range out {
			out[j] = m.o.hiddenDegree(j, s.d)
			if k == last {
				out[j] = j / s.outputs // sees what has at most this degree
			}
		}
		s.layers = append(s.layers, newSequentialLayer(p.Of(l.weight), p.Of(l.bias), in, out, s.d, l.act))
		in = out
	}
	return s
}

func newSequentialLayer[T kernel.Float](weight, bias []T, in, out []int, d int, act kernel.Activation) sequentialLayer[T] {
	n := len(in)
	l := sequentialLayer[T]{
		weight: make([]T, len(weight)), bias: make([]T, len(bias)),
		inputs: make([]int, d+1), units: make([]int, d+2), act: act,
	}
	from, to := byDegree(in), byDegree(out)
	for j, oj := range to {
		l.bias[j] = bias[oj]
		for i, oi := range from {
			l.weight[j*n+i] = weight[oj*n+oi]
		}
	}
	for g := range d + 1 {
		for _, v := range in {
			if v <= g {
				l.inputs[g]++
			}
		}
		for _, v := range out {
			if v <= g {
				l.units[g+1]++
			}
		}
	}
	return l
}

// byDegree returns the numbers of the units in the order of their degrees.
func byDegree(degrees []int) []int {
	order := make([]int, len(degrees))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(degrees[a], degrees[b]) })
	return order
}

// Scratch returns the number of elements that Run needs for a number of rows.
func (s *Sequential[T]) Scratch(rows int) int {
	n := rows * s.outputs
	for _, l := range s.layers {
		n += rows * l.inputs[len(l.inputs)-1]
	}
	return n
}

// Run calls solve for each variable i from 0 with the outputs of the network
// for it, rows×Outputs, and then takes its values from column i of x (rows×d).
// The contexts c are rows×Context, nil if the network has none; scratch has
// Scratch(rows) elements.
func (s *Sequential[T]) Run(x, c, scratch []T, rows int, solve func(i int, outputs []T)) {
	// The inputs of each layer, in the order of degrees, and the outputs.
	take := func(n int) []T {
		part := scratch[:n:n]
		scratch = scratch[n:]
		return part
	}
	outputs := take(rows * s.outputs)
	first := take(rows * (s.context + s.d))
	width := s.context + s.d
	for i := range rows {
		copy(first[i*width:i*width+s.context], c[i*s.context:(i+1)*s.context])
	}
	hidden := scratch
	for i := range s.d {
		in, width, rest := first, width, hidden
		for k, l := range s.layers {
			lo, hi := l.units[i], l.units[i+1]
			if k == len(s.layers)-1 {
				l.run(outputs, s.outputs, 0, in, width, rows, i, lo, hi)
				break
			}
			n := len(l.bias)
			out := rest[: rows*n : rows*n]
			rest = rest[rows*n:]
			l.run(out, n, lo, in, width, rows, i, lo, hi)
			if s.residual && k > 0 {
				for r := range rows {
					o := out[r*n+lo : r*n+hi]
					kernel.Add(o, o, in[r*n+lo:r*n+hi])
				}
			}
			in, width = out, n
		}
		solve(i, outputs)
		for r := range rows {
			first[r*(s.context+s.d)+s.context+i] = x[r*s.d+i]
		}
	}
}

// run computes the units lo to hi-1 of degree g from the first inputs, into
// the columns of out from at.
func (l *sequentialLayer[T]) run(out []T, ldOut, at int, in []T, ldIn, rows, g, lo, hi int) {
	if lo == hi {
		return
	}
	n := l.inputs[len(l.inputs)-1]
	kernel.GemmEpilogue(false, true, rows, hi-lo, l.inputs[g], 1, in, ldIn, l.weight[lo*n:], n,
		0, out[at:], ldOut, kernel.Epilogue[T]{Bias: l.bias[lo:hi], Act: l.act})
}
