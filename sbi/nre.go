package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// RatioLoss is what a network learns a likelihood ratio by.
type RatioLoss uint8

const (
	// NREC is contrastive estimation with an independent class, whose ratio is
	// normalised (Miller, Weniger and Forré, 2022).
	NREC RatioLoss = iota
	// NREA is the binary classification of pairs (Hermans, Begy and Louppe,
	// 2020).
	NREA
	// NREB tells the parameters from others (Durkan, Murray and Papamakarios,
	// 2020). Its ratio is known up to a factor that depends on the data only.
	NREB
	// BNRE is NREA with a penalty that makes the classifier balanced, and the
	// posterior rather too wide than too narrow (Delaunoy et al., 2022).
	BNRE
)

var ratioLossNames = []string{"NRE-C", "NRE-A", "NRE-B", "BNRE"}

// String returns the name in the literature.
func (l RatioLoss) String() string {
	if int(l) < len(ratioLossNames) {
		return ratioLossNames[l]
	}
	return fmt.Sprintf("RatioLoss(%d)", uint8(l))
}

// Ratio is the network of [NRE], a residual perceptron, and its loss. Zero
// values mean the defaults.
type Ratio struct {
	Loss RatioLoss
	// Classes is the number K of parameters that NREC compares with, 5 if 0,
	// and that of all parameters that NREB compares, 10 if 0.
	Classes int
	// Gamma is the odds of the dependent classes of NREC, 1 if 0.
	Gamma float64
	// Lambda is the weight of the penalty of BNRE, 100 if 0.
	Lambda float64
	// Width and Blocks are of the network, 64 and 2 if 0.
	Width, Blocks int
}

const maxRatioWidth, maxRatioBlocks = 1 << 14, 1000

func (r *Ratio) withDefaults() (Ratio, error) {
	var o Ratio
	if r != nil {
		o = *r
	}
	if o.Classes == 0 {
		o.Classes = 5
		if o.Loss == NREB {
			o.Classes = 10
		}
	}
	if o.Gamma == 0 {
		o.Gamma = 1
	}
	if o.Lambda == 0 {
		o.Lambda = 100
	}
	if o.Width == 0 {
		o.Width = 64
	}
	if o.Blocks == 0 {
		o.Blocks = 2
	}
	switch {
	case o.Loss > BNRE:
		return o, fmt.Errorf("Ratio.Loss is %v", o.Loss)
	case o.Classes < 2 || o.Width < 1 || o.Blocks < 1 || o.Width > maxRatioWidth || o.Blocks > maxRatioBlocks:
		return o, fmt.Errorf("Ratio has Classes %d, Width %d and Blocks %d, want at least 2, 1 and 1", o.Classes, o.Width, o.Blocks)
	case !(o.Gamma > 0 && o.Lambda >= 0) || math.IsInf(o.Gamma, 0) || math.IsInf(o.Lambda, 0):
		return o, fmt.Errorf("Ratio has Gamma %g and Lambda %g", o.Gamma, o.Lambda)
	}
	return o, nil
}

// NeuralRatio is the ratio q(y|θ)/q(y) that [NRE] has learned, where q(y) is
// for parameters that are distributed as those of the table.
type NeuralRatio struct {
	Prior    Prior
	Features Features
	// RepeatSize is as in [Options].
	RepeatSize int
	// ValidLoss is the mean loss on the rows for validation.
	ValidLoss float64
	// Valid is a factor of the ratio, one for each row of data, nil if no
	// simulation failed.
	Valid *Validity

	width, blocks int // of the networks
	nets          []*ratioNet
	params        *nn.Params[float32] // of all networks
	pool          sync.Pool           // of *autodiff.Tape[float32]
}

// NRE is neural ratio estimation: a classifier that tells pairs of parameters
// and data of the table from pairs that do not belong together, and so knows
// the ratio of the likelihood to the evidence. Options.Ratio says by which
// loss. Times the prior it is a posterior density, see [LearnedTarget]. As with
// [NLE], independent repeats need no training of their own, and parameters may
// come from any distribution, if that is the prior's for the ratio to be
// normalised. Unlike NLE it takes data of any kind.
//
// The defaults of the training are those of a flow.NSF, but for an EMA of 0.99:
// the last step of a single network is a matter of chance, which its mean over
// steps is not.
//
// Failed simulations are what [Validity] learns from, as with NLE.
func NRE(ctx context.Context, pri Prior, table *Table, opt *Options) (*NeuralRatio, error) {
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
	ratio, err := opt.Ratio.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("sbi: NRE: %w", err)
	}
	fit, seed := opt.fitOptions()
	switch {
	case fit.Checkpoint != nil || fit.Resume != nil || fit.Start != nil || fit.Embedding != nil || fit.Proposal != nil || fit.Weights != nil || fit.Float64 || fit.ValidationRows != nil:
		return nil, errors.New("sbi: NRE has no Checkpoint, Resume, Start, Embedding, Proposal, Weights, Float64 and ValidationRows")
	case opt.Ensemble < 0 || opt.Ensemble > 1000:
		return nil, fmt.Errorf("sbi: NRE: Ensemble is %d, want 1 to 1000", opt.Ensemble)
	}
	theta, y, group, err := single(rows, opt.RepeatSize)
	if err != nil {
		return nil, fmt.Errorf("sbi: NRE: %w", err)
	}
	features, err := opt.newFeatures(theta, y)
	if err != nil {
		return nil, err
	}
	u, err := unconstrained(pri, theta)
	if err != nil {
		return nil, err
	}
	r := &NeuralRatio{Prior: pri, Features: features, RepeatSize: opt.RepeatSize, width: ratio.Width, blocks: ratio.Blocks, nets: make([]*ratioNet, max(opt.Ensemble, 1))}
	losses := make([]float64, len(r.nets))
	weights := make([][]float32, len(r.nets))
	f := features.of(y)
	err = par.Each(ctx, fit.Workers, len(r.nets), func(k int) error {
		o := *fit
		if len(r.nets) > 1 {
			o.Workers = 1
		}
		var err error
		r.nets[k], weights[k], losses[k], err = trainRatio(ctx, u, f, group, &ratio, &o, rng.New(seed, uint64(k)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sbi: NRE: %w", err)
	}
	if err := r.build(nn.NewParams[float32](rng.New(seed, 0))); err != nil {
		return nil, fmt.Errorf("sbi: NRE: %w", err)
	}
	copy(r.params.Values, slices.Concat(weights...))
	r.ValidLoss = stat.Mean(losses, nil)
	r.Valid, err = validityOf(ctx, pri, table, seed)
	return r, err
}

// Given returns the posterior density given independent repeats of the
// experiment, one or more: each y has one, or several side by side if there is a
// RepeatSize. If there is none, or if one has not as many elements
// as the data of the table or one that is not finite, Sample and Evaluate say
// so.
func (r *NeuralRatio) Given(y ...[]float64) *LearnedTarget {
	_, dt := Coordinates(r.Prior).Dims()
	_, data, err := r.Features.repeats(y, r.RepeatSize, len(r.nets[0].Mean)-dt)
	if err != nil {
		return newLearnedTarget(r.Prior, nil, err)
	}
	return newLearnedTarget(r.Prior, func(dst []float64, score, u *mat.Dense) error {
		clear(dst)
		if score != nil {
			score.Zero()
		}
		for _, row := range data {
			r.addLogRatio(dst, score, u, row.RawRowView(0))
		}
		if r.Valid != nil {
			r.Valid.add(dst, score, u, len(y))
		}
		return nil
	}, nil)
}

// trainRatio trains a network and returns it with its weights and its mean loss
// on the rows for validation. Groups of rows have the same parameters.
func trainRatio(ctx context.Context, theta, y *mat.Dense, group int, o *Ratio, fit *flow.FitOptions, src *rng.Source) (*ratioNet, []float32, float64, error) {
	seed := rng.Seed(src)
	n, dt := theta.Dims()
	_, dy := y.Dims()
	fraction := fit.Validation
	if fraction == 0 {
		fraction = 0.1
	}
	train, valid := optim.Split(n/group, math.Max(fraction, 0), rng.New(seed, 0))
	if len(train) <= o.Classes || len(valid) > 0 && len(valid) <= o.Classes {
		return nil, nil, 0, fmt.Errorf("%d rows for training and %d for validation are too few for %d classes", len(train), len(valid), o.Classes)
	}
	train, valid = inGroups(train, group), inGroups(valid, group)
	params := nn.NewParams[float32](rng.New(seed, 1))
	r := new(ratioNet)
	for _, part := range []*mat.Dense{theta, y} {
		mean, sd := moments(selectRows(part, train))
		r.Mean, r.Scale = append(r.Mean, mean...), append(r.Scale, sd...)
	}
	r.build(params, "net", o.Width, o.Blocks)
	if err := params.Err(); err != nil {
		return nil, nil, 0, err
	}
	xs, ys := make([]float32, n*dt), make([]float32, n*dy)
	standardize(xs, theta, r.Mean[:dt], r.Scale[:dt])
	standardize(ys, y, r.Mean[dt:], r.Scale[dt:])

	s := &optim.Settings{
		Batch: fit.Batch, Epochs: fit.Epochs, Adam: optim.Adam{Rate: fit.Rate, Decay: 0}, Clip: fit.Clip, EMA: fit.EMA,
		ValidEvery: fit.ValidEvery, Patience: fit.Patience, Drops: max(0, fit.Drops), Src: rng.New(seed, 2), Workers: fit.Workers,
	}
	if s.Batch == 0 {
		s.Batch = min(200, len(train))
	}
	if s.Adam.Rate == 0 {
		s.Adam.Rate = 5e-4
	}
	if s.Patience == 0 {
		s.Patience = 20
	}
	if s.Clip == 0 {
		s.Clip = 5
	}
	if s.EMA == 0 {
		s.EMA = 0.99
	}
	s.Clip, s.EMA = math.Max(s.Clip, 0), math.Max(s.EMA, 0)
	if len(valid) == 0 {
		s.Patience = 0
	}
	if o.Loss == BNRE {
		s.Blocks = 1 // the penalty is of the means of a batch
	}
	if fit.Progress != nil {
		s.Progress = func(p optim.Progress) { fit.Progress(flow.Progress(p)) }
	}
	loss := func(t *autodiff.Tape[float32], b *optim.Block) autodiff.Var {
		pool := train
		if b.Valid {
			pool = valid
		}
		others := map[RatioLoss]int{NREA: 1, BNRE: 1, NREB: o.Classes - 1, NREC: o.Classes}[o.Loss]
		idx := contrasts(b.Rows, pool, group, others, rand.New(b.Src))
		k := 1 + others
		x := t.InputRows(xs, dt, idx)
		c := t.RepeatRows(t.InputRows(ys, dy, b.Rows), k)
		f := t.Reshape(r.net.Forward(t, t.ConcatCols(x, c), 0), len(b.Rows), k)
		return o.loss(t, f)
	}
	tr, err := optim.NewTrainer(params.Values, loss, train, valid, s)
	if err != nil {
		return nil, nil, 0, err
	}
	report, err := tr.Run(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	best := math.NaN()
	for _, p := range report.Curve {
		if !math.IsNaN(p.Best) {
			best = p.Best
		}
	}
	return r, params.Values, best, nil
}

// contrasts returns for each row its number and those of others in the pool,
// of other groups than it and each other.
func contrasts(rows, pool []int, group, others int, r *rand.Rand) []int {
	idx := make([]int, 0, len(rows)*(others+1))
	for _, i := range rows {
		from := len(idx)
	next:
		for idx = append(idx, i); len(idx) <= from+others; {
			j := pool[r.IntN(len(pool))]
			for _, v := range idx[from:] {
				if v/group == j/group {
					continue next
				}
			}
			idx = append(idx, j)
		}
	}
	return idx
}

// loss records the losses of rows with the outputs f: the first column for the
// parameters that belong to the data, the others for some that do not.
func (o *Ratio) loss(t *autodiff.Tape[float32], f autodiff.Var) autodiff.Var {
	_, k := t.Dims(f)
	own := t.Cols(f, 0, 1)
	switch o.Loss {
	case NREB: // -log softmax
		return t.Sub(t.LogSumExp(f), own)
	case NREA, BNRE: // binary cross-entropy of a true pair and a false one
		other := t.Cols(f, 1, 2)
		bce := t.Scale(0.5, t.Add(t.Softplus(t.Neg(own)), t.Softplus(other)))
		if o.Loss == NREA {
			return bce
		}
		balance := t.AddConst(t.Add(t.Mean(t.Sigmoid(own)), t.Mean(t.Sigmoid(other))), -1)
		return t.Add(bce, t.Scale(float32(o.Lambda), t.Square(balance)))
	}
	// NRE-C, equation 7: with K false parameters all pairs are independent;
	// with K - 1 and the true one, one is dependent.
	logK, logGamma := float32(math.Log(float64(k-1))), float32(math.Log(o.Gamma))
	rows, _ := t.Dims(f)
	none := t.Fill(rows, 1, logK)
	g := t.AddConst(f, logGamma)
	independent := t.Sub(t.LogSumExp(t.ConcatCols(t.Cols(g, 1, k), none)), none)
	dependent := t.Sub(t.LogSumExp(t.ConcatCols(t.Cols(g, 0, k-1), none)), t.Cols(g, 0, 1))
	p0 := float32(1 / (1 + o.Gamma))
	return t.Add(t.Scale(p0, independent), t.Scale(1-p0, dependent))
}
