// Package posteriordb has ten posteriors of the posteriordb database, written
// by hand as densities on unconstrained space with analytic gradients, to test
// samplers against reference draws and to measure their speed.
//
// Models and reference draws are those of posteriordb (Magnusson et al., BSD-3
// licence); reference draws are 10 chains of 1000 by Stan. A file NAME.json
// holds a posterior's data and the moments of its reference draws:
//
//	p, err := posteriordb.Open(dir, "arK-arK")
//	run, err := sampler.Run(ctx, p, &sampler.NUTS{}, nil)
//	p.Constrain(x, u) // the parameters that the reference reports
//
// Unconstrained coordinates are Stan's: the logarithm of a positive parameter,
// the logit of one in an interval, the logarithms of the steps of an ordered
// vector. Densities do the work that Stan's do, a pass over the data for each
// evaluation, and do not use sufficient statistics.
package posteriordb

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Posterior is a posterior of the database with what is known of it. Its
// methods are safe for concurrent use and do not allocate.
type Posterior struct {
	Name string
	// Params names the parameters that the reference reports, which Constrain
	// computes. There may be more of them than Dim, as of a simplex.
	Params []string
	// Reference describes the reference draws of each of Params. It is nil for
	// simulated data.
	Reference []Moments

	model model
}

// Moments describes the reference draws of one parameter.
type Moments struct {
	Name     string  `json:"name"`
	Mean     float64 `json:"mean"`
	SD       float64 `json:"sd"`
	Q05      float64 `json:"q05"`
	Q50      float64 `json:"q50"`
	Q95      float64 `json:"q95"`
	MCSEMean float64 `json:"mcse_mean"`
}

// model is one density, known by its data.
type model interface {
	dim() int
	params() []string
	// eval returns the log density at u up to a constant, and stores its
	// gradient in score unless score is nil.
	eval(score, u []float64) float64
	// constrain sets x to the parameters at u.
	constrain(x, u []float64)
	// check returns an error if the data cannot be used.
	check() error
}

// models are the densities, in the order of the database's names.
var models = []struct {
	name     string
	empty    func() model // to be filled by encoding/json
	simulate func() model
}{
	{"arK-arK", func() model { return new(arK) }, simulateARK},
	{"arma-arma11", func() model { return new(arma) }, simulateARMA},
	{"eight_schools-eight_schools_noncentered", func() model { return new(eightSchools) }, simulateEightSchools},
	{"garch-garch11", func() model { return new(garch) }, simulateGARCH},
	{"gp_pois_regr-gp_regr", func() model { return new(gpRegr) }, simulateGPRegr},
	{"hmm_example-hmm_example", func() model { return new(hmm) }, simulateHMM},
	{"hudson_lynx_hare-lotka_volterra", func() model { return new(lotkaVolterra) }, simulateLotkaVolterra},
	{"kidiq-kidscore_momhsiq", func() model { return new(kidscore) }, simulateKidscore},
	{"kilpisjarvi_mod-kilpisjarvi", func() model { return new(kilpisjarvi) }, simulateKilpisjarvi},
	{"low_dim_gauss_mix-low_dim_gauss_mix", func() model { return new(gaussMix) }, simulateGaussMix},
}

// Names returns the names of the ten posteriors.
func Names() []string {
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = m.name
	}
	return names
}

// Open reads the posterior called name from its file in dir.
func Open(dir, name string) (*Posterior, error) {
	b, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, fmt.Errorf("posteriordb: %w", err)
	}
	for _, m := range models {
		if m.name != name {
			continue
		}
		density := m.empty()
		file := struct {
			Data      model
			Reference struct{ Params []Moments }
		}{Data: density}
		if err := json.Unmarshal(b, &file); err != nil {
			return nil, fmt.Errorf("posteriordb: %s: %w", name, err)
		}
		if err := density.check(); err != nil {
			return nil, fmt.Errorf("posteriordb: %s: %w", name, err)
		}
		p := &Posterior{Name: name, Params: density.params(), Reference: file.Reference.Params, model: density}
		if len(p.Params) != len(p.Reference) {
			return nil, fmt.Errorf("posteriordb: %s has a reference for %d parameters, want %d", name, len(p.Reference), len(p.Params))
		}
		for i, r := range p.Reference {
			if r.Name != p.Params[i] {
				return nil, fmt.Errorf("posteriordb: %s has a reference for %s, want %s", name, r.Name, p.Params[i])
			}
		}
		return p, nil
	}
	return nil, fmt.Errorf("posteriordb: no posterior is called %q", name)
}

// Simulated returns the posterior called name with simulated data, always the
// same, and no reference. It panics if there is no such name.
func Simulated(name string) *Posterior {
	for _, m := range models {
		if m.name == name {
			density := m.simulate()
			if err := density.check(); err != nil {
				panic("posteriordb: " + err.Error())
			}
			return &Posterior{Name: name, Params: density.params(), model: density}
		}
	}
	panic(fmt.Sprintf("posteriordb: no posterior is called %q", name))
}

// Dim returns the dimension of unconstrained space.
func (p *Posterior) Dim() int { return p.model.dim() }

// LogProb returns the log density at u, up to a constant.
func (p *Posterior) LogProb(u []float64) float64 { return p.model.eval(nil, u) }

// LogProbScore stores the gradient of the log density at u in score and
// returns the log density.
func (p *Posterior) LogProbScore(score, u []float64) float64 { return p.model.eval(score, u) }

// ScoreInput stores the gradient of the log density at u in score and returns
// it. A nil score is allocated.
func (p *Posterior) ScoreInput(score, u []float64) []float64 {
	if score == nil {
		score = make([]float64, len(u))
	}
	p.model.eval(score, u)
	return score
}

// Constrain sets x to the parameters at u, in the order of Params, and returns
// it. A nil x is allocated.
func (p *Posterior) Constrain(x, u []float64) []float64 {
	if x == nil {
		x = make([]float64, len(p.Params))
	}
	p.model.constrain(x, u)
	return x
}

// logistic returns s = 1/(1+e^-u) and log s(1-s), the log of its derivative.
func logistic(u float64) (s, logDeriv float64) {
	e := math.Exp(-math.Abs(u))
	s = 1 / (1 + e)
	if u < 0 {
		s = e * s
	}
	return s, -math.Abs(u) - 2*math.Log1p(e)
}

// halfCauchy returns the log density of a half Cauchy distribution with the
// given scale at sigma, as a density of its logarithm, and the derivative by
// that.
func halfCauchy(logSigma, sigma, scale float64) (logp, deriv float64) {
	x := sigma / scale
	return logSigma - math.Log(1+x*x), 1 - 2/(1+1/(x*x))
}

// logProduct sums logarithms by multiplying, and takes one only when the
// product would leave a safe range. It begins with product 1.
type logProduct struct{ sum, product float64 }

// times returns p with one more factor. It returns a value for the registers'
// sake.
func (p logProduct) times(x float64) logProduct {
	p.product *= x
	if !(1e-150 < p.product && p.product < 1e150) {
		return p.flush(x)
	}
	return p
}

// flush takes the logarithm of the product, whose last factor is x.
func (p logProduct) flush(x float64) logProduct {
	return logProduct{p.sum + math.Log(p.product/x) + math.Log(x), 1}
}

func (p logProduct) log() float64 { return p.sum + math.Log(p.product) }

// indexed returns name[1], ..., name[n].
func indexed(name string, n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("%s[%d]", name, i+1)
	}
	return s
}
