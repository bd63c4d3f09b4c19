package optim

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// Settings are the settings of a training run. Zero values mean the defaults.
type Settings struct {
	Batch  int // rows of a minibatch, 128 if 0; an epoch is cut evenly into as many as that takes
	Epochs int // passes through the data, 1000 if 0
	Steps  int // the run ends after so many steps; 0 means no limit

	Adam     Adam
	Schedule Schedule // of the learning rate, Constant if nil
	Clip     float64  // the gradient is scaled down to this norm where it is larger; 0 means never
	EMA      float64  // decay of an exponential average of the weights that is the result, 0 for none

	ValidEvery int     // steps between validations; 0 means once an epoch
	Patience   int     // validations without improvement that end the run; 0 means never
	Drops      int     // as often, multiply the rate by DropFactor instead of ending
	DropFactor float64 // 0.5 if 0

	Src     rand.Source // nil means a freshly seeded one
	Workers int         // 0 means GOMAXPROCS
	Blocks  int         // row blocks of a minibatch, at most 64; 0 means by its size; the weights depend on it in the last digits

	Progress        func(Progress)                           // called after each validation, or each epoch if there is none
	Checkpoint      func(save func(w io.Writer) error) error // called with a function that writes the state
	CheckpointEvery int                                      // steps between calls of Checkpoint; 0 means with Progress
}

// Adam are the constants of Adam (Kingma and Ba 2015) or, with a Decay, of
// AdamW (Loshchilov and Hutter 2019).
type Adam struct {
	Rate         float64 // learning rate, 1e-3 if 0
	Beta1, Beta2 float64 // 0.9 and 0.999 if 0
	Eps          float64 // 1e-8 if 0
	Decay        float64 // of the weights
}

// Progress is the state of a run.
type Progress struct {
	Step, Epoch int
	Train       float64 // mean loss since the last report
	Valid       float64 // NaN without validation rows
	Best        float64 // lowest Valid so far, NaN without validation rows
	Rate        float64 // learning rate
	GradNorm    float64 // of the last step, before clipping
	Elapsed     time.Duration
}

// Report is the outcome of a run.
type Report struct {
	Curve   []Progress // as reported
	Steps   int
	Best    int    // step whose weights are the result
	Reason  string // why the run ended
	Elapsed time.Duration
}

// Schedule gives a factor of the learning rate for each step.
type Schedule interface {
	// Factor returns the factor for step (from 0) of a run of at most steps.
	Factor(step, steps int) float64
}

// Constant is a rate that does not change.
type Constant struct{}

// Factor returns 1.
func (Constant) Factor(int, int) float64 { return 1 }

// Cosine rises linearly over Warmup steps, then falls to Floor times the rate
// along half a cosine (Loshchilov and Hutter 2017).
type Cosine struct {
	Warmup int
	Floor  float64
}

// Factor returns the factor for a step.
func (c Cosine) Factor(step, steps int) float64 {
	if step < c.Warmup {
		return float64(step+1) / float64(c.Warmup)
	}
	u := float64(step-c.Warmup) / math.Max(1, float64(steps-c.Warmup))
	return c.Floor + (1-c.Floor)*0.5*(1+math.Cos(math.Pi*math.Min(u, 1)))
}

// NonFiniteError reports a loss or gradient that is not a finite number. The
// weights are those of the best validation, or those before the last update.
type NonFiniteError struct {
	What string  // "loss", "gradient" or "validation loss"
	Step int     // step, counted from 1
	Loss float64 // of that step
}

func (e *NonFiniteError) Error() string {
	return fmt.Sprintf("optim: the %s is not finite at step %d (loss %g); lower the learning rate, clip the gradient, or check the data", e.What, e.Step, e.Loss)
}

// Split divides the rows 0 to n-1 at random into rows for training and, a
// fraction of them rounded, for validation, of which there is at least one if
// fraction > 0 and n > 1.
func Split(n int, fraction float64, src rand.Source) (train, valid []int) {
	rows := rand.New(rng.Or(src)).Perm(n)
	k := int(math.Round(fraction * float64(n)))
	if fraction > 0 {
		k = min(max(k, 1), n-1)
	}
	k = max(k, 0)
	return rows[k:], rows[:k:k]
}

// withDefaults checks the settings and fills in defaults.
func (s Settings) withDefaults() (Settings, error) {
	count := func(name string, v *int, to int) error {
		if *v < 0 {
			return fmt.Errorf("optim: %s is %d, want at least 0", name, *v)
		}
		if *v == 0 {
			*v = to
		}
		return nil
	}
	inside := func(name string, v *float64, to, hi float64) error {
		if !(*v >= 0 && *v < hi) {
			return fmt.Errorf("optim: %s is %g, want at least 0 and below %g", name, *v, hi)
		}
		if *v == 0 {
			*v = to
		}
		return nil
	}
	if s.Schedule == nil {
		s.Schedule = Constant{}
	}
	if s.Blocks > maxBlocks {
		return s, fmt.Errorf("optim: Blocks is %d, want at most %d", s.Blocks, maxBlocks)
	}
	inf := math.Inf(1)
	return s, errors.Join(
		count("Batch", &s.Batch, 128),
		count("Epochs", &s.Epochs, 1000),
		count("Steps", &s.Steps, 0),
		count("Blocks", &s.Blocks, 0),
		count("ValidEvery", &s.ValidEvery, 0),
		count("Patience", &s.Patience, 0),
		count("Drops", &s.Drops, 0),
		count("CheckpointEvery", &s.CheckpointEvery, 0),
		inside("DropFactor", &s.DropFactor, 0.5, 1),
		inside("Clip", &s.Clip, 0, inf),
		inside("EMA", &s.EMA, 0, 1),
		inside("Adam.Rate", &s.Adam.Rate, 1e-3, inf),
		inside("Adam.Beta1", &s.Adam.Beta1, 0.9, 1),
		inside("Adam.Beta2", &s.Adam.Beta2, 0.999, 1),
		inside("Adam.Eps", &s.Adam.Eps, 1e-8, inf),
		inside("Adam.Decay", &s.Adam.Decay, 0, inf),
	)
}

// step returns the kernel's description of an update.
func (a Adam) step(t int, rate, gradScale float64) kernel.AdamStep {
	return kernel.AdamStep{Step: t, Rate: rate, Beta1: a.Beta1, Beta2: a.Beta2, Eps: a.Eps, Decay: a.Decay, GradScale: gradScale}
}
