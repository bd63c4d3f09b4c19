package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
)

// Correction is how [SNPE] makes up for parameters that were drawn from
// proposals, the posteriors of earlier rounds, and not from the prior.
type Correction uint8

const (
	// Atomic is SNPE-C, or APT, with atomic proposals (Greenberg, Nonnenmacher
	// and Macke, 2019), for the flows MAF, NSF, Coupling and MDN.
	Atomic Correction = iota
	// Mixtures is SNPE-C in closed form: proposals and posterior are mixtures
	// of normal densities, of a flow.MDN, and the prior is Gaussian or uniform
	// on a box. It learns from the simulations of the last round.
	Mixtures
	// PostHoc is SNPE-A (Papamakarios and Murray, 2016): a flow.MDN learns the
	// posterior for the proposal, a single normal density, and is divided by it
	// afterwards. The prior and the simulations are those of Mixtures.
	PostHoc
	// Importance is SNPE-B (Lueckmann et al., 2017): each simulation is
	// weighted by the prior over the proposals. It takes any flow; the weights
	// are few and large once a posterior is narrow.
	Importance
)

var correctionNames = []string{"Atomic", "Mixtures", "PostHoc", "Importance"}

// String returns the name of the correction.
func (c Correction) String() string {
	if int(c) < len(correctionNames) {
		return correctionNames[c]
	}
	return fmt.Sprintf("Correction(%d)", uint8(c))
}

// SNPE is sequential neural posterior estimation: round after round, parameters
// are drawn from the posterior given y that has been learned so far, and it is
// learned again, with the Correction in the options. If Flow is nil, it will be
// defaulted to flow.NSF{} (Atomic and Importance) or to flow.MDN{} (Mixtures
// and PostHoc).
//
// Networks work in unconstrained coordinates, so that no draw leaves the
// prior's support: what is called leakage in the literature cannot happen. For
// Mixtures and PostHoc the coordinates are those in which the prior is Gaussian;
// the error says if there are none.
//
// The result is meant for y; for other data it is not amortised. The returned
// table has the simulations of all rounds.
func SNPE(ctx context.Context, pri Prior, sim Simulator, y []float64, simulations int, opt *Sequential) (*NeuralPosterior, *Table, error) {
	r, err := newRounds("SNPE", pri, sim, y, simulations, opt)
	if err != nil {
		return nil, nil, err
	}
	s := &snpe{rounds: r}
	if err := s.prepare(); err != nil {
		return nil, nil, fmt.Errorf("sbi: SNPE: %w", err)
	}
	var npe *NeuralPosterior
	for round := range r.o.Rounds {
		var theta *mat.Dense
		if npe != nil {
			theta = mat.NewDense(r.size(round), r.n, nil)
			if err := npe.Given(y).SampleFrom(ctx, theta, r.src(round, 1)); err != nil {
				return npe, r.table, r.err(round, err)
			}
		}
		if err := r.simulate(ctx, round, theta); err != nil {
			return npe, r.table, err
		}
		next, err := s.train(ctx, round, npe)
		if err != nil {
			return npe, r.table, r.err(round, err)
		}
		npe = next
		s.proposals = append(s.proposals, npe)
		r.report(round, 1, npe.ValidNLL)
	}
	return npe, r.table, nil
}

type snpe struct {
	*rounds
	proposals []*NeuralPosterior // of the rounds after the first
	normal    *normalCoordinates // of Mixtures and PostHoc
}

// prepare fills in the flow and checks that it suits the correction.
func (s *snpe) prepare() (err error) {
	o := &s.o
	if o.Fit != nil && (o.Fit.Checkpoint != nil || o.Fit.Resume != nil || o.Fit.Start != nil || o.Fit.Proposal != nil || o.Fit.Weights != nil || o.Fit.ValidationRows != nil || o.Fit.Regress) {
		return errors.New("Options.Fit has a Checkpoint, Resume, Start, Proposal, Weights, ValidationRows or Regress")
	}
	switch o.Correction {
	case Atomic, Importance:
		if o.Flow == nil {
			o.Flow = flow.NSF{}
		}
		return nil
	case Mixtures, PostHoc:
		if o.Flow == nil {
			o.Flow = flow.MDN{}
		}
		if _, ok := o.Flow.(flow.MDN); !ok || o.Ensemble > 1 {
			return fmt.Errorf("%v needs a single flow.MDN, not %d of %T", o.Correction, max(o.Ensemble, 1), o.Flow)
		}
		s.normal, err = newNormalCoordinates(s.pri)
		return err
	}
	return fmt.Errorf("Correction is %v", o.Correction)
}

func (s *snpe) train(ctx context.Context, round int, before *NeuralPosterior) (*NeuralPosterior, error) {
	o := s.options(round)
	if s.o.Correction == Mixtures || s.o.Correction == PostHoc {
		return s.trainNormal(ctx, round, before, o)
	}
	if round == 0 {
		return NPE(ctx, s.pri, s.table, o)
	}
	rows, err := trainingRows(s.table, s.n)
	if err != nil {
		return nil, err
	}
	fit, seed := o.fitOptions()
	fit.Transform = Coordinates(s.pri)
	if s.o.Correction == Atomic {
		p := &flow.Proposal{Atoms: s.o.Atoms, FromPrior: make([]bool, rows.Len())}
		if p.LogPrior, err = logPriorAt(s.pri, rows.Theta); err != nil {
			return nil, err
		}
		for i, index := range rows.Index {
			p.FromPrior[i] = index < s.sizes[0]
		}
		fit.Proposal = p
	} else {
		fit.Weights = s.weights(rows)
	}
	return trainPosterior(ctx, s.pri, rows, o, fit, seed)
}

// weights returns p(θ)/Σ_r (n_r/n) p̃_r(θ) for the rows, where the proposal of
// the first round is the prior itself.
func (s *snpe) weights(rows *Table) []float64 {
	n := rows.Len()
	w := make([]float64, n)
	logPrior, terms := make([]float64, n), make([]float64, len(s.sizes))
	for i := range n {
		logPrior[i] = s.pri.LogProb(rows.Theta.RawRowView(i))
	}
	parts := [][]float64{logPrior}
	for _, q := range s.proposals {
		l := make([]float64, n)
		q.Given(s.y).LogProbs(l, rows.Theta)
		parts = append(parts, l)
	}
	total := float64(s.table.Len())
	for i := range w {
		for k, p := range parts {
			terms[k] = math.Log(float64(s.sizes[k])/total) + p[i]
		}
		w[i] = math.Exp(logPrior[i] - floats.LogSumExp(terms))
	}
	return w
}

// trainNormal trains a mixture density network on the simulations of the round,
// in the coordinates in which the prior is Gaussian.
func (s *snpe) trainNormal(ctx context.Context, round int, before *NeuralPosterior, o *Options) (*NeuralPosterior, error) {
	arch := o.Flow.(flow.MDN)
	if s.o.Correction == PostHoc && round < s.o.Rounds-1 {
		arch.Components = 1 // so that the next proposal can be divided by
	}
	o.Flow = arch
	rows, err := trainingRows(s.last(), s.n)
	if err != nil {
		return nil, err
	}
	fit, seed := o.fitOptions()
	fit.Transform = s.normal.transform
	if before == nil {
		return s.mixing(trainPosterior(ctx, s.pri, rows, o, fit, seed))
	}
	proposal, err := before.Flow.(mixer).mixtureAt(before.Features.of(mat.NewDense(1, len(s.y), s.y)).RawRowView(0))
	if err != nil {
		return nil, err
	}
	if s.o.Correction == Mixtures {
		fit.Proposal = &flow.Proposal{Mixture: proposal, Prior: s.normal.prior}
		return s.mixing(trainPosterior(ctx, s.pri, rows, o, fit, seed))
	}
	npe, err := s.mixing(trainPosterior(ctx, s.pri, rows, o, fit, seed))
	if err != nil {
		return nil, err
	}
	divided := &dividedMixture{mixture: npe.Flow.(*mixture), proposal: proposal, prior: s.normal.prior, tr: s.normal.transform}
	if _, err := divided.mixtureAt(npe.Features.of(mat.NewDense(1, len(s.y), s.y)).RawRowView(0)); err != nil {
		return nil, err
	}
	npe.Flow = divided
	return npe, nil
}

// last returns the rows of the last round.
func (s *snpe) last() *Table {
	n := s.sizes[len(s.sizes)-1]
	from := s.table.Len() - n
	t := newTable(n, s.m, s.n)
	t.Theta.Copy(s.table.Theta.Slice(from, from+n, 0, s.n))
	t.Y.Copy(s.table.Y.Slice(from, from+n, 0, s.m))
	copy(t.Index, s.table.Index[from:])
	copy(t.Seed, s.table.Seed[from:])
	copy(t.Status, s.table.Status[from:])
	return t
}
