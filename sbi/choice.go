package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// raceRows is the number of rows by which candidates are compared if there are
// many more.
const raceRows = 5000

// candidate is a family of densities that may be chosen.
type candidate struct {
	flow    flow.Architecture
	regress bool
}

// simple reports whether a candidate is preferred to those that are not, within
// a standard error: if it regresses, or has a mass function of independent data.
func (c candidate) simple() bool {
	switch a := c.flow.(type) {
	case flow.MADE:
		return a.Independent
	case flow.Counts:
		return a.Independent
	}
	return c.regress
}

// maxRegressors is the number of data up to which flow.FitOptions.Regress works.
const maxRegressors = 1024

// ofBits and ofCounts are the candidates for mass functions.
var (
	ofBits   = []candidate{{flow.MADE{}, false}, {flow.MADE{Independent: true}, false}}
	ofCounts = []candidate{{flow.Counts{}, false}, {flow.Counts{Independent: true}, false}}
)

// candidates are those of Options.Flow, of which nil means several, for a density
// given so many numbers, also one of independent variables if they may be so.
// They do not regress where a flow cannot.
func (o *Options) candidates(fit *flow.FitOptions, given int, independent bool) []candidate {
	if o.Flow != nil {
		return []candidate{{o.Flow, fit.Regress}}
	}
	families := []flow.Architecture{flow.NSF{}, flow.MAF{}, flow.MDN{}}
	if independent {
		families = append(families, flow.NSF{Independent: true})
	}
	var c []candidate
	for _, regress := range []bool{true, false} {
		for _, a := range families {
			if !regress || fit.Proposal == nil && given <= maxRegressors {
				c = append(c, candidate{a, regress})
			}
		}
	}
	return c
}

// choice is a training of densities of x given y. Of each group of rows all or
// none are for validation.
type choice struct {
	x, y  *mat.Dense
	group int
	fit   *flow.FitOptions
	seed  uint64
	alone bool // one network only, which has all workers
}

// train fits a density of x given y: the best of the candidates, if there are
// several, and as many networks as Ensemble says.
func (o *Options) train(ctx context.Context, candidates []candidate, x, y *mat.Dense, group int, fit *flow.FitOptions, seed uint64) (*density, error) {
	rows, _ := x.Dims()
	n := max(o.Ensemble, 1)
	c := &choice{x, y, group, fit, seed, n == 1 && len(candidates) == 1}
	switch {
	case o.Ensemble < 0 || n > 1000:
		return nil, fmt.Errorf("Options.Ensemble is %d, want 1 to 1000", o.Ensemble)
	case !c.alone && (fit.Checkpoint != nil || fit.Resume != nil):
		return nil, errors.New("Options.Fit: Checkpoint and Resume are of a single network, of a Flow that is given")
	}
	if len(candidates) > 2 && rows >= 2*raceRows && fit.ValidationRows == nil && fit.Weights == nil && fit.Proposal == nil {
		var err error
		if candidates, err = c.some(raceRows).race(ctx, candidates); err != nil {
			return nil, err
		}
	}
	best, first, err := c.best(ctx, candidates)
	if first == nil {
		return nil, err
	}
	d := &density{first, first.Report().ValidNLL}
	if n == 1 || err != nil {
		return d, err
	}
	members := make([]flow.Conditional, n)
	members[0] = first
	losses := make([]float64, n)
	losses[0] = d.validNLL
	err = par.Each(ctx, fit.Workers, n-1, func(i int) error {
		f, err := c.train(ctx, best, i+1)
		if err != nil {
			return err
		}
		members[i+1], losses[i+1] = f, f.Report().ValidNLL
		return nil
	})
	if err != nil {
		return d, err
	}
	d.validNLL = stat.Mean(losses, nil)
	d.Conditional, err = flow.NewEnsemble(members, nil)
	return d, err
}

// some is the same choice with so many of the rows, at random.
func (c *choice) some(rows int) *choice {
	n, _ := c.x.Dims()
	chosen := inGroups(rand.New(rng.New(c.seed, 1<<32)).Perm(n / c.group)[:rows/c.group], c.group)
	part := *c
	part.x, part.y = selectRows(c.x, chosen), selectRows(c.y, chosen)
	return &part
}

// train trains network k of a candidate.
func (c *choice) train(ctx context.Context, of candidate, k int) (*flow.Flow, error) {
	f := *c.fit
	f.Src = rng.New(c.seed, uint64(k))
	f.Regress = of.regress
	if !c.alone {
		f.Workers = 1
	}
	if f.Validation >= 0 && (c.group > 1 || !c.alone) {
		f.ValidationRows = c.validation(k)
	}
	return flow.Fit(ctx, of.flow, c.x, c.y, &f)
}

// validation returns the rows for validation of the networks k of all
// candidates.
func (c *choice) validation(k int) []int {
	groups := c.fit.ValidationRows
	if groups == nil {
		fraction := c.fit.Validation
		if fraction == 0 {
			fraction = 0.1
		}
		n, _ := c.x.Dims()
		_, groups = optim.Split(n/c.group, math.Min(fraction, 1), rng.New(c.seed, uint64(k)))
	}
	return inGroups(groups, c.group)
}

// each trains network 0 of each candidate. A flow is nil if it could not be
// trained at all.
func (c *choice) each(ctx context.Context, candidates []candidate) ([]*flow.Flow, error) {
	flows := make([]*flow.Flow, len(candidates))
	errs := make([]error, len(candidates))
	err := par.Each(ctx, c.fit.Workers, len(candidates), func(i int) error {
		flows[i], errs[i] = c.train(ctx, candidates[i], 0)
		return nil
	})
	return flows, errors.Join(append(errs, err)...)
}

// race returns the best candidate that is simple, if there is one, and the best
// that is not.
func (c *choice) race(ctx context.Context, candidates []candidate) ([]candidate, error) {
	flows, err := c.each(ctx, candidates)
	if err != nil {
		return nil, err
	}
	var best []candidate
	for _, simple := range []bool{true, false} {
		if k := lowest(flows, candidates, simple); k >= 0 {
			best = append(best, candidates[k])
		}
	}
	return best, nil
}

// best returns the best candidate and its network: the best that is simple,
// unless the best that is not is better by more than a standard error. The
// network is nil if none could be trained at all.
func (c *choice) best(ctx context.Context, candidates []candidate) (best candidate, f *flow.Flow, err error) {
	flows, err := c.each(ctx, candidates)
	k, other := lowest(flows, candidates, true), lowest(flows, candidates, false)
	if k < 0 || other >= 0 && c.fit.Validation >= 0 && c.better(flows[other], flows[k]) {
		k = other
	}
	if k < 0 {
		return best, nil, err
	}
	return candidates[k], flows[k], err
}

// lowest returns the number of the flow with the lowest loss on the rows for
// validation among those that are simple or are not, -1 if there is none. Without
// such rows it is the first.
func lowest(flows []*flow.Flow, candidates []candidate, simple bool) int {
	best := -1
	for i, f := range flows {
		if f != nil && candidates[i].simple() == simple && (best < 0 || f.Report().ValidNLL < flows[best].Report().ValidNLL) {
			best = i
		}
	}
	return best
}

// better reports whether the loss of a on the rows for validation is lower than
// that of b by more than a standard error.
func (c *choice) better(a, b *flow.Flow) bool {
	rows := c.validation(0)
	x, y := selectRows(c.x, rows), selectRows(c.y, rows)
	la, lb := make([]float64, len(rows)), make([]float64, len(rows))
	a.LogProb(la, x, y)
	b.LogProb(lb, x, y)
	floats.Sub(la, lb)
	mean, sd := stat.MeanStdDev(la, nil)
	return mean > sd/math.Sqrt(float64(len(rows)))
}

func selectRows(x *mat.Dense, rows []int) *mat.Dense {
	_, d := x.Dims()
	out := mat.NewDense(len(rows), d, nil)
	for k, i := range rows {
		out.SetRow(k, x.RawRowView(i))
	}
	return out
}

// inGroups returns the numbers of the rows that are in groups.
func inGroups(groups []int, size int) (rows []int) {
	for _, g := range groups {
		for i := range size {
			rows = append(rows, g*size+i)
		}
	}
	return rows
}
