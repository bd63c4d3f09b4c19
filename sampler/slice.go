package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Slice is slice sampling of one coordinate after another, with stepping out
// and shrinkage (Neal, 2003, figures 3 and 5). Warm-up adapts the widths.
type Slice struct {
	// Width is the width of the first interval in each coordinate that
	// warm-up begins with, and that of the whole run without warm-up. If
	// Width is 0, it will be defaulted to 1.
	Width float64
	// MaxStepsOut limits the intervals to MaxStepsOut widths. If MaxStepsOut
	// is 0, it will be defaulted to 100.
	MaxStepsOut int
}

var _ Kernel = (*Slice)(nil)

// New implements Kernel.
func (k *Slice) New(t *Target, _ int) (State, error) {
	w, err := newWalker("Slice", t)
	if err != nil {
		return nil, err
	}
	s := &slice{walker: w, Width: make([]float64, t.Dim()), stepsOut: k.MaxStepsOut}
	if s.stepsOut == 0 {
		s.stepsOut = 100
	}
	if s.stepsOut < 1 {
		return nil, fmt.Errorf("sampler: Slice: MaxStepsOut is %d, want 1 or more", k.MaxStepsOut)
	}
	width := k.Width
	if width == 0 {
		width = 1
	}
	if !(width > 0) || math.IsInf(width, 1) {
		return nil, fmt.Errorf("sampler: Slice: Width is %g, want a positive number", k.Width)
	}
	for i := range s.Width {
		s.Width[i] = width
	}
	s.moved = make([]float64, t.Dim())
	return s, nil
}

type slice struct {
	walker
	Width    []float64
	stepsOut int
	moved    []float64 // distance that each coordinate went
}

// Step implements State. It updates every coordinate.
func (s *slice) Step(rnd *rand.Rand, info *Info) error {
	copy(s.y, s.X)
	for i := range s.X {
		s.coordinate(i, rnd)
	}
	*info = Info{LogProb: s.LogProb, Accept: 1, StepSize: s.Width[0]}
	return nil
}

// coordinate updates coordinate i. The vector y equals X but for it.
func (s *slice) coordinate(i int, rnd *rand.Rand) {
	level := s.LogProb - rnd.ExpFloat64()
	x0, w := s.X[i], s.Width[i]
	inside := func(v float64) (float64, bool) {
		s.y[i] = v
		lp := s.target.LogProb(s.y)
		return lp, lp > level
	}
	lo := x0 - w*rnd.Float64()
	hi := lo + w
	left := rnd.IntN(s.stepsOut)
	right := s.stepsOut - 1 - left
	for ; left > 0; left-- {
		if _, in := inside(lo); !in {
			break
		}
		lo -= w
	}
	for ; right > 0; right-- {
		if _, in := inside(hi); !in {
			break
		}
		hi += w
	}
	for range maxShrink {
		v := lo + (hi-lo)*rnd.Float64()
		if lp, in := inside(v); in {
			s.X[i], s.LogProb = v, lp
			break
		}
		if v < x0 {
			lo = v
		} else {
			hi = v
		}
	}
	s.y[i] = s.X[i]
	s.moved[i] = math.Abs(s.X[i] - x0)
}

// Adapt implements Adapter: the widths go to three times the mean distance.
func (s *slice) Adapt(i, _ int, _ *rand.Rand, _ *Info) error {
	gain := math.Pow(float64(i+2), -0.6)
	for j, d := range s.moved {
		s.Width[j] += gain * (3*d - s.Width[j])
		s.Width[j] = max(s.Width[j], 1e-12)
	}
	return nil
}
