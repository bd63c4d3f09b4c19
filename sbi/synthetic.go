package sbi

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// SyntheticLikelihood is a prior times the normal density of the data with the
// mean and covariance of simulations at the parameters (Wood, 2010; Price et
// al., 2018): a posterior density for the kernels of package sampler that need
// no gradient.
//
// Simulation k of any parameters has the same random stream, which makes the
// density a function that can be evaluated twice with one result, and smooth
// if the simulator is. It is right as far as the data are normal, and costs
// all its simulations at every evaluation.
type SyntheticLikelihood struct {
	pri         Prior
	sim         Simulator
	y           []float64
	m, n        int
	simulations int
	seed        uint64
}

var _ inverse.Density = (*SyntheticLikelihood)(nil)

// NewSyntheticLikelihood returns the density given data y with the given number
// of simulations for an evaluation, more than the number of data and two. A
// nil src means a freshly seeded one.
func NewSyntheticLikelihood(pri Prior, sim Simulator, y []float64, simulations int, src rand.Source) (*SyntheticLikelihood, error) {
	m, n, err := checkModel(pri, sim)
	if err != nil {
		return nil, err
	}
	if len(y) != m || !finite(y) {
		return nil, fmt.Errorf("sbi: y is %v, want %d finite numbers", y, m)
	}
	if simulations < m+3 {
		return nil, fmt.Errorf("sbi: %d simulations are too few for the covariance of %d data, want at least %d", simulations, m, m+3)
	}
	return &SyntheticLikelihood{pri, sim, slices.Clone(y), m, n, simulations, rng.Seed(src)}, nil
}

// Dim returns the number of parameters.
func (s *SyntheticLikelihood) Dim() int { return s.n }

// Transform returns that of the prior's support.
func (s *SyntheticLikelihood) Transform() prior.Transform { return prior.TransformOf(s.pri) }

// LogProb returns the log density up to a constant, -Inf where the prior is 0.
// See [SyntheticLikelihood.Evaluate].
func (s *SyntheticLikelihood) LogProb(theta []float64) float64 {
	p, err := s.Evaluate(nil, theta)
	if err != nil {
		return math.Inf(-1)
	}
	return p
}

// Evaluate is LogProb with the reason why there is no density: a simulation
// that failed, or a singular covariance. There is no score, which must be nil.
func (s *SyntheticLikelihood) Evaluate(score, theta []float64) (float64, error) {
	if score != nil {
		return 0, fmt.Errorf("sbi: a synthetic likelihood has no score")
	}
	p := s.pri.LogProb(theta)
	if math.IsInf(p, -1) {
		return p, nil
	}
	data := mat.NewDense(s.simulations, s.m, nil)
	for k := range s.simulations {
		row := data.RawRowView(k)
		err := protect(context.Background(), s.sim, row, theta, rng.New(s.seed, uint64(k)).Uint64())
		if err == nil && !finite(row) {
			err = errNotFinite
		}
		if err != nil {
			return math.Inf(-1), fmt.Errorf("sbi: simulation %d at %v: %w", k, theta, err)
		}
	}
	mean := make([]float64, s.m)
	for j := range mean {
		mean[j] = stat.Mean(mat.Col(nil, j, data), nil)
	}
	var cov mat.SymDense
	stat.CovarianceMatrix(&cov, data, nil)
	normal, ok := distmv.NewNormal(mean, &cov, nil)
	if !ok {
		return math.Inf(-1), fmt.Errorf("sbi: the covariance of simulations at %v is singular", theta)
	}
	return p + normal.LogProb(s.y), nil
}
