package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/sbi"
)

// alarms are the shares of data sets that the tests of the model flag at the
// level 0.01.
type alarms struct {
	Sets                       int
	Domain, Predictive, Misfit [2]float64 // of the prior's signals, and of others
	MisfitSets                 int
}

// wrongLength is the correlation length of the signals that the prior, whose
// own is 12, does not expect.
const wrongLength = 2

// alarms asks whether the tests notice signals that are rougher than the prior
// believes, and how often they are wrong about those that are as it does.
func (p *problem) alarms(ctx context.Context, c config, src rand.Source) (*alarms, error) {
	table := p.pairs(max(c.pairs/2, 1000), src)
	table.Y = p.noisy(table.Y, trained, src)
	domain, err := sbi.NewDomain(table, src)
	if err != nil {
		return nil, err
	}
	small := &sbi.Table{Theta: table.Theta.Slice(0, 600, 0, size).(*mat.Dense), Y: table.Y.Slice(0, 600, 0, size).(*mat.Dense),
		Index: table.Index[:600], Seed: table.Seed[:600], Status: table.Status[:600]}
	other, err := newProblem(wrongLength)
	if err != nil {
		return nil, err
	}
	a := &alarms{Sets: c.alarms, MisfitSets: min(c.alarms, 100)}
	for k, q := range []*problem{p, other} {
		_, y := q.signals(c.alarms, src)
		y = p.noisy(y, trained, src)
		for i := range c.alarms {
			row := y.RawRowView(i)
			a.Domain[k] += indicator(domain.Check(row) != nil) / float64(a.Sets)
			post, err := p.given(row, trained)
			if err != nil {
				return nil, err
			}
			lik, err := p.likelihood(row, trained)
			if err != nil {
				return nil, err
			}
			post.Src = src
			check, err := sbi.PosteriorPredictive(ctx, post, sbi.FromLikelihood(lik), row, &sbi.PredictiveOptions{Draws: 400, Src: src})
			if err != nil {
				return nil, err
			}
			a.Predictive[k] += indicator(!check.Pass()) / float64(a.Sets)
			if i >= a.MisfitSets {
				continue
			}
			res, err := sbi.Misspecification(ctx, small, mat.NewDense(1, size, row), &sbi.PredictiveOptions{Src: src})
			if err != nil {
				return nil, err
			}
			a.Misfit[k] += indicator(res.PValue <= 0.01) / float64(a.MisfitSets)
		}
	}
	return a, nil
}

// String is a table.
func (a *alarms) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "alarms at the level 0.01, for signals\n%-36s  %12s  %14s\n", "", "of the prior", "rougher than it")
	row := func(name string, v [2]float64, sets int) {
		fmt.Fprintf(&b, "%-36s  %12.3f  %14.3f   of %d data sets\n", name, v[0], v[1], sets)
	}
	row("Misspecification (prior predictive)", a.Misfit, a.MisfitSets)
	row("Domain, for amortised estimators", a.Domain, a.Sets)
	row("PosteriorPredictive", a.Predictive, a.Sets)
	return b.String()
}
