package sampler

import (
	"math"
	"math/rand/v2"
)

// adaptation is the warm-up of HMC and NUTS: dual averaging of the step size,
// and a metric estimated in windows of the draws.
type adaptation struct {
	Begun bool
	Dual  dualAveraging
	Plan  schedule

	target float64 // of the acceptance statistic
}

// schedule decides when the metric is estimated and from which draws.
type schedule interface {
	// begin sees the first point and may set the metric from it.
	begin(h *hamiltonian)
	// adapt sees the draw of iteration i of n. It reports whether it changed
	// the metric so much that the step size is to be searched for anew, and
	// whether the metric will not change any more in earnest.
	adapt(h *hamiltonian, i, n int, t *transition) (restart, late bool)
}

// transition is what a step of HMC or NUTS tells the adaptation.
type transition struct {
	accept, acceptSym float64 // acceptance statistics, averaged over the trajectory
	index             int     // of the draw in the trajectory
	diverged          bool
}

func newAdaptation(o hamiltonianOptions, d int) *adaptation {
	a := &adaptation{target: o.targetAccept}
	switch o.metric {
	case DiagonalFisher:
		a.Plan = &fisherWindows{Estimate: newFisherDiagonal(d)}
	case LowRank:
		a.Plan = &fisherWindows{Estimate: newFisherLowRank(d)}
	case DiagonalVariance:
		a.Plan = &stanWindows{Estimate: &varianceEstimate{newWelford(d)}}
	case Dense:
		a.Plan = &stanWindows{Estimate: &covarianceEstimate{newWelfordCov(d)}}
	default:
		a.Plan = &noWindows{}
	}
	return a
}

// begin prepares the adaptation of h, which is at its first point.
func (a *adaptation) begin(h *hamiltonian) {
	if !a.Begun {
		a.Begun = true
		a.Plan.begin(h)
	}
}

// firstStep finds the step size of the first transition.
func (h *hamiltonian) firstStep(rnd *rand.Rand, target float64) error {
	if h.StepSize == 0 {
		if err := h.searchStepSize(0.1, target, rnd); err != nil {
			return err
		}
	}
	if h.Warmup != nil && h.Warmup.Dual.Mu == 0 && h.Warmup.Dual.T == 0 {
		h.Warmup.Dual.restart(h.StepSize)
	}
	return nil
}

func (a *adaptation) adapt(h *hamiltonian, i, n int, t *transition, rnd *rand.Rand) error {
	restart, late := a.Plan.adapt(h, i, n, t)
	accept := t.accept
	if late {
		accept = t.acceptSym
	}
	a.Dual.update(accept, a.target)
	h.StepSize = a.Dual.step()
	if restart && i < n-1 {
		if err := h.searchStepSize(h.StepSize, a.target, rnd); err != nil {
			return err
		}
		a.Dual.restart(h.StepSize)
	}
	if i == n-1 {
		h.StepSize = a.Dual.final()
	}
	return nil
}

// noWindows leaves the metric as it is.
type noWindows struct{}

func (noWindows) begin(*hamiltonian) {}
func (noWindows) adapt(*hamiltonian, int, int, *transition) (bool, bool) {
	return false, false
}

// stanWindows is Stan's schedule: an initial buffer, windows of 25, 50, 100,
// ... draws at whose ends the metric is set from the draws of the window, and
// a final buffer.
type stanWindows struct {
	Estimate windowEstimate
}

type windowEstimate interface {
	add(x []float64)
	// set sets the metric from the draws since the last reset, and resets.
	set(m metric) bool
}

// buffers returns the lengths of the initial and the final buffer.
func (w *stanWindows) buffers(n int) (initial, final int) {
	switch {
	case n < 20: // the metric is left alone
		return n, 0
	case 75+25+50 > n:
		return int(0.15 * float64(n)), int(0.1 * float64(n))
	}
	return 75, 50
}

// windowEnd reports whether iteration i of n is the last of a window.
func (w *stanWindows) windowEnd(i, n int) bool {
	initial, final := w.buffers(n)
	size := 25
	if 75+25+50 > n {
		size = max(n-initial-final, 1)
	}
	for begin := initial; initial < n && begin+size <= n-final; size *= 2 {
		// A window is stretched to the end if the next one would overrun it.
		end := begin + size
		if end+2*size > n-final {
			end = n - final
		}
		if i == end-1 {
			return true
		}
		if end == n-final {
			return false
		}
		begin = end
	}
	return false
}

func (w *stanWindows) begin(*hamiltonian) {}

func (w *stanWindows) adapt(h *hamiltonian, i, n int, _ *transition) (restart, late bool) {
	initial, final := w.buffers(n)
	if i >= initial && i < n-final {
		w.Estimate.add(h.X)
	}
	return w.windowEnd(i, n) && w.Estimate.set(h.Metric), false
}

// varianceEstimate is Stan's regularised variance of each coordinate.
type varianceEstimate struct{ V welford }

func (e *varianceEstimate) add(x []float64) { e.V.add(x) }

func (e *varianceEstimate) set(m metric) bool {
	defer e.V.reset()
	n := float64(e.V.N)
	if n < 2 {
		return false
	}
	for i, s := range e.V.S {
		v := s/(n-1)*n/(n+5) + 1e-3*5/(n+5)
		m.(*diagonal).Sigma[i] = clampScale(v)
	}
	return true
}

// covarianceEstimate is Stan's regularised covariance matrix.
type covarianceEstimate struct{ V *welfordCov }

func (e *covarianceEstimate) add(x []float64) { e.V.add(x) }

func (e *covarianceEstimate) set(m metric) bool {
	defer e.V.reset()
	if e.V.N < 2 {
		return false
	}
	return m.(*dense).setCovariance(e.V.regularised())
}

// fisherWindows is the schedule of nuts-rs 0.18: the metric is set after every
// draw from a foreground estimate, which is replaced by the background
// estimate at the end of each window, so that it forgets the way in.
type fisherWindows struct {
	Estimate fisherEstimate
	Window   int  // length of the present window after the early phase
	Changed  bool // the metric has changed since the start
}

type fisherEstimate interface {
	// init sets the metric from the first point, and counts it.
	init(m metric, x, g []float64)
	add(x, g []float64)
	background() int // draws in the background estimate
	swap()           // the background becomes the foreground
	// set sets the metric from the foreground. It reports false if there are
	// not enough draws, or if it is not time.
	set(m metric, force bool) bool
}

const (
	earlyPhase  = 0.3  // of the warm-up
	finalPhase  = 0.15 // of the warm-up
	earlyWindow = 10
	firstWindow = 80
	growth      = 1.5
)

func (w *fisherWindows) begin(h *hamiltonian) {
	w.Window = firstWindow
	w.Estimate.init(h.Metric, h.X, h.G)
}

func (w *fisherWindows) adapt(h *hamiltonian, i, n int, t *transition) (restart, late bool) {
	final := n - int(finalPhase*float64(n))
	if i >= final {
		return false, true
	}
	end := int(earlyPhase * float64(n))
	early := i < end
	if i == end {
		w.Window = max(w.Window, w.Estimate.background())
	}
	// A draw that did not move says nothing; nor does one next to a divergence.
	if good := t.index != 0 && !t.diverged || t.index > 4 || t.index < -4; good {
		w.Estimate.add(h.X, h.G)
	}
	window, next := earlyWindow, earlyWindow
	if !early {
		window = w.Window
		next = max(window+1, int(math.Round(growth*float64(window))))
	}
	late = next+i > final
	force := false
	if w.Estimate.background() >= window && !late {
		w.Estimate.swap()
		force = true
		if !early {
			w.Window = next
		}
	}
	if w.Estimate.set(h.Metric, force) && !w.Changed {
		w.Changed = true
		return true, late
	}
	return false, late
}

// fisherDiagonal estimates sigma_i² = sqrt(Var x_i / Var g_i).
type fisherDiagonal struct {
	X, G, BackX, BackG welford
}

func newFisherDiagonal(d int) *fisherDiagonal {
	return &fisherDiagonal{newWelford(d), newWelford(d), newWelford(d), newWelford(d)}
}

func (e *fisherDiagonal) init(m metric, x, g []float64) {
	sigma := m.(*diagonal).Sigma
	for i, gi := range g {
		if gi != 0 {
			sigma[i] = clampScale(1 / math.Abs(gi))
		}
	}
	e.add(x, g)
}

func (e *fisherDiagonal) add(x, g []float64) {
	e.X.add(x)
	e.G.add(g)
	e.BackX.add(x)
	e.BackG.add(g)
}

func (e *fisherDiagonal) background() int { return e.BackX.N }

func (e *fisherDiagonal) swap() {
	e.X, e.BackX = e.BackX, e.X
	e.G, e.BackG = e.BackG, e.G
	e.BackX.reset()
	e.BackG.reset()
}

func (e *fisherDiagonal) set(m metric, _ bool) bool {
	if e.X.N < 3 {
		return false
	}
	sigma := m.(*diagonal).Sigma
	for i, sx := range e.X.S {
		v := math.Sqrt(sx / e.G.S[i])
		if v > 0 && !math.IsInf(v, 1) {
			sigma[i] = clampScale(v)
		}
	}
	return true
}
