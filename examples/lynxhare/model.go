package main

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/prior"
)

// The parameters: rates of
//
//	hares' = (birth - eaten lynx) hares
//	lynx'  = (fed hares - death) lynx
//
// the populations in 1900, and the standard deviations of log counts about
// the log populations.
var names = []string{"birth", "eaten", "death", "fed", "hares 1900", "lynx 1900", "noise hares", "noise lynx"}

// priors are those of Carpenter: about one birth and one death a year, a
// twentieth of that for an encounter, ten thousand pelts within a factor of e,
// noise of a third within a factor of e. Rates are positive, which Transform
// sees to.
var priors = independent{
	distuv.Normal{Mu: 1, Sigma: 0.5},
	distuv.Normal{Mu: 0.05, Sigma: 0.05},
	distuv.Normal{Mu: 1, Sigma: 0.5},
	distuv.Normal{Mu: 0.05, Sigma: 0.05},
	logNormal{distuv.LogNormal{Mu: math.Log(10), Sigma: 1}},
	logNormal{distuv.LogNormal{Mu: math.Log(10), Sigma: 1}},
	logNormal{distuv.LogNormal{Mu: -1, Sigma: 1}},
	logNormal{distuv.LogNormal{Mu: -1, Sigma: 1}},
}

// independent is a density of positive parameters, each with its own.
type independent []interface {
	LogProb(x float64) float64
	ScoreInput(x float64) float64
}

var _ inverse.DifferentiableDensity = independent(nil)

func (d independent) Dim() int { return len(d) }

func (d independent) LogProb(x []float64) float64 {
	var lp float64
	for i, p := range d {
		lp += p.LogProb(x[i])
	}
	return lp
}

func (d independent) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, len(x))
	}
	for i, p := range d {
		score[i] = p.ScoreInput(x[i])
	}
	return score
}

func (d independent) Transform() prior.Transform { return prior.Positive(len(d)) }

// logNormal adds the score that gonum's has not.
type logNormal struct{ distuv.LogNormal }

func (l logNormal) ScoreInput(x float64) float64 {
	return -((math.Log(x)-l.Mu)/(l.Sigma*l.Sigma) + 1) / x
}

// lotkaVolterra is the right-hand side of the equations, and jacobian its
// derivatives.
func lotkaVolterra(dydt []float64, _ float64, y, p []float64) {
	dydt[0] = (p[0] - p[1]*y[1]) * y[0]
	dydt[1] = (p[3]*y[0] - p[2]) * y[1]
}

func jacobian(dfdy, dfdp *mat.Dense, _ float64, y, p []float64) {
	dfdy.Set(0, 0, p[0]-p[1]*y[1])
	dfdy.Set(0, 1, -p[1]*y[0])
	dfdy.Set(1, 0, p[3]*y[1])
	dfdy.Set(1, 1, p[3]*y[0]-p[2])
	dfdp.Set(0, 0, y[0])
	dfdp.Set(0, 1, -y[0]*y[1])
	dfdp.Set(1, 2, -y[1])
	dfdp.Set(1, 3, y[0]*y[1])
}

// logPopulations is the operator from the rates and the populations in 1900
// to the logarithms of both populations after the given years.
func logPopulations(years []float64) (*forward.ODE, error) {
	return forward.NewODE(lotkaVolterra, 4, make([]float64, 2), years, &forward.ODEOptions{
		UnknownInitial: []int{0, 1},
		Log:            true,
		Jacobian:       jacobian,
		Step:           0.1, // right to 1e-6 of the log populations
		Workers:        1,   // chains are parallel already
	})
}

// counts is the likelihood of counts whose logarithms are normal about the
// log populations. Since the noise is unknown too, it is a density of our own,
// and not one of package likelihood.
type counts struct {
	model *forward.ODE
	logY  []float64
	pool  sync.Pool // of *evaluation
}

// evaluation is the workspace of one evaluation.
type evaluation struct {
	inverse.Linearization
	x, f, g, score *mat.Dense
}

func newCounts(pelts [][2]float64) (*counts, error) {
	c := new(counts)
	var years []float64
	for i, row := range pelts {
		years = append(years, float64(i))
		c.logY = append(c.logY, math.Log(row[0]), math.Log(row[1]))
	}
	var err error
	if c.model, err = logPopulations(years); err != nil {
		return nil, fmt.Errorf("the equations: %w", err)
	}
	m, n := c.model.Dims()
	c.pool.New = func() any {
		return &evaluation{c.model.Linearize(), mat.NewDense(1, n, nil), mat.NewDense(1, m, nil), mat.NewDense(1, m, nil), mat.NewDense(1, n, nil)}
	}
	return c, nil
}

func (c *counts) Dim() int { return len(names) }

func (c *counts) LogProb(x []float64) float64 { return c.LogProbScore(make([]float64, len(x)), x) }

func (c *counts) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, len(x))
	}
	c.LogProbScore(score, x)
	return score
}

// LogProbScore returns Σ log N(log y; f, sigma²) and its score, with f the log
// populations and a sigma for each animal.
func (c *counts) LogProbScore(score, x []float64) float64 {
	e := c.pool.Get().(*evaluation)
	defer c.pool.Put(e)
	sigma := x[6:8]
	e.x.SetRow(0, x[:6])
	e.Apply(e.f, e.x)
	f, g := e.f.RawRowView(0), e.g.RawRowView(0)
	var lp float64
	score[6], score[7] = 0, 0
	for i, y := range c.logY {
		s := sigma[i%2]
		z := (y - f[i]) / s
		lp -= z*z/2 + math.Log(s)
		g[i] = z / s
		score[6+i%2] += (z*z - 1) / s
	}
	if math.IsNaN(lp) { // the equations have no solution here
		clear(score)
		return math.Inf(-1)
	}
	e.VJP(e.score, e.g)
	copy(score, e.score.RawRowView(0))
	return lp
}
