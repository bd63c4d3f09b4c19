package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/prior"
)

// NeuralLikelihood is the density q(y|θ) that [NLE] has learned.
type NeuralLikelihood struct {
	Prior Prior
	Flow  flow.Conditional
	// Columns are the columns of the data that the flow is a density of, and
	// nil if it is of all of them.
	Columns []int
}

// NLE is neural likelihood estimation (Papamakarios, Sterratt and Murray,
// 2019): a conditional density q(y|θ), trained on simulations with parameters
// from any distribution that covers what the posterior will want. Times the
// prior it is a posterior density for Markov chains:
//
//	nle, err := sbi.NLE(ctx, pri, table, &sbi.NPEOptions{Flow: flow.MAF{}})
//	run, err := sampler.Run(ctx, nle.Given(y), &sampler.Slice{}, settings)
//
// Unlike a learned posterior it takes independent repeats of the same
// experiment without training for them: their log densities add. If Flow is
// nil, it will be defaulted to flow.MAF{}. Continuous data only: a density of
// counts has no maximum.
//
// Failed simulations are an error: without them q would be the density of the
// data given that the simulator succeeds, which is another likelihood. Data
// that are the same in all simulations are left out.
func NLE(ctx context.Context, pri Prior, table *Table, opt *NPEOptions) (*NeuralLikelihood, error) {
	if pri == nil {
		return nil, errors.New("sbi: prior is nil")
	}
	rows, columns, err := trainingRows(table, pri.Dim())
	if err != nil {
		return nil, err
	}
	if failed := table.Len() - rows.Len(); failed > 0 {
		return nil, fmt.Errorf("sbi: NLE: %d of %d simulations have failed: leaving them out would change the likelihood", failed, table.Len())
	}
	if opt == nil {
		opt = new(NPEOptions)
	}
	arch, fit := fitOptions(opt)
	if opt.Flow == nil {
		arch = flow.MAF{}
	}
	f, err := flow.Fit(ctx, arch, selectColumns(rows.Y, columns), rows.Theta, fit)
	if f == nil {
		return nil, fmt.Errorf("sbi: NLE: %w", err)
	}
	if err != nil {
		err = fmt.Errorf("sbi: NLE: %w", err)
	}
	return &NeuralLikelihood{Prior: pri, Flow: f, Columns: columns}, err
}

// Given returns the posterior density given independent repeats of the
// experiment, one or more.
func (l *NeuralLikelihood) Given(y ...[]float64) *LearnedTarget {
	t := &LearnedTarget{prior: l.Prior, flow: l.Flow}
	for _, row := range y {
		m := mat.NewDense(1, len(row), append([]float64(nil), row...))
		t.y = append(t.y, selectColumns(m, l.Columns))
	}
	return t
}

// LearnedTarget is the prior times a learned likelihood: a target for the
// algorithms of package sampler.
type LearnedTarget struct {
	prior Prior
	flow  flow.Conditional
	y     []*mat.Dense
}

var _ inverse.Density = (*LearnedTarget)(nil)

// Dim returns the number of parameters.
func (t *LearnedTarget) Dim() int { return t.prior.Dim() }

// Transform returns that of the prior's support.
func (t *LearnedTarget) Transform() prior.Transform { return prior.TransformOf(t.prior) }

// LogProb returns log p(theta) + Σ log q(y_i|theta) over the repeats.
func (t *LearnedTarget) LogProb(theta []float64) float64 {
	p := t.prior.LogProb(theta)
	if math.IsInf(p, -1) || !finite(theta) {
		return math.Inf(-1)
	}
	row := mat.NewDense(1, len(theta), theta)
	var l [1]float64
	for _, y := range t.y {
		t.flow.LogProb(l[:], y, row)
		p += l[0]
	}
	if math.IsNaN(p) {
		return math.Inf(-1)
	}
	return p
}
