package main

import (
	"context"
	"math"
	"testing"
)

// The figures of the closed form, by hand: the posterior of a component is
// Gaussian, and its weight is its evidence.
func TestTruth(t *testing.T) {
	p, err := newProblem()
	if err != nil {
		t.Fatal(err)
	}
	var w, mean, second, left float64
	for _, c := range []struct{ w, mu, sd float64 }{{.3, -2.5, .3}, {.5, 0, .4}, {.2, 1.5, .3}} {
		v := c.sd*c.sd + noise*noise
		e := c.w * math.Exp(-(datum-c.mu)*(datum-c.mu)/(2*v)) / math.Sqrt(v)
		m, pv := c.mu+c.sd*c.sd/v*(datum-c.mu), c.sd*c.sd*noise*noise/v
		w, mean, second = w+e, mean+e*m, second+e*(pv+m*m)
		phi := func(x float64) float64 { return .5 * math.Erfc((m-x)/math.Sqrt(2*pv)) }
		left += e * (phi(-1.5) - phi(-3))
	}
	mean, second, left = mean/w, second/w, left/w
	got, want := p.truth(), figures{Mean: mean, Std: math.Sqrt(second - mean*mean), Left: left}
	if math.Abs(got.Mean-want.Mean) > 1e-12 || math.Abs(got.Std-want.Std) > 1e-12 || math.Abs(got.Left-want.Left) > 1e-12 {
		t.Errorf("the posterior has %+v, want %+v", got, want)
	}
	if total := got.Left + got.Middle + got.Right; math.Abs(total-1) > 1e-3 {
		t.Errorf("the masses of the modes sum to %g", total)
	}
}

// What the program says about its table is so: the figures are those of an
// independent program with 10⁵ draws, within standard errors.
func TestTable(t *testing.T) {
	n := 1500
	if testing.Short() {
		n = 400
	}
	p, err := newProblem()
	if err != nil {
		t.Fatal(err)
	}
	methods, err := p.methods()
	if err != nil {
		t.Fatal(err)
	}
	none := math.NaN()
	want := map[string]figures{
		"exact":              {Mean: .3497, Std: .6199, Left: .0012},
		"DPS":                {Mean: .4844, Std: .5988, Left: 0},
		"DPS, 1/α":           {Mean: .4844, Std: .5395, Left: 1e-4},
		delayed:              {Mean: none, Std: .823, Left: .0725},
		"DPS, for t < 0.275": {Mean: none, Std: .827, Left: .059},
		"flat prior":         {Mean: .3021, Std: .5496, Left: .0075},
		"PiGDM":              {Mean: .4265, Std: .6437, Left: .0040},
		"TMPD":               {Mean: .3435, Std: .7003, Left: .0169},
		"MMPS":               {Mean: .3435, Std: .7003, Left: .0169},
	}
	for _, m := range methods {
		if m.guidance == nil {
			continue // the tests of package diffusion are about these
		}
		w, ok := want[m.Name]
		if !ok {
			t.Errorf("no figures for %s", m.Name)
			continue
		}
		if testing.Short() && m.Name != "exact" && m.Name != delayed {
			continue
		}
		r, err := p.sample(context.Background(), m, n, 3, nil)
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		// The standard error of a standard deviation is below √5/2 σ/√n: no
		// kurtosis here is above 6.
		se := 1 / math.Sqrt(float64(n))
		for _, c := range []struct {
			name          string
			got, want, se float64
		}{
			{"mean", r.Mean, w.Mean, w.Std * se},
			{"standard deviation", r.Std, w.Std, 1.12 * w.Std * se},
			{"mass of (-3, -1.5)", r.Left, w.Left, math.Sqrt(max(w.Left, 1e-4)) * se},
		} {
			if math.Abs(c.got-c.want) > 4*c.se+1e-3 {
				t.Errorf("%s: %s %.4f, want %.4f", m.Name, c.name, c.got, c.want)
			}
		}
		// The last states that were counted are nearly the draws.
		var mass, mean float64
		for j := range spaceCells {
			const width = (highest - lowest) / spaceCells
			v := width * r.evolution.density(0, j)
			mass += v
			mean += v * (lowest + (float64(j)+.5)*width)
		}
		if math.Abs(mass-1) > .01 || math.Abs(mean-r.Mean) > .02 {
			t.Errorf("%s: near t = 0 the states have mass %.3f and mean %.3f, the draws %.3f", m.Name, mass, mean, r.Mean)
		}
	}
}
