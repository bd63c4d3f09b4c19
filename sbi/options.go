package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// Options are the options of the neural estimators [NPE], [NLE] and [NRE]. A
// nil pointer means the defaults.
type Options struct {
	// Flow is the family of densities of NPE and NLE. If Flow is nil, a
	// flow.NSF{}, a flow.MAF{} and a flow.MDN{} are trained, and the one of the
	// lowest loss on the rows for validation is taken. flow.Matching{} makes NPE flow
	// matching posterior estimation, flow.Diffusion{} neural posterior score
	// estimation.
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

// train fits a density of x given y: the best of the candidates, if there are
// several, and as many networks as Ensemble says.
func (o *Options) train(ctx context.Context, x, y *mat.Dense, fit *flow.FitOptions, seed uint64) (*density, error) {
	candidates := []flow.Architecture{o.Flow}
	if o.Flow == nil {
		candidates = []flow.Architecture{flow.NSF{}, flow.MAF{}, flow.MDN{}}
	}
	n := max(o.Ensemble, 1)
	if o.Ensemble < 0 || n > 1000 {
		return nil, fmt.Errorf("Options.Ensemble is %d, want 1 to 1000", o.Ensemble)
	}
	if (n > 1 || len(candidates) > 1) && (fit.Checkpoint != nil || fit.Resume != nil) {
		return nil, errors.New("Options.Fit: Checkpoint and Resume are of a single network, of a Flow that is given")
	}
	one := func(arch flow.Architecture, k int) (*flow.Flow, error) {
		f := *fit
		f.Src = rng.New(seed, uint64(k)) // the same rows for validation for all candidates
		if n > 1 || len(candidates) > 1 {
			f.Workers = 1
		}
		return flow.Fit(ctx, arch, x, y, &f)
	}
	first := make([]*flow.Flow, len(candidates))
	errs := make([]error, len(candidates))
	err := par.Each(ctx, fit.Workers, len(candidates), func(i int) error {
		first[i], errs[i] = one(candidates[i], 0)
		return nil
	})
	best := -1
	for i, f := range first {
		if f != nil && (best < 0 || f.Report().ValidNLL < first[best].Report().ValidNLL) {
			best = i
		}
	}
	if err = errors.Join(append(errs, err)...); best < 0 {
		return nil, err
	}
	d := &density{first[best], first[best].Report().ValidNLL}
	if n == 1 || err != nil {
		return d, err
	}
	members := make([]flow.Conditional, n)
	members[0] = first[best]
	losses := make([]float64, n)
	err = par.Each(ctx, fit.Workers, n-1, func(i int) error {
		f, err := one(candidates[best], i+1)
		if err != nil {
			return err
		}
		members[i+1], losses[i+1] = f, f.Report().ValidNLL
		return nil
	})
	if err != nil {
		return d, err
	}
	for _, l := range losses[1:] {
		d.validNLL += l
	}
	d.validNLL /= float64(n)
	d.Conditional, err = flow.NewEnsemble(members, nil)
	return d, err
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
