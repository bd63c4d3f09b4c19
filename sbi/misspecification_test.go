package sbi_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// alarmSets is the number of data sets that false alarms are counted on.
const alarmSets = 500

// smooth is the blur of 16 values of a Gaussian process, with noise of standard
// deviation 0.1. The prior believes in the given correlation length.
type smooth struct {
	pri *prior.Gaussian
	lik *likelihood.Gaussian
}

func newSmooth(t *testing.T, length, scale float64) *smooth {
	t.Helper()
	const n = 16
	cov := mat.NewSymDense(n, nil)
	blur := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			d := float64(i - j)
			if i <= j {
				cov.SetSym(i, j, scale*scale*math.Exp(-d*d/(2*length*length)))
			}
			blur.Set(i, j, math.Exp(-d*d/2)/2.5)
		}
		cov.SetSym(i, i, cov.At(i, i)+1e-6)
	}
	pri, err := prior.NewGaussian(nil, cov, nil)
	if err != nil {
		t.Fatal(err)
	}
	op, err := forward.NewDense(blur)
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, make([]float64, n), 0.1)
	if err != nil {
		t.Fatal(err)
	}
	return &smooth{pri, lik}
}

func (s *smooth) simulate(t *testing.T, rows int, seed uint64) *sbi.Table {
	t.Helper()
	table, err := sbi.Simulate(context.Background(), s.pri, sbi.FromLikelihood(s.lik), rows, &sbi.SimulateOptions{Src: rng.New(seed, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func (s *smooth) given(t *testing.T, y []float64) *posterior.Gaussian {
	t.Helper()
	lik, err := likelihood.NewGaussian(s.lik.Operator(), y, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	post, err := posterior.NewGaussian(s.pri, lik)
	if err != nil {
		t.Fatal(err)
	}
	post.Src = rng.New(27, 0)
	return post
}

// agrees reports whether a count of n agrees with a probability to four
// standard errors.
func agrees(count, n int, p float64) bool {
	return math.Abs(float64(count)-p*float64(n)) <= 4*math.Sqrt(float64(n)*p*(1-p))
}

// The false-alarm rates of the tests over 500 data sets of the model, and their
// power where the truth has no correlation to speak of, and the prior believes
// in a length of six values.
func TestFalseAlarms(t *testing.T) {
	if testing.Short() {
		t.Skip("makes thousands of tests")
	}
	ctx := context.Background()
	model := newSmooth(t, 6, 1)
	table := model.simulate(t, 400, 20)
	domain, err := sbi.NewDomain(model.simulate(t, 4000, 21), rng.New(22, 0))
	if err != nil {
		t.Fatal(err)
	}
	sim := sbi.FromLikelihood(model.lik)

	type counts struct{ mmd05, mmd01, domain05, domain01, predictive int }
	count := func(data *sbi.Table) (c counts) {
		for b := range data.Len() {
			y := data.Y.RawRowView(b)
			res, err := sbi.Misspecification(ctx, table, mat.NewDense(1, len(y), y), &sbi.PredictiveOptions{Src: rng.New(23, uint64(b))})
			if err != nil {
				t.Fatal(err)
			}
			p := domain.PValue(y)
			check, err := sbi.PosteriorPredictive(ctx, model.given(t, y), sim, y, &sbi.PredictiveOptions{Draws: 1000, Src: rng.New(24, uint64(b))})
			if err != nil {
				t.Fatal(err)
			}
			add := func(n *int, alarm bool) {
				if alarm {
					*n++
				}
			}
			add(&c.mmd05, res.PValue <= 0.05)
			add(&c.mmd01, res.PValue <= 0.01)
			add(&c.domain05, p <= 0.05)
			add(&c.domain01, p <= 0.01)
			add(&c.predictive, !check.Pass())
			if (domain.Check(y) != nil) != (p < 0.01) {
				t.Errorf("Check is %v, the p-value %g", domain.Check(y), p)
			}
		}
		return c
	}

	c := count(model.simulate(t, alarmSets, 25))
	t.Logf("of %d data sets of the model: %+v", alarmSets, c)
	for name, r := range map[string]struct {
		n int
		p float64
	}{"Misspecification at 0.05": {c.mmd05, 0.05}, "Misspecification at 0.01": {c.mmd01, 0.01}, "Domain at 0.05": {c.domain05, 0.05}, "Domain at 0.01": {c.domain01, 0.01}} {
		if !agrees(r.n, alarmSets, r.p) {
			t.Errorf("%s: %d of %d false alarms", name, r.n, alarmSets)
		}
	}
	// The posterior has seen the data, so this one is cautious.
	if float64(c.predictive) > 0.01*alarmSets {
		t.Errorf("PosteriorPredictive: %d of %d false alarms, want at most 1 %%", c.predictive, alarmSets)
	}

	const others = 100
	c = count(newSmooth(t, 0.5, 1).simulate(t, others, 26))
	t.Logf("of %d data sets of another prior: %+v", others, c)
	// With ten times the draws PosteriorPredictive flags 91.
	if c.mmd01 < 9*others/10 || c.domain01 < 9*others/10 || c.predictive < 9*others/10 {
		t.Errorf("of %d data sets, Misspecification flags %d, Domain %d, PosteriorPredictive %d at 0.01, want 90 %%", others, c.mmd01, c.domain01, c.predictive)
	}
}

// Data off a curve that the simulations do not leave, by no more than a hundredth
// of their range, and inside of their mean and spread.
func TestDomainOfACurve(t *testing.T) {
	const rows = 1000
	table := &sbi.Table{Theta: mat.NewDense(rows, 1, nil), Y: mat.NewDense(rows, 3, nil)}
	for i := range rows {
		u := float64(i) / rows
		table.Theta.Set(i, 0, u)
		table.Y.SetRow(i, []float64{math.Cos(6 * u), math.Sin(6 * u), 7})
		table.Index = append(table.Index, i)
		table.Seed = append(table.Seed, 0)
		table.Status = append(table.Status, sbi.OK)
	}
	d, err := sbi.NewDomain(table, rng.New(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		y    []float64
		want bool
	}{
		{[]float64{math.Cos(2), math.Sin(2), 7}, true},
		{[]float64{0, 0, 7}, false},                           // the mean
		{[]float64{math.Cos(2), math.Sin(2), 7.02}, false},    // a datum that never varies
		{[]float64{1.1 * math.Cos(2), math.Sin(2), 7}, false}, // off the circle
		{[]float64{math.NaN(), 0, 0}, false},
	} {
		if err := d.Check(c.y); (err == nil) != c.want {
			t.Errorf("%v: %v (p = %g)", c.y, err, d.PValue(c.y))
		}
	}
	table = &sbi.Table{Theta: mat.NewDense(3, 1, nil), Y: mat.NewDense(3, 1, nil), Index: []int{0, 1, 2}, Seed: make([]uint64, 3), Status: make([]sbi.Status, 3)}
	if _, err := sbi.NewDomain(table, nil); err == nil || !strings.Contains(err.Error(), "3 of 3") {
		t.Errorf("too few rows: %v", err)
	}
}
