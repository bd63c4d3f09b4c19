package ode

import (
	"errors"
	"math"
	"testing"
)

// circles is y' = ω(-y₂, y₁) cos t with an ω for each row, so that
// y(t) is y(0) turned by ω sin t.
type circles struct {
	omega []float64
	rates int // rows that were evaluated
}

func (c *circles) Rate(dydt, t, y []float64, rows int) {
	c.rates += rows
	for i := range rows {
		w := c.omega[i] * math.Cos(t[i])
		dydt[2*i], dydt[2*i+1] = -w*y[2*i+1], w*y[2*i]
	}
}

func (c *circles) Swap(i, j int) { c.omega[i], c.omega[j] = c.omega[j], c.omega[i] }

func TestBatch(t *testing.T) {
	omega := []float64{1, 30, 0, -2, 100, 5}
	for _, c := range []struct {
		name     string
		from, to float64
		set      Settings
		tol      float64
	}{
		{"adaptive", 0, 2, Settings{RelTol: 1e-9, AbsTol: 1e-10}, 1e-6},
		{"backwards", 2, -1, Settings{RelTol: 1e-9, AbsTol: 1e-10}, 1e-6},
		{"fixed", 0, 2, Settings{Step: 1e-3}, 2e-4},
		{"fixed backwards", 2, 0, Settings{Step: 1e-3}, 2e-4},
	} {
		var b Batch[float64]
		y := make([]float64, 2*len(omega))
		solve := func(omega []float64) *circles {
			f := &circles{omega: append([]float64(nil), omega...)}
			for i := range omega {
				y[2*i], y[2*i+1] = 1, 0
			}
			if err := b.Solve(f, y[:2*len(omega)], 2, c.from, c.to, c.set); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			return f
		}
		f := solve(omega)
		for i, w := range omega {
			sin, cos := math.Sincos(w * (math.Sin(c.to) - math.Sin(c.from)))
			if e := math.Hypot(y[2*i]-cos, y[2*i+1]-sin); !(e < c.tol) {
				t.Errorf("%s: row %d is off by %g", c.name, i, e)
			}
		}
		if c.set.Step == 0 {
			// The fast rows cost steps, the others do not go along.
			if n := solve(omega[4:5]).rates; f.rates > 3*n {
				t.Errorf("%s: %d evaluations, the row with the most needs %d", c.name, f.rates, n)
			}
		}
		all := append([]float64(nil), y...)
		solve(omega)
		copy(all, y)
		solve(omega[3:4])
		if y[0] != all[6] || y[1] != all[7] {
			t.Errorf("%s: row 3 is %v among others and %v alone", c.name, all[6:8], y[:2])
		}
		if n := testing.AllocsPerRun(5, func() {
			copy(f.omega, omega)
			if err := b.Solve(f, y[:2*len(omega)], 2, c.from, c.to, c.set); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %g allocations", c.name, n)
		}
	}
}

// explosions is y' = a y², which is infinite at t = 1/(a y(0)).
type explosions struct{ a []float64 }

func (e explosions) Rate(dydt, t, y []float64, rows int) {
	for i := range rows {
		dydt[i] = e.a[i] * y[i] * y[i]
	}
}

func (e explosions) Swap(i, j int) { e.a[i], e.a[j] = e.a[j], e.a[i] }

func TestBatchFailure(t *testing.T) {
	var b Batch[float64]
	for _, set := range []Settings{{RelTol: 1e-6, AbsTol: 1e-6}, {Step: 0.01}, {RelTol: 1e-6, AbsTol: 1e-6, MaxSteps: 200}} {
		y := []float64{1, 1, math.NaN(), 1}
		err := b.Solve(explosions{[]float64{0.5, 2, 0, -1}}, y, 1, 0, 1, set)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%+v: error %v, want an *Error", set, err)
		}
		if math.Abs(y[0]-2) > 1e-4 || math.Abs(y[3]-0.5) > 1e-5 {
			t.Errorf("%+v: rows without singularity are %g and %g, want 2 and 0.5", set, y[0], y[3])
		}
		if !math.IsNaN(y[1]) || !math.IsNaN(y[2]) {
			t.Errorf("%+v: rows that fail are %g and %g", set, y[1], y[2])
		}
	}
}
