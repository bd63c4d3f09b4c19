package flow

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// field is the network of a velocity F(x, t, c): a residual network
//
//	h₀ = A x + B (features of t, c) + b,   h_{i+1} = h_i + W_i σ(V_i σ(h_i)),   F = C σ(h)
//
// with SiLU for σ. F begins as zero.
type field[T kernel.Float] struct {
	d, dc    int
	time     *nn.Fourier[T]
	state    *nn.Linear[T]
	given    *nn.Linear[T] // of time and context
	up, down []*nn.Linear[T]
	last     *nn.Linear[T]
}

// timeFeatures is the number of features of the time.
const timeFeatures = 16

func newField[T kernel.Float](p *nn.Params[T], dx, dc, width, blocks int) field[T] {
	f := field[T]{d: dx, dc: dc, time: nn.NewFourier[T](timeFeatures, 0.5, 32)}
	f.state = nn.NewLinear(p, "state", dx, width, kernel.Identity)
	f.given = nn.NewLinear(p, "given", timeFeatures+dc, width, kernel.Identity)
	for i := range blocks {
		name := fmt.Sprintf("blocks.%d", i)
		f.up = append(f.up, nn.NewLinear(p, name+".up", width, width, kernel.SiLU))
		f.down = append(f.down, nn.NewLinear(p, name+".down", width, width, kernel.Identity))
	}
	f.last = nn.NewZeroLinear(p, "last", width, dx, kernel.Identity)
	return f
}

// record records F at the rows of x, for times (r×1) and contexts.
func (f *field[T]) record(t *autodiff.Tape[T], x autodiff.Dual, times, c autodiff.Var) autodiff.Dual {
	given := f.time.Forward(t, times)
	if c != 0 {
		given = t.ConcatCols(given, c)
	}
	h := t.AddDual(f.state.ForwardDual(t, x), autodiff.Dual{Val: f.given.Forward(t, given)})
	for i := range f.up {
		u := f.up[i].ForwardDual(t, t.ActivateDual(kernel.SiLU, h))
		h = t.AddDual(h, f.down[i].ForwardDual(t, u))
	}
	return f.last.ForwardDual(t, t.ActivateDual(kernel.SiLU, h))
}
