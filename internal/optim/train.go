package optim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// Trainer is a training run.
type Trainer[T kernel.Float] struct {
	// AfterStep, if not nil, is called after each update with the flat vector
	// of weights, which it may change: to project them on a set of constraints,
	// say. No loss is being computed meanwhile.
	AfterStep func(weights []T)

	s      Settings
	loss   Loss[T]
	result []T
	train  []int
	valid  []int
	order  []int     // of the current epoch
	prints [2]string // fingerprints of train and valid
	state  state
	w      vectors[T]

	// What the current update works with.
	grad         []T
	adam         kernel.AdamStep
	decay        T
	adamChunk    func(lo, hi int)
	averageChunk func(lo, hi int)
	started      time.Time
}

// state is what changes in a run, but for the vectors.
type state struct {
	Seed    uint64
	Step    int
	Sum     float64 // of the losses since the last report
	Count   int     // of the steps in it
	Best    float64 // lowest validation loss, NaN before the first
	BestAt  int     // its step
	Stale   int     // validations since then
	Dropped int     // reductions of the rate
	Stopped string  // why the run has ended early
	Curve   []Progress
	Elapsed time.Duration
}

// vectors are the flat vectors of a run.
type vectors[T kernel.Float] struct {
	weights, m, v, last, ema, best []T
}

// NewTrainer returns a run that starts at the weights in values and leaves
// its result there. The rows in train and valid are numbers that loss knows
// what to do with; without rows in valid there is no validation, and the
// result are the last weights.
func NewTrainer[T kernel.Float](values []T, loss Loss[T], train, valid []int, settings *Settings) (*Trainer[T], error) {
	if settings == nil {
		settings = &Settings{}
	}
	s, err := settings.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(train) == 0 {
		return nil, fmt.Errorf("optim: no rows to train on")
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("optim: no weights to train")
	}
	if s.Patience > 0 && len(valid) == 0 {
		return nil, fmt.Errorf("optim: Patience is %d but there are no rows for validation", s.Patience)
	}
	t := &Trainer[T]{s: s, loss: loss, result: values, train: train, valid: valid}
	t.order = make([]int, len(train))
	t.prints = [2]string{fingerprint(train), fingerprint(valid)}
	t.state = state{Seed: rng.Seed(s.Src), Best: math.NaN()}
	clone := func() []T { return append([]T(nil), values...) }
	t.w = vectors[T]{weights: clone(), m: make([]T, len(values)), v: make([]T, len(values)), last: clone()}
	if s.EMA > 0 {
		t.w.ema = clone()
	}
	if len(valid) > 0 {
		t.w.best = clone()
	}
	t.adamChunk, t.averageChunk = t.runAdamChunk, t.runAverageChunk
	return t, nil
}

// steps returns the numbers of steps in an epoch and in the whole run.
func (t *Trainer[T]) steps() (epoch, all int) {
	epoch = (len(t.train) + t.s.Batch - 1) / t.s.Batch
	all = epoch * t.s.Epochs
	if t.s.Steps > 0 {
		all = min(all, t.s.Steps)
	}
	return epoch, all
}

// Run trains until the settings or ctx end it. Whatever the reason, the best
// weights so far are then in the caller's vector, and the report says how it
// went. After the end of ctx, Run may be called again to continue.
func (t *Trainer[T]) Run(ctx context.Context) (*Report, error) {
	e := newEngine(t.loss, len(t.result), &t.s, t.state.Seed)
	defer e.close()
	t.started = time.Now().Add(-t.state.Elapsed)
	err := t.run(ctx, e)
	t.state.Elapsed = time.Since(t.started)
	r := &Report{Curve: t.state.Curve, Steps: t.state.Step, Best: t.finish(), Reason: t.state.Stopped, Elapsed: t.state.Elapsed}
	switch {
	case err != nil:
		r.Reason = err.Error()
	case r.Reason == "":
		r.Reason = "all steps are done"
	}
	return r, err
}

func (t *Trainer[T]) run(ctx context.Context, e *engine[T]) error {
	perEpoch, all := t.steps()
	every := t.s.ValidEvery
	if every == 0 {
		every = perEpoch
	}
	t.shuffle(t.state.Step / perEpoch)
	for t.state.Stopped == "" && t.state.Step < all {
		if err := ctx.Err(); err != nil {
			return err
		}
		norm, err := t.step(e)
		if err != nil {
			return err
		}
		report := t.state.Step%every == 0 || t.state.Step == all
		if report {
			if err := t.report(e, norm); err != nil {
				return err
			}
		}
		if t.s.Checkpoint != nil && (t.s.CheckpointEvery > 0 && t.state.Step%t.s.CheckpointEvery == 0 || t.s.CheckpointEvery == 0 && report) {
			if err := t.s.Checkpoint(t.Save); err != nil {
				return fmt.Errorf("optim: checkpoint at step %d: %w", t.state.Step, err)
			}
		}
		if t.state.Step%perEpoch == 0 {
			t.shuffle(t.state.Step / perEpoch)
		}
	}
	return nil
}

// shuffle puts the rows into the order of an epoch (Fisher and Yates).
func (t *Trainer[T]) shuffle(epoch int) {
	copy(t.order, t.train)
	r := rand.New(rng.New(t.state.Seed, streamShuffle+uint64(epoch)))
	for i := len(t.order) - 1; i > 0; i-- {
		j := r.IntN(i + 1)
		t.order[i], t.order[j] = t.order[j], t.order[i]
	}
}

// step makes one update and returns the norm of the gradient.
func (t *Trainer[T]) step(e *engine[T]) (norm float64, err error) {
	perEpoch, _ := t.steps()
	k := t.state.Step
	at, n := k%perEpoch, len(t.order)
	loss, norm, err := e.gradient(t.w.weights, t.order[at*n/perEpoch:(at+1)*n/perEpoch], k)
	if err != nil {
		return 0, fmt.Errorf("optim: step %d: %w", k+1, err)
	}
	for _, c := range [2]struct {
		what string
		v    float64
	}{{"loss", loss}, {"gradient", norm}} {
		if math.IsNaN(c.v) || math.IsInf(c.v, 0) {
			copy(t.w.weights, t.w.last)
			t.state.Stopped = "the " + c.what + " is not finite"
			return 0, &NonFiniteError{c.what, k + 1, loss}
		}
	}
	t.adam = t.s.Adam.step(k+1, t.rate(), 1)
	if t.s.Clip > 0 && norm > t.s.Clip {
		t.adam.GradScale = t.s.Clip / norm
	}
	t.grad = e.grads[0]
	if err := e.apply(t.adamChunk); err != nil {
		return 0, err
	}
	if t.AfterStep != nil {
		t.AfterStep(t.w.weights)
	}
	if t.w.ema != nil {
		t.decay = T(math.Min(t.s.EMA, float64(1+k)/float64(10+k))) // the start is forgotten faster
		if err := e.apply(t.averageChunk); err != nil {
			return 0, err
		}
	}
	t.state.Sum += loss
	t.state.Count++
	t.state.Step++
	return norm, nil
}

// rate returns the learning rate of the current step.
func (t *Trainer[T]) rate() float64 {
	_, all := t.steps()
	return t.s.Adam.Rate * t.s.Schedule.Factor(t.state.Step, all) * math.Pow(t.s.DropFactor, float64(t.state.Dropped))
}

func (t *Trainer[T]) runAdamChunk(lo, hi int) {
	w := t.w.weights[lo:hi]
	copy(t.w.last[lo:hi], w)
	kernel.Adam(w, t.w.m[lo:hi], t.w.v[lo:hi], t.grad[lo:hi], t.adam)
}

// runAverageChunk sets ema to decay ema + (1 - decay) weights.
func (t *Trainer[T]) runAverageChunk(lo, hi int) {
	a := t.w.ema[lo:hi]
	kernel.Scale(a, t.decay, a)
	kernel.Axpy(a, 1-t.decay, t.w.weights[lo:hi])
}

// report validates, decides whether the run goes on, and tells the caller.
func (t *Trainer[T]) report(e *engine[T], norm float64) error {
	st := &t.state
	perEpoch, _ := t.steps()
	p := Progress{
		Step:     st.Step,
		Epoch:    (st.Step + perEpoch - 1) / perEpoch,
		Train:    st.Sum / float64(st.Count),
		Valid:    math.NaN(),
		Rate:     t.adam.Rate,
		GradNorm: norm,
	}
	st.Sum, st.Count = 0, 0
	if len(t.valid) > 0 {
		var err error
		if p.Valid, err = e.meanLoss(t.averaged(), t.valid, st.Step); err != nil {
			return fmt.Errorf("optim: validation at step %d: %w", st.Step, err)
		}
		if math.IsNaN(p.Valid) || math.IsInf(p.Valid, 0) {
			copy(t.w.weights, t.w.last)
			st.Stopped = "the validation loss is not finite"
			return &NonFiniteError{"validation loss", st.Step, p.Valid}
		}
		t.judge(p.Valid)
	}
	p.Best = st.Best
	p.Elapsed = time.Since(t.started)
	st.Elapsed = p.Elapsed
	st.Curve = append(st.Curve, p)
	if t.s.Progress != nil {
		t.s.Progress(p)
	}
	return nil
}

// judge compares a validation loss with the best one.
func (t *Trainer[T]) judge(valid float64) {
	st := &t.state
	if math.IsNaN(st.Best) || valid < st.Best {
		st.Best, st.BestAt, st.Stale = valid, st.Step, 0
		copy(t.w.best, t.averaged())
		return
	}
	if st.Stale++; t.s.Patience == 0 || st.Stale < t.s.Patience {
		return
	}
	if st.Dropped < t.s.Drops {
		st.Dropped++
		st.Stale = 0
		return
	}
	st.Stopped = fmt.Sprintf("no improvement in %d validations", st.Stale)
}

// averaged returns the weights that are validated.
func (t *Trainer[T]) averaged() []T {
	if t.w.ema != nil {
		return t.w.ema
	}
	return t.w.weights
}

// finish puts the result into the caller's vector and returns its step.
func (t *Trainer[T]) finish() int {
	if !math.IsNaN(t.state.Best) {
		copy(t.result, t.w.best)
		return t.state.BestAt
	}
	copy(t.result, t.averaged())
	return t.state.Step
}
