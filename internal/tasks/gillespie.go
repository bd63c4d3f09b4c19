package tasks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse/prior"
)

// Gillespie is the stochastic Lotka-Volterra system of the COT-Flow paper (Wang
// et al., 2023), simulated exactly (Gillespie, 1977). X predators and Y prey,
// 50 and 100 at time 0, react at the rates
//
//	θ₁XY  X → X+1    θ₂X  X → X-1    θ₃Y  Y → Y+1    θ₄XY  Y → Y-1,
//
// are seen at the 150 times 0, 0.2, ..., 29.8, and give nine statistics; see
// [Gillespie.Statistics]. The parameters are log θ, with the prior U[-5, 2]⁴.
//
// The code that the paper's observations were made with has three quirks. The
// zero value does as it does, so that posteriors can be compared:
//
//   - The state at a grid time is the one after the first reaction past it.
//     Exact takes the one before, which is the state at that time.
//   - A path of more than 10,000 reactions is an error, and the parameters are
//     drawn anew. Here too it is an error, [ErrReactions], and the campaign's
//     table says so: the prior of what is left is the uniform one times the
//     probability of ending, which is 0.87 in the mean.
//   - Autocorrelations at both lags are divided by 149, one less than the
//     number of times. So are they here, whatever Exact says.
//
// A Gillespie is a simulator in the sense of package sbi and safe for
// concurrent use.
type Gillespie struct {
	Exact        bool // states are those at the grid times
	MaxReactions int  // 10,000 if 0
	// Log says that the data are not the statistics s themselves but, for the
	// sake of networks, log(1 + s) of the means and -log(1.01 - s) of the
	// autocorrelations: the former spread over three decades, and what the
	// latter say is in how far they are from 1. The posterior is the same.
	Log bool
}

const (
	gillespieTimes = 150
	gillespieStep  = 0.2
)

// ErrReactions is the error of a path with too many reactions.
var ErrReactions = errors.New("tasks: too many reactions")

// Prior returns U[-5, 2]⁴, the prior of log θ.
func (g *Gillespie) Prior() *prior.Box {
	return must(prior.NewBox([]float64{-5, -5, -5, -5}, []float64{2, 2, 2, 2}, nil))
}

// Dims returns 9 and 4.
func (g *Gillespie) Dims() (m, n int) { return 9, 4 }

// Observation returns the statistics of observation 1 or 2 of the paper, and
// the log rates they were simulated with. The first is of a path on which the
// predators die out early, which is rare at these rates.
func (g *Gillespie) Observation(number int) (y, theta []float64, err error) {
	switch number {
	case 1:
		y = []float64{28.88666667, 9.14, 8.20311982, 6.87330226, 0.99881669, 0.97903978, 0.96684115, 0.89591354, 0.5278054}
		theta = []float64{math.Log(0.01), math.Log(0.5), 0, math.Log(0.01)}
	case 2:
		y = []float64{115.69333333, 2.34666667, 5.65009786, 4.94439925, 0.93307584, 0.86526449, 0.73664777, 0.50613296, -0.38603302}
		theta = []float64{math.Log(0.02), math.Log(0.02), math.Log(0.02), math.Log(0.02)}
	default:
		return nil, nil, fmt.Errorf("tasks: no observation %d of the stochastic Lotka-Volterra system", number)
	}
	if g.Log {
		logarithms(y)
	}
	return y, theta, nil
}

func logarithms(s []float64) {
	s[0], s[1] = math.Log1p(s[0]), math.Log1p(s[1])
	for j := 4; j < 8; j++ {
		s[j] = -math.Log(1.01 - s[j])
	}
}

type path [2][gillespieTimes]float64 // predators, prey

var paths = sync.Pool{New: func() any { return new(path) }}

// Simulate stores the statistics of a path with the log rates theta in y.
func (g *Gillespie) Simulate(_ context.Context, y, theta []float64, src rand.Source) error {
	p := paths.Get().(*path)
	defer paths.Put(p)
	_, err := g.Path(p[0][:], p[1][:], theta, src)
	if err == nil {
		g.Statistics(y, p[0][:], p[1][:])
		if g.Log {
			logarithms(y)
		}
	}
	return err
}

// Statistics stores the nine statistics of a path in s: the means of predators
// and prey, log(1 + variance) of each, the autocorrelations at lags 1 and 2 of
// the predators and of the prey, and the correlation of the two. They are NaN
// for a series that is constant. An autocorrelation is less than 1.0068, as the
// divisor is less than the number of times.
func (g *Gillespie) Statistics(s, predators, prey []float64) {
	const n = gillespieTimes
	var z [2][n]float64
	for k, v := range [2][]float64{predators, prey} {
		var mean, variance float64
		for _, x := range v {
			mean += x / n
		}
		for i, x := range v {
			z[k][i] = x - mean
			variance += (x - mean) * (x - mean) / n
		}
		sd := math.Sqrt(variance)
		for i := range z[k] {
			z[k][i] /= sd
		}
		s[k], s[2+k] = mean, math.Log(variance+1)
		var ac1, ac2 float64
		for i := 1; i < n; i++ {
			ac1 += z[k][i] * z[k][i-1]
		}
		for i := 2; i < n; i++ {
			ac2 += z[k][i] * z[k][i-2]
		}
		s[4+2*k], s[5+2*k] = ac1/(n-1), ac2/(n-1)
	}
	s[8] = 0
	for i, v := range z[0] {
		s[8] += v * z[1][i] / n
	}
}
