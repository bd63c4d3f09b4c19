package sampler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/mat"
)

// Settings are the options of [Run]. The zero value of a field, and a nil
// *Settings, stand for the default.
type Settings struct {
	// Chains is the number of chains. If Chains is 0, it will be defaulted
	// to 4.
	Chains int
	// Warmup is the number of iterations of a chain in which it adapts and
	// that are not kept. If Warmup is 0, it will be defaulted to 400 for NUTS
	// and HMC with a metric that is estimated from scores, and to 1000 for all
	// else; a negative value means none.
	Warmup int
	// Draws is the number of draws kept of each chain. If Draws is 0, it will
	// be defaulted to 1000.
	Draws int
	// Thin is the number of iterations made for each draw that is kept. If
	// Thin is 0, it will be defaulted to 1.
	Thin int

	// Init holds the points that the chains start from, one row a chain or
	// one row for all, in the target's own space. If Init is nil, a kernel that
	// uses value and score starts from draws of [Pathfinder], whose paths begin
	// at random and are compared by their evidence lower bounds, so that a mode
	// with next to nothing of the mass is left alone. Other kernels, and those
	// where all paths fail, start at random: each coordinate is drawn from
	// U(-2, 2) on the unconstrained space, anew until the target is finite
	// there, at most 100 times, and of the first ten such points the one of the
	// highest density is taken. R-hat can only tell of modes that some chain
	// has found; give points far apart where there may be others.
	Init *mat.Dense
	// Transform takes the target's bounded parameters to the whole space, in
	// which the chains move. Draws are reported in the target's own space. If
	// Transform is nil, the target's method Transform() prior.Transform is
	// used if it has one, and no transform otherwise.
	Transform prior.Transform
	// Names are the names of the parameters. If Names is nil, the target's
	// method Names() []string is used if it has one, and x[1], x[2], ...
	// otherwise.
	Names []string

	// Workers is the number of chains that run at a time. If Workers is 0, it
	// will be defaulted to GOMAXPROCS; 1 suits a target that is not safe for
	// concurrent use.
	Workers int
	// Src seeds the random streams of the chains. If Src is nil, they are
	// seeded afresh.
	Src rand.Source

	// Progress, if not nil, is called about ten times a second while the
	// chains run, and at their end. Calls do not overlap.
	Progress func(Progress)
	// Checkpoint, if not nil, is called about every CheckpointEvery with the
	// run as it stands, to be stored and later given to Resume. An error ends
	// the run. Calls do not overlap.
	Checkpoint func(data []byte) error
	// CheckpointEvery is the time between checkpoints. If CheckpointEvery is
	// 0, it will be defaulted to a minute.
	CheckpointEvery time.Duration
	// Resume, if not nil, is a checkpoint to go on from: the draws are those
	// of the run that was not interrupted, bit for bit. The target and the
	// kernel must be the same, Chains, Warmup and Thin too; Draws may differ,
	// so that a finished run can be made longer. Init and Src are not used.
	Resume []byte
}

// Progress says how far a run is.
type Progress struct {
	Done, Total int           // iterations of all chains, warm-up included
	Warming     int           // chains in warm-up
	Draws       int           // draws kept, of all chains
	Divergences int           // after warm-up, of all chains
	StepSize    float64       // of the last transition, averaged over the chains
	Elapsed     time.Duration // since the start of Run
	Remaining   time.Duration // at the mean speed so far
}

func (s *Settings) withDefaults(kernel Kernel) (*Settings, error) {
	var c Settings
	if s != nil {
		c = *s
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{{"Chains", &c.Chains, 4}, {"Draws", &c.Draws, 1000}, {"Thin", &c.Thin, 1}} {
		if *f.value < 0 {
			return nil, fmt.Errorf("sampler: Settings.%s is %d, want 1 or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if c.Warmup == 0 {
		c.Warmup = defaultWarmup(kernel)
	}
	c.Warmup = max(c.Warmup, 0)
	if c.CheckpointEvery <= 0 {
		c.CheckpointEvery = time.Minute
	}
	return &c, nil
}

func defaultWarmup(kernel Kernel) int {
	metric := Unit
	switch k := kernel.(type) {
	case *NUTS:
		metric = k.Metric
	case *HMC:
		metric = k.Metric
	}
	switch metric {
	case Automatic, DiagonalFisher, LowRank:
		return 400
	}
	return 1000
}

// dimOf returns the dimension of the target's argument.
func dimOf(target inverse.Density, s *Settings) (int, error) {
	dim := 0
	for _, d := range []struct {
		name string
		n    func() int
	}{
		{"the target's Dim", func() int {
			if t, ok := target.(interface{ Dim() int }); ok {
				return t.Dim()
			}
			return 0
		}},
		{"Settings.Transform", func() int {
			if s.Transform == nil {
				return 0
			}
			x, _ := s.Transform.Dims()
			return x
		}},
		{"Settings.Init", func() int {
			if s.Init == nil {
				return 0
			}
			_, c := s.Init.Dims()
			return c
		}},
	} {
		switch n := d.n(); {
		case n == 0:
		case dim == 0:
			dim = n
		case n != dim:
			return 0, fmt.Errorf("sampler: the dimension is %d by %s, but %d by what comes before it", n, d.name, dim)
		}
	}
	if dim < 1 {
		return 0, errors.New("sampler: the dimension is not known: the target has no method Dim() int, and Settings.Init is nil")
	}
	return dim, nil
}

func names(target inverse.Density, given []string, dim int) ([]string, error) {
	if given == nil {
		if t, ok := target.(interface{ Names() []string }); ok {
			given = t.Names()
		}
	}
	if given == nil {
		for i := range dim {
			given = append(given, fmt.Sprintf("x[%d]", i+1))
		}
	}
	if len(given) != dim {
		return nil, fmt.Errorf("sampler: %d names for %d parameters", len(given), dim)
	}
	return append([]string(nil), given...), nil
}
