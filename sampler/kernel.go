package sampler

import "math/rand/v2"

// Kernel is a Markov chain Monte Carlo algorithm: its settings. [Run] asks it
// for one State a chain and owns the loop.
type Kernel interface {
	// New returns the state of one chain on t, not yet at a point, that will
	// adapt itself in the given number of warm-up iterations. It returns an
	// error if a setting is wrong or t lacks what the kernel needs.
	New(t *Target, warmup int) (State, error)
}

// State is one chain of a Kernel: a pointer to a struct whose exported fields
// (numbers, strings, slices, structs, and what implements the interfaces of
// package encoding for binary data) are all that the chain carries from one
// iteration to the next. They are what a checkpoint saves; unexported fields
// are scratch. Randomness is in the rnd that a method is given, which has no
// state besides its source, and the loop saves that.
type State interface {
	// Set puts the chain at x, which is copied, and evaluates the target
	// there. It returns an error if the target cannot be started from x.
	// Kernels that are part of another one are set anew whenever their target
	// has changed; what they have adapted stays.
	Set(x []float64) error
	// Position returns the chain's point. The caller must not modify it.
	Position() []float64
	// Step makes one transition, which leaves the target invariant, and
	// reports it in info, which is zero before. An error ends the run; a
	// failure of the target is not an error, the loop sees to it.
	Step(rnd *rand.Rand, info *Info) error
}

// Adapter is a State that adapts itself in warm-up.
type Adapter interface {
	// Adapt is called after warm-up iteration i of n with the info of Step.
	Adapt(i, n int, rnd *rand.Rand, info *Info) error
}

// Info is what a transition reports for diagnostics, the columns of
// [Result.Stats]. What an algorithm does not have is left 0.
type Info struct {
	LogProb   float64 // of the new point, on the unconstrained space
	Accept    float64 // acceptance probability, or its average over a trajectory
	StepSize  float64 // step size or scale of the proposal
	Depth     int     // depth of the tree (NUTS)
	Leapfrogs int     // gradients evaluated
	Divergent bool    // the trajectory diverged or the target failed
	Energy    float64 // the Hamiltonian at the new point
	Saturated bool    // the tree reached its greatest depth and would have gone on
	Reason    error   // why Divergent
}

// StatNames names the columns of [Result.Stats], in CmdStan's words.
func StatNames() []string {
	return []string{"lp__", "accept_stat__", "stepsize__", "treedepth__", "n_leapfrog__", "divergent__", "energy__"}
}

const (
	statLogProb = iota
	statAccept
	statStepSize
	statDepth
	statLeapfrogs
	statDivergent
	statEnergy
	numStats
)

func (f *Info) row(dst []float64) {
	dst[statLogProb] = f.LogProb
	dst[statAccept] = f.Accept
	dst[statStepSize] = f.StepSize
	dst[statDepth] = float64(f.Depth)
	dst[statLeapfrogs] = float64(f.Leapfrogs)
	dst[statDivergent] = 0
	if f.Divergent {
		dst[statDivergent] = 1
	}
	dst[statEnergy] = f.Energy
}
