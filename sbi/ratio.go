package sbi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
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
	if r.Valid != nil {
		r.Valid.add(dst, score, u)
	}
}

const ratioKind = "sbi/ratio"

// ratioConfig is what a file says of a NeuralRatio besides the weights.
type ratioConfig struct {
	Width, Blocks int
	Parameters    int // unconstrained ones
	Features      Features
	ValidLoss     float64
	Nets          []*ratioNet
	Valid         *ratioNet // nil if no simulation failed
	// Point is the image of a test point under the transform of the prior's
	// coordinates.
	Point []float64
}

// Save writes the ratio as a safetensors file. The prior is not in it:
// [LoadRatio] has to be given it again, and checks its coordinates.
func (r *NeuralRatio) Save(w io.Writer) error {
	tr := Coordinates(r.Prior)
	_, k := tr.Dims()
	c := ratioConfig{Width: r.width, Blocks: r.blocks, Parameters: k, Features: r.Features, ValidLoss: r.ValidLoss, Nets: r.nets, Point: testPoint(tr)}
	p := nn.NewParams[float32](rng.New(0, 0))
	for k, net := range r.nets {
		(&ratioNet{Mean: net.Mean}).build(p, fmt.Sprintf("net.%d", k), r.width, r.blocks)
	}
	n := copy(p.Values, r.params.Values)
	if r.Valid != nil {
		c.Valid = r.Valid.net
		(&ratioNet{Mean: c.Valid.Mean}).build(p, "valid", validWidth, validBlocks)
		copy(p.Values[n:], r.Valid.params.Values)
	}
	if err := p.Save(w, ratioKind, c); err != nil {
		return fmt.Errorf("sbi: %w", err)
	}
	return nil
}

// LoadRatio reads a ratio that [NeuralRatio.Save] wrote. The error says what is
// wrong with the file, or that it is for a prior with another support.
func LoadRatio(r io.Reader, pri Prior) (*NeuralRatio, error) {
	if pri == nil {
		return nil, errors.New("sbi: LoadRatio: prior is nil")
	}
	ratio, err := loadRatio(r, pri)
	if err != nil {
		return nil, fmt.Errorf("sbi: LoadRatio: %w", err)
	}
	return ratio, nil
}

func loadRatio(r io.Reader, pri Prior) (*NeuralRatio, error) {
	saved, err := nn.Open(r)
	if err != nil {
		return nil, err
	}
	if saved.Kind() != ratioKind {
		return nil, fmt.Errorf("the file has a model of kind %q, want %q", saved.Kind(), ratioKind)
	}
	var c ratioConfig
	if err := saved.Config(&c); err != nil {
		return nil, err
	}
	tr := Coordinates(pri)
	if _, k := tr.Dims(); c.Parameters != k {
		return nil, fmt.Errorf("the file is for %d parameters, the prior has %d", c.Parameters, k)
	}
	if p := testPoint(tr); !floats.EqualApprox(p, c.Point, 1e-9) {
		return nil, fmt.Errorf("the coordinates of the prior take a test point to %v, those in the file to %v: it is for another support", p, c.Point)
	}
	if c.Width < 1 || c.Width > maxRatioWidth || c.Blocks < 1 || c.Blocks > maxRatioBlocks || len(c.Nets) == 0 || math.IsNaN(c.ValidLoss) {
		return nil, fmt.Errorf("%d networks of width %d and %d blocks, loss %g", len(c.Nets), c.Width, c.Blocks, c.ValidLoss)
	}
	if err := c.Features.valid(); err != nil {
		return nil, err
	}
	for _, net := range c.Nets {
		if net == nil || len(net.Mean) <= c.Parameters {
			return nil, fmt.Errorf("a network has no inputs besides %d parameters", c.Parameters)
		}
		if err := net.check(len(c.Nets[0].Mean)); err != nil {
			return nil, err
		}
	}
	if c.Valid != nil {
		if err := c.Valid.check(c.Parameters); err != nil {
			return nil, err
		}
	}
	if n, m := len(c.Features.Columns), len(c.Nets[0].Mean)-c.Parameters; n > 0 && n != m || len(c.Features.Scale) > 0 && len(c.Features.Scale) != m {
		return nil, fmt.Errorf("the networks see %d features, %d columns are chosen and %d have a scale", m, n, len(c.Features.Scale))
	}
	ratio := &NeuralRatio{Prior: pri, Features: c.Features, ValidLoss: c.ValidLoss, width: c.Width, blocks: c.Blocks, nets: c.Nets}
	p := nn.Restore[float32](saved)
	if err := ratio.build(p); err != nil {
		return nil, err
	}
	n := p.Len()
	if c.Valid != nil {
		c.Valid.build(p, "valid", validWidth, validBlocks)
		ratio.Valid = &Validity{prior: pri, net: c.Valid}
	}
	if err := p.Close(); err != nil {
		return nil, err
	}
	if c.Valid != nil {
		ratio.Valid.build(nn.NewParams[float32](rng.New(0, 0)))
		copy(ratio.Valid.params.Values, p.Values[n:])
	}
	return ratio, nil
}

// testPoint returns the image of a point that tells transforms apart.
func testPoint(tr prior.Transform) []float64 {
	nx, nu := tr.Dims()
	x, u := make([]float64, nx), make([]float64, nu)
	for i := range u {
		u[i] = 0.3 + 0.4*math.Sin(float64(i))
	}
	tr.Constrain(x, u)
	return x
}
