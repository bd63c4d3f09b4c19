package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
)

// NeuralLikelihood is the density q(y|θ) that [NLE] has learned.
type NeuralLikelihood struct {
	Prior Prior
	// Flow is the density of the features of the data.
	Flow     flow.Conditional
	Features Features
	// RepeatSize is as in [Options].
	RepeatSize int
	// ValidNLL is the mean of -log q over the rows for validation, q being the
	// density of the features of one repeat.
	ValidNLL float64
	// Valid is a factor of the likelihood, one for each row of data, nil if no
	// simulation failed.
	Valid *Validity
}

// NLE is neural likelihood estimation (Papamakarios, Sterratt and Murray,
// 2019): a conditional density q(y|θ), trained on simulations with parameters
// from any distribution that covers what the posterior will want. Times the
// prior it is a posterior density, see [LearnedTarget]:
//
//	nle, err := sbi.NLE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{}})
//	post := nle.Given(y)                     // a Sampler with LogProb, and a target of package sampler
//
// Unlike a learned posterior it takes independent repeats of the same
// experiment without training for them: their log densities add. If rows of the
// table have repeats side by side, Options.RepeatSize says so, and each of them
// is learned from. If all data are bits, zeros and ones, q is a mass function of
// them, a flow.MADE, and if all are whole numbers from 0 on, a flow.Counts.
// Otherwise, or with another Flow, uniform noise in (-1/2, 1/2) is added to
// columns that are integers in all simulations, for the training, since a density
// of counts has no maximum: q at a count is then about its probability (Uria,
// Murray and Larochelle, 2013).
//
// From simulations that failed it learns the probability that one does not,
// which is a factor of the likelihood, see [Validity]: without it q would be the
// density of the data given that the simulator succeeds. A likelihood whose flow
// has been saved and read again is
//
//	nle := &sbi.NeuralLikelihood{Prior: pri, Flow: f, Features: features, RepeatSize: size, Valid: valid}
func NLE(ctx context.Context, pri Prior, table *Table, opt *Options) (*NeuralLikelihood, error) {
	if pri == nil {
		return nil, errors.New("sbi: prior is nil")
	}
	rows, err := trainingRows(table, pri.Dim())
	if err != nil {
		return nil, err
	}
	if opt == nil {
		opt = new(Options)
	}
	theta, y, group, err := single(rows, opt.RepeatSize)
	if err != nil {
		return nil, fmt.Errorf("sbi: NLE: %w", err)
	}
	features, err := opt.newFeatures(theta, y)
	if err != nil {
		return nil, err
	}
	u, err := unconstrained(pri, theta)
	if err != nil {
		return nil, err
	}
	fit, seed := opt.fitOptions()
	fit.Transform = nil
	mass, candidates := opt.masses(y)
	if mass {
		features.Center, features.Scale = nil, nil
	} else {
		y = dequantized(y, seed)
	}
	x := features.of(y)
	if candidates == nil {
		_, data := x.Dims()
		_, params := u.Dims()
		candidates = opt.candidates(fit, params, data > 1)
	}
	d, err := opt.train(ctx, candidates, x, u, group, fit, seed)
	if err != nil {
		err = fmt.Errorf("sbi: NLE: %w", err)
	}
	if d == nil {
		return nil, err
	}
	l := &NeuralLikelihood{Prior: pri, Flow: d.Conditional, Features: features, RepeatSize: opt.RepeatSize, ValidNLL: d.validNLL}
	if err != nil {
		return l, err
	}
	l.Valid, err = validityOf(ctx, pri, table, seed)
	return l, err
}

// Given returns the posterior density given independent repeats of the
// experiment, one or more: each y has one, or several side by side if there is a
// RepeatSize. If there is none, or if one has not as many elements as the data
// that q was trained on, one that is not finite, or one that a mass function of
// bits or counts has no mass for, Sample and Evaluate say so.
func (l *NeuralLikelihood) Given(y ...[]float64) *LearnedTarget {
	want, _ := l.Flow.Dims()
	repeats, data, err := l.Features.repeats(y, l.RepeatSize, want)
	for k := 0; k < len(data) && err == nil; k++ {
		err = l.hasMass(repeats[k], data[k].RawRowView(0))
	}
	if err != nil {
		return newLearnedTarget(l.Prior, nil, err)
	}
	var logDet float64
	for _, one := range repeats {
		logDet += l.Features.logDet(one)
	}
	return newLearnedTarget(l.Prior, func(dst []float64, score, u *mat.Dense) error {
		n, k := u.Dims()
		part := make([]float64, n)
		for i := range dst {
			dst[i] = logDet
		}
		var g *mat.Dense
		if score != nil {
			score.Zero()
			g = mat.NewDense(n, k, nil)
		}
		for _, row := range data {
			_, m := row.Dims()
			tiled := mat.NewDense(n, m, nil)
			for i := range n {
				tiled.SetRow(i, row.RawRowView(0))
			}
			if score == nil {
				l.Flow.LogProb(part, tiled, u)
			} else if q, ok := l.Flow.(flow.ConditionScorer); !ok {
				return fmt.Errorf("sbi: the density %T has no gradient in the parameters", l.Flow)
			} else if err := q.ConditionScore(part, g, tiled, u); err != nil {
				return err
			} else {
				score.Add(score, g)
			}
			floats.Add(dst, part)
		}
		if l.Valid != nil {
			l.Valid.add(dst, score, u, len(y))
		}
		return nil
	}, nil)
}

// hasMass returns an error if q is a mass function that has no mass for data,
// which it sees the features of, whatever the parameters are.
func (l *NeuralLikelihood) hasMass(y, features []float64) error {
	q := l.Flow
	if e, ok := q.(*flow.Ensemble); ok {
		q = e.Members()[0]
	}
	f, ok := q.(*flow.Flow)
	if !ok {
		return nil
	}
	for k, v := range features {
		var want string
		switch f.Architecture().(type) {
		case flow.MADE:
			if v != 0 && v != 1 {
				want = "a bit, 0 or 1"
			}
		case flow.Counts:
			if v < 0 || v != math.Trunc(v) {
				want = "a count, a whole number from 0 on"
			}
		}
		if want != "" {
			j := k
			if l.Features.Columns != nil {
				j = l.Features.Columns[k]
			}
			return fmt.Errorf("sbi: y[%d] is %g, want %s, as in all simulations", j, y[j], want)
		}
	}
	return nil
}

// unconstrained returns theta in the unconstrained coordinates of the prior.
func unconstrained(pri Prior, theta *mat.Dense) (*mat.Dense, error) {
	tr := Coordinates(pri)
	n, _ := theta.Dims()
	_, k := tr.Dims()
	u := mat.NewDense(n, k, nil)
	for i := range n {
		if err := tr.Unconstrain(u.RawRowView(i), theta.RawRowView(i)); err != nil {
			return nil, fmt.Errorf("sbi: row %d of the parameters: %w", i, err)
		}
	}
	return u, nil
}

// masses reports whether the likelihood is a mass function, and returns the
// candidates for one if no Flow is given.
func (o *Options) masses(y *mat.Dense) (mass bool, candidates []candidate) {
	switch o.Flow.(type) {
	case nil:
	case flow.MADE, flow.Counts:
		return true, nil
	default:
		return false, nil
	}
	const most = 1 << 24 // of flow.Counts
	n, _ := y.Dims()
	bits := true
	for i := range n {
		for _, v := range y.RawRowView(i) {
			if v < 0 || v > most || v != math.Trunc(v) {
				return false, nil
			}
			bits = bits && v <= 1
		}
	}
	if bits {
		return true, ofBits
	}
	return true, ofCounts
}

// dequantized returns y with uniform noise in (-1/2, 1/2) added to the columns
// that are integers, y itself if there are none.
func dequantized(y *mat.Dense, seed uint64) *mat.Dense {
	const stream = 1<<32 + 1 // beyond those of the networks of an ensemble
	n, m := y.Dims()
	r := rand.New(rng.New(seed, stream))
	out := y
	for j := range m {
		if !integers(y.ColView(j)) {
			continue
		}
		if out == y {
			out = mat.DenseCopyOf(y)
		}
		for i := range n {
			out.Set(i, j, y.At(i, j)+r.Float64()-0.5)
		}
	}
	return out
}

func integers(v mat.Vector) bool {
	for i := range v.Len() {
		if x := v.AtVec(i); x != math.Trunc(x) {
			return false
		}
	}
	return true
}
