package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
)

// NeuralPosterior is the density q(θ|y) that [NPE] has learned, for any y. A
// flow that has been saved and read again becomes one as
//
//	npe := &sbi.NeuralPosterior{Prior: pri, Flow: f, Features: features}
type NeuralPosterior struct {
	Prior Prior
	// Flow is the density of the parameters given the features.
	Flow     flow.Conditional
	Features Features
	// ValidNLL is the mean of -log q(θ|y) over the rows for validation, that
	// of the networks of an ensemble one by one: what posteriors that have
	// learned from the same table can be compared by.
	ValidNLL float64
}

// NPE is neural posterior estimation (Papamakarios and Murray, 2016; Greenberg
// et al., 2019, with one round): a conditional density trained to maximise the
// mean of log q(θ|y) over simulations with parameters from the prior. It is
// amortised: trained once, it gives the posterior for any data.
//
// The network works in unconstrained coordinates ([Coordinates]), so that its
// draws cannot leave a box or any other support that has a transform.
//
// Rows of failed simulations are left out, see [Table.Valid]; a campaign has
// them only if its Policy is Record. Features says what the network sees of
// the data; with an Embedding in the options, that is all of them as they are.
// For independent repeats of an experiment, side by side in a row of the
// table, take the Embedding flow.Set{Size: numbers of one}.
//
// If training ends early, NPE returns the best posterior so far with the error.
func NPE(ctx context.Context, pri Prior, table *Table, opt *Options) (*NeuralPosterior, error) {
	if pri == nil {
		return nil, errors.New("sbi: prior is nil")
	}
	table, err := trainingRows(table, pri.Dim())
	if err != nil {
		return nil, err
	}
	if opt == nil {
		opt = new(Options)
	}
	fit, seed := opt.fitOptions()
	fit.Transform = Coordinates(pri)
	return trainPosterior(ctx, pri, table, opt, fit, seed)
}

func trainPosterior(ctx context.Context, pri Prior, table *Table, opt *Options, fit *flow.FitOptions, seed uint64) (*NeuralPosterior, error) {
	var features Features
	if fit.Embedding == nil {
		var err error
		if features, err = opt.newFeatures(table.Theta, table.Y); err != nil {
			return nil, err
		}
	} else if opt.Screen {
		return nil, errors.New("sbi: NPE: Options.Screen is not for an Embedding, which sees all data as they are")
	}
	y := features.of(table.Y)
	_, data := y.Dims()
	d, err := opt.train(ctx, opt.candidates(fit, data, false), table.Theta, y, 1, fit, seed)
	if err != nil {
		err = fmt.Errorf("sbi: NPE: %w", err)
	}
	if d == nil {
		return nil, err
	}
	return &NeuralPosterior{Prior: pri, Flow: d.Conditional, Features: features, ValidNLL: d.validNLL}, err
}

// Given returns the posterior given y, whose draws are a sampler's. If y has
// not as many elements as the data that q was trained on, or one that is not
// finite, Sample says so.
func (q *NeuralPosterior) Given(y []float64) *Posterior {
	p := &Posterior{prior: q.Prior, q: q.Flow}
	_, want := q.Flow.Dims()
	if p.y, p.err = q.Features.given(y, want); p.err != nil {
		p.at = flow.Given(q.Flow, nil)
	} else {
		p.at = flow.Given(q.Flow, p.y.RawRowView(0))
	}
	return p
}

// Posterior is a learned posterior given data. Its draws are independent and
// inside of the prior's support. Its methods are safe for concurrent use.
type Posterior struct {
	// Src is the source of Sample. If Src is nil, a fresh seed is used.
	Src rand.Source

	prior Prior
	q     flow.Conditional
	y     *mat.Dense
	at    *flow.Posterior
	err   error // why y cannot be a condition
}

var (
	_ SourceSampler   = (*Posterior)(nil)
	_ inverse.Density = (*Posterior)(nil)
)

// Dim returns the number of parameters.
func (p *Posterior) Dim() int { return p.prior.Dim() }

// LogProb returns log q(theta|y), and -Inf where the prior is 0. It is
// normalised if the prior's support is that of its transform.
func (p *Posterior) LogProb(theta []float64) float64 {
	if math.IsInf(p.prior.LogProb(theta), -1) {
		return math.Inf(-1)
	}
	return p.at.LogProb(theta)
}

// LogProbs sets dst[i] to LogProb of row i of theta, many at a time.
func (p *Posterior) LogProbs(dst []float64, theta *mat.Dense) {
	p.at.LogProbs(dst, theta)
	for i := range dst {
		if math.IsInf(p.prior.LogProb(theta.RawRowView(i)), -1) {
			dst[i] = math.Inf(-1)
		}
	}
}

// Sample fills the rows of dst with independent draws.
//
// A prior of one's own without a transform may have a support that the network
// does not know. Draws outside of it are then drawn again, at most 1000 times,
// and it is an error if rows are left.
func (p *Posterior) Sample(ctx context.Context, dst *mat.Dense) error {
	return p.SampleFrom(ctx, dst, p.Src)
}

// SampleFrom is Sample with draws from src.
func (p *Posterior) SampleFrom(ctx context.Context, dst *mat.Dense, src rand.Source) error {
	if p.err != nil {
		return p.err
	}
	const rounds = 1000
	src = rng.Or(src)
	n, d := dst.Dims()
	need, buf := n, dst
	drawn := 0
	for range rounds {
		if err := p.q.Draw(ctx, buf, p.y, src); err != nil {
			return err
		}
		drawn += need
		// Keep what is inside, in order, in the first rows of dst.
		filled := n - need
		for i := range need {
			if row := buf.RawRowView(i); finite(row) && !math.IsInf(p.prior.LogProb(row), -1) {
				dst.SetRow(filled, row)
				filled++
			}
		}
		if need = n - filled; need == 0 {
			return nil
		}
		buf = mat.NewDense(need, d, nil)
	}
	return fmt.Errorf("sbi: %d of %d draws of the learned posterior are inside of the prior's support, %d are wanted: give the prior a method Transform, or train on more simulations near these data", n-need, drawn, n)
}
