package flow

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// FitOptions are the options of [Fit]. Zero values mean the defaults, which
// for the numbers of the optimiser are those of the architecture.
type FitOptions struct {
	// Validation is the fraction of the rows, drawn at random, on which early
	// stopping judges. If it is 0, it will be defaulted to 0.1; if it is
	// negative, there is no validation and the last weights are the result.
	Validation float64
	// ValidationRows are the numbers of the rows for validation. If it is not
	// nil, Validation is not used.
	ValidationRows []int

	// Batch is the number of rows of a step. If it is 0, it will be defaulted
	// to 200 (MAF, NSF, Coupling, MDN, MADE, Counts), 64 (COT, PCPMap) or 256
	// (Matching, Diffusion), or the number of training rows if that is less.
	Batch int
	// Epochs limits the passes through the training rows. If it is 0, it will
	// be defaulted to 1000 or, if there are rows for validation, to as many as
	// make 10,000 steps if that is more.
	Epochs int
	// Rate is the learning rate of Adam. If it is 0, it will be defaulted to
	// 5e-4 (MAF, NSF, Coupling, MDN, MADE, Counts), 1e-3 (Matching, Diffusion) or 5e-3
	// (COT, PCPMap).
	Rate float64
	// Patience is the number of validations without improvement after which
	// the rate drops or training ends. If it is 0, it will be defaulted to 20, or
	// 10 for Diffusion.
	Patience int
	// Drops is how often the rate is halved when Patience is at an end, before
	// training ends. If it is 0, it will be defaulted to none (MAF, NSF,
	// Coupling, MDN, MADE, Counts), 1 (Diffusion), 2 (Matching) or 3 (COT, PCPMap); if
	// it is negative, there are none.
	Drops int
	// ValidEvery is the number of steps between validations. If it is 0, it
	// will be defaulted to those of an epoch, at least 5, 20 for COT and PCPMap
	// or 100 for Matching and Diffusion.
	ValidEvery int
	// Clip is the norm that gradients are cut down to. If it is 0, it will be
	// defaulted to 5, but for COT and PCPMap, whose gradients are taken as they
	// are, as all are if it is negative.
	Clip float64
	// EMA is the decay of an exponential average of the weights, which is
	// validated and is the result. If it is 0, it will be defaulted to 0.999
	// (Matching, Diffusion) or none; if it is negative, there is none.
	EMA float64

	// Weights are those of the rows in the mean that is the loss; only their
	// ratios matter. If it is nil, they are equal. COT cannot have any.
	Weights []float64
	// Proposal, if not nil, says that the rows of x have not been drawn from
	// the distribution that the result is to have for a prior.
	Proposal *Proposal
	// Regress makes the flow one of the residuals of a linear regression of x on
	// y, with a ridge that generalised cross-validation chooses: what is linear
	// need not be learned by gradient descent. It is in the coordinates of the
	// network, unconstrained ones if there is a Transform, and with an Embedding
	// on y as it is. It cannot be had with a Proposal, nor by MADE or Counts.
	Regress bool
	// Start, if not nil, is a flow of the same architecture and dimensions
	// whose weights and standardisation training begins with.
	Start *Flow

	// Transform is the target space: the density has the support of
	// Transform, and the network works in its unconstrained coordinates, so
	// that no draw can leave the support. [prior.TransformOf] gives that of a
	// prior. If it is nil, x is unbounded. MADE and Counts cannot have one.
	Transform prior.Transform
	// Embedding is a network that makes the condition from y, trained together
	// with the flow. If it is nil, y itself, standardised, is the condition.
	Embedding Embedding
	// Float64 makes the network work in float64 instead of float32, which is
	// slower and inverts to rounding errors of float64.
	Float64 bool

	// Src is the source of all randomness. If it is nil, a fresh seed is used.
	Src rand.Source
	// Workers is the number of goroutines. If it is 0, it will be defaulted to
	// GOMAXPROCS. The result does not depend on it.
	Workers int
	// Progress, if not nil, is called after each validation.
	Progress func(Progress)
	// Checkpoint, if not nil, is called every CheckpointEvery steps, or after
	// each validation if that is 0, with a function that writes the state of
	// the training.
	Checkpoint      func(save func(w io.Writer) error) error
	CheckpointEvery int
	// Resume, if not nil, has a state that Checkpoint wrote in a call of Fit
	// with the same architecture, data and options. Training continues as if
	// it had not been interrupted, whatever Src is.
	Resume io.Reader
}

// Progress is the state of a training.
type Progress struct {
	Step, Epoch int
	Train       float64 // mean loss since the last report
	Valid       float64 // NaN without validation
	Best        float64 // lowest Valid so far, NaN without validation
	Rate        float64 // learning rate
	GradNorm    float64 // of the last step, before clipping
	Elapsed     time.Duration
}

// Report is the outcome of a training.
type Report struct {
	// Curve are the losses as training went on: of the standardised and
	// unconstrained x, in nats a row.
	Curve []Progress
	Steps int
	Best  int // the step whose weights are the result
	// ValidNLL is the mean of -log q(x|y) over the validation rows, in the
	// units of x: what flows of any architecture can be compared by. It is NaN
	// without validation.
	ValidNLL   float64
	TrainRows  int
	ValidRows  int
	Parameters int    // number of weights
	Reason     string // why training ended
	Elapsed    time.Duration
}

// NonFiniteError is the error of a training whose loss or gradient turned NaN
// or infinite. The flow that [Fit] returns with it has the best weights of the
// validations before, or the last finite ones if there were none.
type NonFiniteError struct {
	What string  // "loss", "gradient" or "validation loss"
	Step int     // counted from 1
	Loss float64 // of that step
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("flow: the %s is not finite at step %d (loss %g); lower Rate or Clip, or check the data for outliers", e.What, e.Step, e.Loss)
}

// withDefaults fills in defaults.
func (o FitOptions) withDefaults(t training) FitOptions {
	if o.Patience == 0 {
		o.Patience = t.patience
	}
	if o.Rate == 0 {
		o.Rate = t.rate
	}
	if o.Drops == 0 {
		o.Drops = t.drops
	}
	if o.Clip == 0 {
		o.Clip = t.clip
	}
	if o.EMA == 0 {
		o.EMA = t.ema
	}
	o.Drops, o.Clip, o.EMA = max(o.Drops, 0), max(o.Clip, 0), max(o.EMA, 0)
	return o
}

// split returns the rows for training and for validation of n.
func (o *FitOptions) split(n int, src rand.Source) (train, valid []int, err error) {
	if o.ValidationRows == nil {
		f := o.Validation
		switch {
		case f == 0:
			f = 0.1
		case f < 0:
			f = 0
		case !(f < 1):
			return nil, nil, fmt.Errorf("flow: Validation is %g, want it below 1", f)
		}
		train, valid = optim.Split(n, f, src)
	} else {
		in := make([]bool, n)
		for i, r := range o.ValidationRows {
			if r < 0 || r >= n || in[r] {
				return nil, nil, fmt.Errorf("flow: ValidationRows[%d] is %d, want different numbers from 0 to %d", i, r, n-1)
			}
			in[r] = true
		}
		valid = slices.Clone(o.ValidationRows)
		for r := range n {
			if !in[r] {
				train = append(train, r)
			}
		}
	}
	if len(train) < 2 {
		return nil, nil, fmt.Errorf("flow: %d rows are left for training, want at least 2", len(train))
	}
	return train, valid, nil
}

// settings returns the settings of the optimiser.
func (o *FitOptions) settings(train, valid int, t training, seed uint64) (*optim.Settings, error) {
	s := &optim.Settings{
		Batch:           o.Batch,
		Epochs:          o.Epochs,
		Adam:            optim.Adam{Rate: o.Rate},
		Clip:            o.Clip,
		EMA:             o.EMA,
		ValidEvery:      o.ValidEvery,
		Patience:        o.Patience,
		Drops:           o.Drops,
		Src:             rng.New(seed, streamTrain),
		Workers:         o.Workers,
		CheckpointEvery: o.CheckpointEvery,
	}
	if s.Batch == 0 {
		s.Batch = min(t.batch, train)
	}
	if s.ValidEvery == 0 {
		s.ValidEvery = max(t.validEvery, (train+s.Batch-1)/s.Batch)
	}
	if s.Batch > train {
		return nil, fmt.Errorf("flow: Batch is %d and there are only %d rows for training", s.Batch, train)
	}
	if valid == 0 {
		s.Patience = 0
	} else if s.Epochs == 0 {
		perEpoch := (train + s.Batch - 1) / s.Batch
		s.Epochs = max(1000, 10_000/perEpoch)
	}
	if o.Progress != nil {
		s.Progress = func(p optim.Progress) { o.Progress(Progress(p)) }
	}
	return s, nil
}

// newReport returns what the optimiser reported.
func newReport(r *optim.Report) Report {
	out := Report{Steps: r.Steps, Best: r.Best, Reason: r.Reason, Elapsed: r.Elapsed, ValidNLL: math.NaN()}
	for _, p := range r.Curve {
		out.Curve = append(out.Curve, Progress(p))
	}
	return out
}

// Streams of random numbers that derive from one seed.
const (
	streamSplit = iota
	streamInit
	streamTrain
)
