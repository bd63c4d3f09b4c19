package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/sampler"
)

const (
	lastYear    = 1930 // of the forecast
	stepsAYear  = 10
	predictions = 1000 // draws of the posterior that are predicted with
)

// forecast is what the posterior says of the populations and of new counts.
type forecast struct {
	years  []float64
	median [2][]float64    // of the population of each animal
	band   [2][4][]float64 // 5, 25, 75 and 95 % quantiles of a new count
	orbits []*mat.Dense    // populations of a few draws, a row a time
	period [3]float64      // 5, 50 and 95 % quantiles, in years
	inside int             // counts within the 90 % band
}

// predict solves the equations for draws of the posterior, and adds noise as
// that of the counts.
func predict(r *sampler.Result, src rand.Source) (*forecast, error) {
	f := new(forecast)
	var times []float64
	for i := range (lastYear-firstYear)*stepsAYear + 1 {
		t := float64(i) / stepsAYear
		times = append(times, t)
		f.years = append(f.years, firstYear+t)
	}
	model, err := logPopulations(times)
	if err != nil {
		return nil, err
	}
	x := r.Draws()
	rows, _ := x.Dims()
	rnd := rand.New(src)
	order := rnd.Perm(rows)[:min(predictions, rows)]
	in := mat.NewDense(len(order), 6, nil)
	for i, k := range order {
		in.SetRow(i, x.RawRowView(k)[:6])
	}
	out := mat.NewDense(len(order), 2*len(times), nil)
	model.Apply(out, in)

	// The noise of a draw is the same at all times, which leaves the
	// distribution at each time what it is and makes the bands smooth.
	noise := mat.NewDense(len(order), 2, nil)
	for i, row := range order {
		for animal := range 2 {
			noise.Set(i, animal, x.At(row, 6+animal)*rnd.NormFloat64())
		}
	}
	population, count := make([]float64, len(order)), make([]float64, len(order))
	for k := range 2 * len(times) {
		animal := k % 2
		for i := range order {
			v := out.At(i, k)
			population[i] = math.Exp(v)
			count[i] = math.Exp(v + noise.At(i, animal))
		}
		slices.Sort(population)
		slices.Sort(count)
		f.median[animal] = append(f.median[animal], at(population, 0.5))
		for q, p := range [4]float64{0.05, 0.25, 0.75, 0.95} {
			f.band[animal][q] = append(f.band[animal][q], at(count, p))
		}
	}
	for i, row := range pelts {
		for animal, y := range row {
			if k := i * stepsAYear; y >= f.band[animal][0][k] && y <= f.band[animal][3][k] {
				f.inside++
			}
		}
	}
	for i := range min(40, len(order)) {
		orbit := mat.NewDense(len(times), 2, nil)
		for k, v := range out.RawRowView(i) {
			orbit.Set(k/2, k%2, math.Exp(v))
		}
		f.orbits = append(f.orbits, orbit)
	}
	var periods []float64
	for i := range order {
		if p, ok := period(out.RawRowView(i)); ok {
			periods = append(periods, p)
		}
	}
	slices.Sort(periods)
	if len(periods) > 0 {
		f.period = [3]float64{at(periods, 0.05), at(periods, 0.5), at(periods, 0.95)}
	}
	return f, nil
}

// period returns the mean time between the peaks of the hares in a solution.
func period(solution []float64) (years float64, ok bool) {
	var peaks []float64
	for k := 2; k+2 < len(solution); k += 2 {
		a, b, c := solution[k-2], solution[k], solution[k+2]
		if b > a && b >= c {
			// The vertex of the parabola through the three.
			peaks = append(peaks, (float64(k/2)+(a-c)/(2*(a-2*b+c)))/stepsAYear)
		}
	}
	if len(peaks) < 2 {
		return 0, false
	}
	return (peaks[len(peaks)-1] - peaks[0]) / float64(len(peaks)-1), true
}

// at returns the p-quantile of sorted values.
func at(sorted []float64, p float64) float64 {
	return sorted[int(math.Round(p*float64(len(sorted)-1)))]
}
