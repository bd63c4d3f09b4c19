package sbi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Validity is the probability P(valid|θ) that a simulation does not fail, as a
// logistic network of the unconstrained parameters. What simulations that did
// not fail say of the data is p(y|θ, valid); the likelihood of data that were
// seen has this probability as another factor.
//
// A Validity is safe for concurrent use.
type Validity struct {
	prior  Prior
	net    *ratioNet
	params *nn.Params[float32]
	pool   sync.Pool // of *autodiff.Tape[float32]
}

const validWidth, validBlocks = 32, 2

// LearnValidity learns which simulations of a table fail. [NLE] and [NRE] call
// it by themselves if some do. A nil src is freshly seeded. It is an error if
// fewer than 10 simulations are valid or none has failed.
func LearnValidity(ctx context.Context, pri Prior, table *Table, src rand.Source) (*Validity, error) {
	if pri == nil {
		return nil, errors.New("sbi: prior is nil")
	}
	rows, err := trainingRows(table, pri.Dim())
	if err != nil {
		return nil, err
	}
	if rows.Len() == table.Len() {
		return nil, fmt.Errorf("sbi: LearnValidity: all %d simulations are valid, there is nothing to learn", table.Len())
	}
	u, err := unconstrained(pri, table.Theta)
	if err != nil {
		return nil, err
	}
	n, d := u.Dims()
	valid := make([]float32, n)
	for i, s := range table.Status {
		if s == OK {
			valid[i] = 1
		}
	}
	seed := rng.Seed(src)
	train, held := optim.Split(n, 0.1, rng.New(seed, 0))
	v := &Validity{prior: pri, net: new(ratioNet)}
	v.net.Mean, v.net.Scale = moments(u)
	v.build(nn.NewParams[float32](rng.New(seed, 1)))
	xs := make([]float32, n*d)
	standardize(xs, u, v.net.Mean, v.net.Scale)

	// The cross-entropy is softplus(f) - f for a valid simulation with the logit
	// f, and softplus(f) for one that failed.
	loss := func(t *autodiff.Tape[float32], b *optim.Block) autodiff.Var {
		f := v.net.net.Forward(t, t.InputRows(xs, d, b.Rows), 0)
		return t.Sub(t.Softplus(f), t.Mul(f, t.InputRows(valid, 1, b.Rows)))
	}
	tr, err := optim.NewTrainer(v.params.Values, loss, train, held, &optim.Settings{
		Batch: min(200, len(train)), Epochs: 1000, Adam: optim.Adam{Rate: 1e-3}, Clip: 5, EMA: 0.99, Patience: 20, Src: rng.New(seed, 2),
	})
	if err != nil {
		return nil, fmt.Errorf("sbi: LearnValidity: %w", err)
	}
	if _, err := tr.Run(ctx); err != nil {
		return nil, fmt.Errorf("sbi: LearnValidity: %w", err)
	}
	return v, nil
}

// Prob returns the probability that a simulation with the parameters theta does
// not fail, 0 outside of the prior's support.
func (v *Validity) Prob(theta []float64) float64 {
	_, k := Coordinates(v.prior).Dims()
	u := mat.NewDense(1, k, nil)
	if !finite(theta) || math.IsInf(v.prior.LogProb(theta), -1) || Coordinates(v.prior).Unconstrain(u.RawRowView(0), theta) != nil {
		return 0
	}
	var l [1]float64
	v.add(l[:], nil, u, 1)
	return math.Exp(l[0])
}

// add adds log P(valid|θ) times the number of simulations for each row of u to
// dst, and its gradients to score, unless that is nil.
func (v *Validity) add(dst []float64, score, u *mat.Dense, simulations int) {
	err := par.For(context.Background(), 0, len(dst), 256, func(lo, hi int) error {
		t, ok := v.pool.Get().(*autodiff.Tape[float32])
		if !ok {
			t = new(autodiff.Tape[float32])
		}
		defer v.pool.Put(t)
		t.Reset(v.params.Values, nil)
		x := v.net.input(t, u, lo, hi, nil)
		l := t.Scale(float32(-simulations), t.Softplus(t.Neg(v.net.net.Forward(t, x, 0))))
		for i, a := range t.Value(l) {
			dst[lo+i] += float64(a)
		}
		if score != nil {
			t.Backward(l, 1)
			v.net.addScore(score, lo, hi, t.Grad(x))
		}
		return nil
	})
	if p, ok := err.(*par.PanicError); ok {
		panic(p)
	}
}

// build makes the weights of p the network's.
func (v *Validity) build(p *nn.Params[float32]) {
	v.params = p
	v.net.build(p, "valid", validWidth, validBlocks)
}

const validKind = "sbi/validity"

// validConfig is what a file says of a Validity besides the weights.
type validConfig struct {
	Net   *ratioNet
	Point []float64 // as in ratioConfig
}

// Save writes v as a safetensors file, without the prior.
func (v *Validity) Save(w io.Writer) error {
	if err := v.params.Save(w, validKind, validConfig{v.net, testPoint(Coordinates(v.prior))}); err != nil {
		return fmt.Errorf("sbi: %w", err)
	}
	return nil
}

// LoadValidity reads what [Validity.Save] wrote. The error says what is wrong
// with the file, or that it is for a prior with another support.
func LoadValidity(r io.Reader, pri Prior) (*Validity, error) {
	if pri == nil {
		return nil, errors.New("sbi: LoadValidity: prior is nil")
	}
	var c validConfig
	saved, err := openSaved(r, validKind, &c)
	tr := Coordinates(pri)
	if err == nil {
		err = checkPoint(tr, c.Point)
	}
	if err == nil {
		_, k := tr.Dims()
		err = c.Net.check(k)
	}
	if err != nil {
		return nil, fmt.Errorf("sbi: LoadValidity: %w", err)
	}
	v := &Validity{prior: pri, net: c.Net}
	v.build(nn.Restore[float32](saved))
	if err := v.params.Close(); err != nil {
		return nil, fmt.Errorf("sbi: LoadValidity: %w", err)
	}
	return v, nil
}
