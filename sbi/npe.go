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
	"github.com/go-inverse/inverse/prior"
)

// NPEOptions are the options of [NPE]. A nil pointer means the defaults.
type NPEOptions struct {
	// Flow is the family of densities. If Flow is nil, it will be defaulted
	// to flow.NSF{}.
	Flow flow.Architecture
	// Fit are the options of the training. Its Transform is set by NPE, to
	// that of the prior's support. Its Src is used if Src is nil.
	Fit *flow.FitOptions
	// Src is the source of all randomness. If Src is nil, a fresh seed is
	// used.
	Src rand.Source
}

// NeuralPosterior is the density q(θ|y) that [NPE] has learned, for any y. A
// flow that has been saved and read again becomes one as
//
//	npe := &sbi.NeuralPosterior{Prior: pri, Flow: f, Columns: columns}
type NeuralPosterior struct {
	Prior Prior
	Flow  flow.Conditional
	// Columns are the columns of the data that the flow is conditioned on,
	// and nil if it is on all of them.
	Columns []int
}

// NPE is neural posterior estimation (Papamakarios and Murray, 2016; Greenberg
// et al., 2019, with one round): a conditional density trained to maximise the
// mean of log q(θ|y) over simulations with parameters from the prior. It is
// amortised: trained once, it gives the posterior for any data.
//
// The network works in the unconstrained coordinates of the prior's support
// ([prior.TransformOf]), so that its draws cannot leave a box or any other
// support that has a transform.
//
// Rows of failed simulations are left out, see [Table.Valid]; a campaign has
// them only if its Policy is Record. So are data that are the same in all
// simulations, which say nothing; Columns has what is left.
//
// If training ends early, NPE returns the best posterior so far with the error.
func NPE(ctx context.Context, pri Prior, table *Table, opt *NPEOptions) (*NeuralPosterior, error) {
	if pri == nil {
		return nil, errors.New("sbi: prior is nil")
	}
	table, columns, err := trainingRows(table, pri.Dim())
	if err != nil {
		return nil, err
	}
	arch, fit := fitOptions(opt)
	fit.Transform = prior.TransformOf(pri)
	f, err := flow.Fit(ctx, arch, table.Theta, selectColumns(table.Y, columns), fit)
	if f == nil {
		return nil, fmt.Errorf("sbi: NPE: %w", err)
	}
	npe := &NeuralPosterior{Prior: pri, Flow: f, Columns: columns}
	if err != nil {
		err = fmt.Errorf("sbi: NPE: %w", err)
	}
	return npe, err
}

func fitOptions(opt *NPEOptions) (flow.Architecture, *flow.FitOptions) {
	var arch flow.Architecture = flow.NSF{}
	fit := new(flow.FitOptions)
	if opt != nil {
		if opt.Flow != nil {
			arch = opt.Flow
		}
		if opt.Fit != nil {
			*fit = *opt.Fit
		}
		if opt.Src != nil {
			fit.Src = opt.Src
		}
	}
	return arch, fit
}

// trainingRows returns the valid rows, and the columns of the data that vary,
// nil if all do.
func trainingRows(table *Table, params int) (*Table, []int, error) {
	if table == nil || table.Len() == 0 {
		return nil, nil, errors.New("sbi: the table is empty")
	}
	valid := table.Valid()
	if valid.Len() < 10 {
		return nil, nil, fmt.Errorf("sbi: %d of %d simulations are valid, want at least 10", valid.Len(), table.Len())
	}
	if _, n := valid.Theta.Dims(); n != params {
		return nil, nil, fmt.Errorf("sbi: the table has %d parameters, the prior %d", n, params)
	}
	_, m := valid.Y.Dims()
	var columns []int
	for j := range m {
		first := valid.Y.At(0, j)
		for i := range valid.Len() {
			if valid.Y.At(i, j) != first {
				columns = append(columns, j)
				break
			}
		}
	}
	switch len(columns) {
	case 0:
		return nil, nil, errors.New("sbi: the data of all simulations are the same")
	case m:
		columns = nil
	}
	return valid, columns, nil
}

// selectColumns returns the columns of y, which is y itself if they are nil.
func selectColumns(y *mat.Dense, columns []int) *mat.Dense {
	if columns == nil {
		return y
	}
	n, _ := y.Dims()
	s := mat.NewDense(n, len(columns), nil)
	for i := range n {
		for k, j := range columns {
			s.Set(i, k, y.At(i, j))
		}
	}
	return s
}

// Given returns the posterior given y, whose draws are a sampler's. It panics
// if y has not as many elements as the data that q was trained on.
func (q *NeuralPosterior) Given(y []float64) *Posterior {
	row := mat.NewDense(1, len(y), append([]float64(nil), y...))
	if len(q.Columns) > 0 && q.Columns[len(q.Columns)-1] >= len(y) {
		panic(fmt.Sprintf("sbi: y has %d elements, the posterior is conditioned on element %d", len(y), q.Columns[len(q.Columns)-1]))
	}
	row = selectColumns(row, q.Columns)
	return &Posterior{prior: q.Prior, q: q.Flow, y: row, at: flow.Given(q.Flow, row.RawRowView(0))}
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
	if v := p.y.RawRowView(0); !finite(v) {
		return fmt.Errorf("sbi: the data are not finite: %v", v)
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
