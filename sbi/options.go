package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
)

// Options are the options of the neural estimators [NPE], [NLE] and [NRE]. A
// nil pointer means the defaults.
type Options struct {
	// Flow is the family of densities of NPE and NLE. If Flow is nil, a
	// flow.NSF{}, a flow.MAF{} and a flow.MDN{} are trained, each with and
	// without regression (flow.FitOptions.Regress), and the one of the lowest
	// loss on the rows for validation is taken, or the best with regression if
	// it is within a standard error. Of 10,000 rows or more, 5000 decide which
	// one with and which one without are trained on all. NLE trains a
	// flow.NSF{Independent: true} as well, of data that are independent given
	// the parameters. But if all data are bits, zeros and ones, it has a
	// flow.MADE{} and a flow.MADE{Independent: true} to choose from, and if they
	// are whole numbers from 0 to 2^24 a flow.Counts{} and a
	// flow.Counts{Independent: true}; it takes the independent one if it is
	// within a standard error. flow.Matching{} makes NPE flow matching posterior
	// estimation, flow.Diffusion{} neural posterior score estimation.
	Flow flow.Architecture
	// Ratio is the network and the loss of NRE. If Ratio is nil, they are the
	// defaults.
	Ratio *Ratio
	// Fit are the options of the training. Those that the estimators set
	// themselves (Transform, and Src if Options.Src is not nil) are ignored;
	// NRE has no Checkpoint, Resume, Start or Embedding.
	Fit *flow.FitOptions
	// Ensemble is the number of networks whose mixture is the result; each has
	// its own initial weights and rows for validation. If Ensemble is 0, it
	// will be defaulted to 1.
	Ensemble int
	// RepeatSize says that a row of data has independent repeats of an
	// experiment side by side, of so many data each: NLE and NRE then learn the
	// density, or the ratio, of a single one, from as many times the rows. If
	// RepeatSize is 0, a row is one experiment. NPE has flow.Set for an
	// Embedding.
	RepeatSize int
	// Screen leaves out the columns of data that do not depend on any parameter
	// as far as rank correlations tell: those of Spearman and of distances from
	// the medians, at a level of 5 % for all columns together. This is the sure
	// independence screening of Fan and Lv (2008), for data most of which are
	// noise. What is learned is the posterior given the others: it is right but
	// for what a column says only together with others, as that of a background
	// does, or for so many weak ones. The ValidNLL of NPE with and without it
	// tells. Features.Columns has the columns that are left.
	Screen bool
	// Src is the source of all randomness. If Src is nil, a fresh seed is
	// used.
	Src rand.Source
}

// fitOptions returns a copy of the options of the training, and the seed.
func (o *Options) fitOptions() (fit *flow.FitOptions, seed uint64) {
	fit = new(flow.FitOptions)
	if o.Fit != nil {
		*fit = *o.Fit
	}
	if o.Src != nil {
		fit.Src = o.Src
	}
	return fit, rng.Seed(fit.Src)
}

// density is a conditional density that has been trained, and its mean loss on
// the rows for validation.
type density struct {
	flow.Conditional
	validNLL float64
}

// trainingRows returns the valid rows of a table of simulations.
func trainingRows(table *Table, params int) (*Table, error) {
	if table == nil || table.Len() == 0 {
		return nil, errors.New("sbi: the table is empty")
	}
	valid := table.Valid()
	if valid.Len() < 10 {
		return nil, fmt.Errorf("sbi: %d of %d simulations are valid, want at least 10", valid.Len(), table.Len())
	}
	if _, n := valid.Theta.Dims(); n != params {
		return nil, fmt.Errorf("sbi: the table has %d parameters, the prior %d", n, params)
	}
	return valid, nil
}

// validityOf learns from the simulations of a table that failed, nothing if
// there are none.
func validityOf(ctx context.Context, pri Prior, table *Table, seed uint64) (*Validity, error) {
	if table.Count(OK) == table.Len() {
		return nil, nil
	}
	const stream = 1 << 32 // beyond those of the networks of an ensemble
	return LearnValidity(ctx, pri, table, rng.New(seed, stream))
}

// logPriorAt returns the log density of the prior in the unconstrained
// coordinates of each row of theta.
func logPriorAt(pri Prior, theta *mat.Dense) ([]float64, error) {
	tr := Coordinates(pri)
	n, d := theta.Dims()
	_, k := tr.Dims()
	l, u, x := make([]float64, n), make([]float64, k), make([]float64, d)
	for i := range n {
		row := theta.RawRowView(i)
		if err := tr.Unconstrain(u, row); err != nil {
			return nil, fmt.Errorf("sbi: row %d of the parameters: %w", i, err)
		}
		if l[i] = pri.LogProb(row) + tr.Constrain(x, u); math.IsNaN(l[i]) || math.IsInf(l[i], 0) {
			return nil, fmt.Errorf("sbi: the log density of the prior at row %d of the parameters, %v, is %g", i, row, l[i])
		}
	}
	return l, nil
}
