package flow

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// SearchOptions are the options of [Search]. Zero values mean the defaults.
type SearchOptions struct {
	// Trials is the number of candidates, 27 if 0.
	Trials int
	// Keep is the number of candidates that are trained to the end, 3 if 0.
	Keep int
	// Epochs is the number of epochs that all candidates are trained for, 20
	// if 0.
	Epochs int
	// Eta is the factor by which the number of candidates falls and that of
	// epochs rises from each rung to the next, 3 if 0.
	Eta int
	// Propose draws a candidate: it returns an architecture and may change the
	// options o, which begin as Fit. If it is nil, candidates are MDN, MAF,
	// Coupling and NSF of various sizes, rates and batches.
	Propose func(r *rand.Rand, o *FitOptions) Architecture
	// Fit are the options that all candidates share, among them Src, Workers,
	// Transform and the rows for validation, which all have in common.
	// Checkpoint, Resume and Progress are not used.
	Fit FitOptions
	// Progress, if not nil, is called after each training of a candidate, one
	// call at a time.
	Progress func(done, total int)
}

// Trial is a candidate of a [Search].
type Trial struct {
	Architecture Architecture // with the defaults filled in
	Options      FitOptions
	ValidNLL     float64 // when it was last judged, +Inf if training failed
	Steps        int     // of training until then
	Flow         *Flow   // nil if it was dropped
	Err          error   // why training failed

	state bytes.Buffer
}

// Search looks for a good architecture and good options by random trials with
// successive halving (Jamieson and Talwalkar 2016): all candidates are trained
// for a few epochs, the best third of them for three times as many, and so on,
// until the last Keep are trained to the end. Judge is the mean of -log q(x|y)
// over the same rows for validation.
//
// The trials are returned best first; the first Keep have a flow, so that
// their mixture is one call of [NewEnsemble] away. Candidates are trained in
// parallel, and the outcome does not depend on the number of workers.
func Search(ctx context.Context, x, y *mat.Dense, options *SearchOptions) ([]*Trial, error) {
	if options == nil {
		options = &SearchOptions{}
	}
	o := *options
	if err := errors.Join(
		count("Search", "Trials", &o.Trials, 27, 1),
		count("Search", "Keep", &o.Keep, min(3, o.Trials), 1),
		count("Search", "Epochs", &o.Epochs, 20, 1),
		count("Search", "Eta", &o.Eta, 3, 2),
	); err != nil {
		return nil, err
	}
	if o.Keep > o.Trials {
		return nil, fmt.Errorf("flow: Search: Keep is %d and Trials is %d", o.Keep, o.Trials)
	}
	if x == nil {
		return nil, errors.New("flow: Search: x is nil")
	}
	if o.Propose == nil {
		n, _ := x.Dims()
		o.Propose = func(r *rand.Rand, o *FitOptions) Architecture { return propose(r, o, n) }
	}
	seed := rng.Seed(o.Fit.Src)
	trials, err := o.candidates(x, seed)
	if err != nil {
		return nil, err
	}
	// The number of candidates and of epochs on each rung; 0 is as many as it takes.
	type rung struct{ trials, epochs int }
	var rungs []rung
	total := 0
	for n, e := o.Trials, o.Epochs; n > o.Keep; n, e = max(o.Keep, n/o.Eta), e*o.Eta {
		rungs = append(rungs, rung{n, e})
	}
	rungs = append(rungs, rung{o.Keep, 0})
	for _, r := range rungs {
		total += r.trials
	}
	progress := par.NewProgress(total, o.Progress)
	for _, r := range rungs {
		alive := trials[:r.trials]
		err := par.Each(ctx, o.Fit.Workers, len(alive), func(i int) error {
			defer progress.Add(1)
			return alive[i].train(ctx, x, y, r.epochs)
		})
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(alive, func(a, b *Trial) int { return cmp.Compare(a.ValidNLL, b.ValidNLL) })
	}
	for _, t := range trials[o.Keep:] {
		t.Flow = nil
	}
	for _, t := range trials {
		t.state = bytes.Buffer{}
	}
	if err := trials[0].Err; err != nil {
		return nil, fmt.Errorf("flow: Search: no candidate could be trained; the first failed by: %w", err)
	}
	return trials, nil
}

// candidates draws the trials.
func (o *SearchOptions) candidates(x *mat.Dense, seed uint64) ([]*Trial, error) {
	n, _ := x.Dims()
	_, valid, err := o.Fit.split(n, rng.New(seed, 0))
	if err != nil {
		return nil, err
	}
	if len(valid) == 0 {
		return nil, errors.New("flow: Search: there are no rows for validation")
	}
	trials := make([]*Trial, o.Trials)
	for i := range trials {
		t := &Trial{Options: o.Fit, ValidNLL: math.Inf(1)}
		t.Architecture = o.Propose(rand.New(rng.New(seed, uint64(2*i+1))), &t.Options)
		t.Options.ValidationRows, t.Options.Workers, t.Options.Progress = valid, 1, nil
		t.Options.Src = rng.New(seed, uint64(2*i+2))
		trials[i] = t
	}
	return trials, nil
}

// train goes on until the trial has been trained for a number of epochs in
// all, or to its end if epochs is 0, and judges it. Only the end of ctx is an
// error.
func (t *Trial) train(ctx context.Context, x, y *mat.Dense, epochs int) error {
	if t.Err != nil {
		return nil
	}
	o := t.Options
	o.CheckpointEvery = 0
	if epochs > 0 && (o.Epochs == 0 || epochs < o.Epochs) {
		o.Epochs = epochs
	}
	var state bytes.Buffer
	o.Checkpoint = func(save func(io.Writer) error) error {
		state.Reset()
		return save(&state)
	}
	o.Resume = nil
	if t.state.Len() > 0 {
		o.Resume = bytes.NewReader(t.state.Bytes())
	}
	f, err := Fit(ctx, t.Architecture, x, y, &o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if state.Len() > 0 { // else training had ended before
		t.state = state
	}
	t.Err = err
	t.ValidNLL = math.Inf(1)
	if err == nil {
		t.Flow, t.Architecture = f, f.arch
		t.Steps = f.report.Steps
		if v := f.report.ValidNLL; !math.IsNaN(v) {
			t.ValidNLL = v
		}
	}
	return nil
}

// propose draws an architecture and options for n rows.
func propose(r *rand.Rand, o *FitOptions, n int) Architecture {
	pick := func(values ...int) int { return values[r.IntN(len(values))] }
	o.Rate = math.Exp(math.Log(5e-4) + r.Float64()*math.Log(10))
	o.Batch = pick(32, 64, 128, 200)
	for o.Batch > n/8 && o.Batch > 8 {
		o.Batch /= 2
	}
	// Few rows make short epochs: Patience is for 600 steps at least.
	o.Patience, o.Drops = max(30, 600*o.Batch/n), 3
	width, depth := pick(32, 50, 64, 128), pick(2, 2, 3)
	hidden := make([]int, depth)
	for i := range hidden {
		hidden[i] = width
	}
	transforms, bins, bound := pick(1, 2, 3, 5), pick(6, 8, 10, 16), float64(pick(3, 4, 5))
	switch r.IntN(5) {
	case 0:
		return MDN{Components: pick(1, 2, 4, 8, 16), Hidden: hidden}
	case 1:
		return MAF{Transforms: transforms, Hidden: hidden}
	case 2:
		return Coupling{Transforms: 2 * transforms, Width: width, Blocks: depth - 1}
	case 3:
		return NSF{Transforms: transforms, Bins: bins, Width: width, Blocks: depth - 1, Bound: bound}
	default:
		return NSF{Transforms: transforms, Bins: bins, Width: width, Blocks: depth, Bound: bound, Autoregressive: true}
	}
}
