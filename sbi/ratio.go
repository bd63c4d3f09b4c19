package sbi

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/par"
)

// ratioNet is a network with one output of the unconstrained parameters and the
// features of the data, side by side and standardised.
type ratioNet struct {
	Mean, Scale []float64
	net         *nn.ResNet[float32]
}

func (r *ratioNet) build(p *nn.Params[float32], name string, width, blocks int) {
	r.net = nn.NewResNet(p, name, len(r.Mean), 1, &nn.ResNetOptions{Width: width, Blocks: blocks, Act: kernel.ReLU})
}

// input returns the rows lo to hi-1 of u beside y as the network sees them.
func (r *ratioNet) input(t *autodiff.Tape[float32], u *mat.Dense, lo, hi int, y []float64) autodiff.Var {
	_, dt := u.Dims()
	d := dt + len(y)
	x := t.Variable(hi-lo, d)
	v := t.Value(x)
	for i := lo; i < hi; i++ {
		row := v[(i-lo)*d : (i-lo+1)*d]
		for j, a := range u.RawRowView(i) {
			row[j] = float32((a - r.Mean[j]) / r.Scale[j])
		}
		for j, a := range y {
			row[dt+j] = float32((a - r.Mean[dt+j]) / r.Scale[dt+j])
		}
	}
	return x
}

// addScore adds the gradient g in the inputs to the rows lo to hi-1 of score.
func (r *ratioNet) addScore(score *mat.Dense, lo, hi int, g []float32) {
	d := len(r.Mean)
	for i := lo; i < hi; i++ {
		row := score.RawRowView(i)
		for j := range row {
			row[j] += float64(g[(i-lo)*d+j]) / r.Scale[j]
		}
	}
}

// check returns an error unless the network has means and scales of n inputs.
func (r *ratioNet) check(n int) error {
	switch {
	case r == nil || len(r.Mean) != n || len(r.Scale) != n:
		return fmt.Errorf("a network has no mean and scale of %d inputs", n)
	case !finite(r.Mean) || !finite(r.Scale) || floats.Min(r.Scale) <= 0:
		return fmt.Errorf("a network has means %v and scales %v", r.Mean, r.Scale)
	}
	return nil
}

// build adds the networks to p, whose weights are theirs from now on.
func (r *NeuralRatio) build(p *nn.Params[float32]) error {
	r.params = p
	for k, net := range r.nets {
		net.build(p, fmt.Sprintf("net.%d", k), r.width, r.blocks)
	}
	return p.Err()
}

// addLogRatio adds to dst the log of the mean of the networks' ratios for each
// row of u and the features y, and to score, unless it is nil, its gradients.
func (r *NeuralRatio) addLogRatio(dst []float64, score, u *mat.Dense, y []float64) {
	const block = 256
	err := par.For(context.Background(), 0, len(dst), block, func(lo, hi int) error {
		t, ok := r.pool.Get().(*autodiff.Tape[float32])
		if !ok {
			t = new(autodiff.Tape[float32])
		}
		defer r.pool.Put(t)
		t.Reset(r.params.Values, nil)
		var mean autodiff.Var // log Σ exp of the outputs
		inputs := make([]autodiff.Var, len(r.nets))
		for k, net := range r.nets {
			inputs[k] = net.input(t, u, lo, hi, y)
			f := net.net.Forward(t, inputs[k], 0)
			if k > 0 {
				f = t.LogSumExp(t.ConcatCols(mean, f))
			}
			mean = f
		}
		for i, f := range t.Value(mean) {
			dst[lo+i] += float64(f) - math.Log(float64(len(r.nets)))
		}
		if score != nil {
			t.Backward(mean, 1)
			for k, net := range r.nets {
				net.addScore(score, lo, hi, t.Grad(inputs[k]))
			}
		}
		return nil
	})
	if p, ok := err.(*par.PanicError); ok {
		panic(p)
	}
}
