package sbi

import (
	"errors"
	"fmt"
	"io"
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

const ratioKind = "sbi/ratio"

// ratioConfig is what a file says of a NeuralRatio besides the weights.
type ratioConfig struct {
	Width, Blocks int
	Parameters    int // unconstrained ones
	Features      Features
	RepeatSize    int      `json:",omitempty"`
	ValidLoss     *float64 // nil without validation
	Nets          []*ratioNet
	Valid         *ratioNet // nil if no simulation failed
	// Point is the image of a test point under the transform of the prior's
	// coordinates.
	Point []float64
}

// Save writes the ratio as a safetensors file. The prior is not in it:
// [LoadRatio] has to be given it again, and checks its coordinates.
func (r *NeuralRatio) Save(w io.Writer) error {
	if len(r.nets) == 0 {
		return errors.New("sbi: Save: the ratio is not one that NRE has learned")
	}
	tr := Coordinates(r.Prior)
	_, k := tr.Dims()
	c := ratioConfig{Width: r.width, Blocks: r.blocks, Parameters: k, Features: r.Features, RepeatSize: r.RepeatSize, Nets: r.nets, Point: testPoint(tr)}
	if !math.IsNaN(r.ValidLoss) {
		c.ValidLoss = &r.ValidLoss
	}
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
	var c ratioConfig
	saved, err := openSaved(r, ratioKind, &c)
	if err != nil {
		return nil, err
	}
	tr := Coordinates(pri)
	if _, k := tr.Dims(); c.Parameters != k {
		return nil, fmt.Errorf("the file is for %d parameters, the prior has %d", c.Parameters, k)
	}
	if err := checkPoint(tr, c.Point); err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Width > maxRatioWidth || c.Blocks < 1 || c.Blocks > maxRatioBlocks || len(c.Nets) == 0 {
		return nil, fmt.Errorf("%d networks of width %d and %d blocks", len(c.Nets), c.Width, c.Blocks)
	}
	if err := c.Features.valid(); err != nil {
		return nil, err
	}
	if c.RepeatSize < 0 {
		return nil, fmt.Errorf("repeats of %d data", c.RepeatSize)
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
	ratio := &NeuralRatio{Prior: pri, Features: c.Features, RepeatSize: c.RepeatSize, ValidLoss: math.NaN(), width: c.Width, blocks: c.Blocks, nets: c.Nets}
	if c.ValidLoss != nil {
		ratio.ValidLoss = *c.ValidLoss
	}
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

// openSaved opens a file and sets config to what it says of a model of a kind.
func openSaved(r io.Reader, kind string, config any) (*nn.Saved, error) {
	saved, err := nn.Open(r)
	if err != nil {
		return nil, err
	}
	if saved.Kind() != kind {
		return nil, fmt.Errorf("the file has a model of kind %q, want %q", saved.Kind(), kind)
	}
	return saved, saved.Config(config)
}

// checkPoint returns an error unless the image of the test point is that in a
// file.
func checkPoint(tr prior.Transform, want []float64) error {
	if p := testPoint(tr); !floats.EqualApprox(p, want, 1e-9) {
		return fmt.Errorf("the coordinates of the prior take a test point to %v, those in the file to %v: it is for another support", p, want)
	}
	return nil
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
