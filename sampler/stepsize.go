package sampler

import (
	"errors"
	"math"
	"math/rand/v2"
)

// dualAveraging adapts the logarithm of a step size until the acceptance
// statistic averages to a target (Hoffman and Gelman, 2014, algorithm 5;
// Nesterov's method).
type dualAveraging struct {
	Mu   float64 // log ε is drawn to it
	S    float64 // running average of target - accept
	LogE float64
	Bar  float64 // averaged log ε
	T    int
}

const (
	daGamma = 0.05
	daT0    = 10
	daKappa = 0.75
	// maxStepSize bounds the step in whitened coordinates: beyond 2 the
	// leapfrog is not stable for a Gaussian.
	maxStepSize = math.Pi
	// minStepSize is still seen next to a coordinate of order 1, so that a
	// chain in a place that it cannot leave is noticed.
	minStepSize = 1e-10
)

func (d *dualAveraging) restart(eps float64) {
	*d = dualAveraging{Mu: math.Log(10 * eps), LogE: math.Log(eps), Bar: math.Log(eps)}
}

func (d *dualAveraging) update(accept, target float64) {
	d.T++
	t := float64(d.T)
	eta := 1 / (t + daT0)
	d.S = (1-eta)*d.S + eta*(target-accept)
	d.LogE = min(max(d.Mu-d.S*math.Sqrt(t)/daGamma, math.Log(minStepSize)), math.Log(maxStepSize))
	w := math.Pow(t, -daKappa)
	d.Bar = w*d.LogE + (1-w)*d.Bar
}

func (d *dualAveraging) step() float64  { return math.Exp(d.LogE) }
func (d *dualAveraging) final() float64 { return math.Exp(d.Bar) }

// searchStepSize sets the step size to the first, doubling or halving from
// eps, at which the acceptance probability of one leapfrog crosses target
// (Hoffman and Gelman, 2014, algorithm 4).
func (h *hamiltonian) searchStepSize(eps, target float64, rnd *rand.Rand) error {
	h.StepSize = eps
	from, to := h.pool.get(h.dim()), h.pool.get(h.dim())
	defer h.pool.reset()
	direction := 0.0
	for h.StepSize > minStepSize && h.StepSize < 1e7 {
		h.start(from, rnd)
		h.leapfrog(to, from, h.StepSize)
		grow := -1.0
		if from.energy-to.energy > math.Log(target) {
			grow = 1
		}
		if direction == 0 {
			direction = grow
		}
		if grow != direction {
			return nil
		}
		h.StepSize *= math.Exp2(direction)
	}
	if h.StepSize > 1 {
		return errors.New("the step size grows without bound: the target seems to be flat (improper)")
	}
	return nil // the loop ends the run if the target goes on failing
}
