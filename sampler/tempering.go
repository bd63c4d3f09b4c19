package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse"
)

// Tempering is parallel tempering: replicas of the chain on the path
//
//	π_β ∝ base^(1-β) π^β,   1 = β₁ > β₂ > ... > β_K,
//
// each moved by its own copy of a kernel, neighbours of which swap their
// points, even pairs and odd pairs in turn (Syed, Bouchard-Côté, Deligiannidis
// and Doucet, 2022). Warm-up spaces the β so that all pairs swap equally
// often. It finds modes that one chain does not.
type Tempering struct {
	// Kernel moves the replicas.
	Kernel Kernel
	// Base is the density at β = 0, in the target's own space: the prior. If
	// Base is nil it is 1, and the path ends at β = MinBeta.
	Base inverse.Density
	// Levels is the number of replicas. If Levels is 0, it will be defaulted
	// to 8.
	Levels int
	// MinBeta is the smallest β. If MinBeta is 0, it will be defaulted to
	// 0.02 without Base.
	MinBeta float64
}

var _ Kernel = (*Tempering)(nil)

// New implements Kernel.
func (k *Tempering) New(t *Target, warmup int) (State, error) {
	if k.Kernel == nil {
		return nil, errors.New("sampler: Tempering: Kernel is nil")
	}
	if err := t.needs("Tempering", true, false); err != nil {
		return nil, err
	}
	levels, least := k.Levels, k.MinBeta
	if levels == 0 {
		levels = 8
	}
	if levels < 2 {
		return nil, fmt.Errorf("sampler: Tempering: Levels is %d, want 2 or more", k.Levels)
	}
	if least == 0 && k.Base == nil {
		least = 0.02
	}
	if !(least >= 0 && least < 1) {
		return nil, fmt.Errorf("sampler: Tempering: MinBeta is %g, want a number in [0, 1)", k.MinBeta)
	}
	s := &tempering{Betas: make([]float64, levels), Rejection: make([]float64, levels-1), target: t, warmup: warmup}
	var err error
	if s.bridge, err = newBridge(t, k.Base); err != nil {
		return nil, fmt.Errorf("sampler: Tempering: %w", err)
	}
	for i := range levels {
		// Geometric down to what is not 0.
		f := float64(i) / float64(levels-1)
		s.Betas[i] = math.Pow(max(least, 1e-3), f)
	}
	s.Betas[levels-1] = least
	for i := range levels {
		st, err := k.Kernel.New(s.bridge.at(&s.Betas[i]), warmup)
		if err != nil {
			return nil, err
		}
		s.Replicas = append(s.Replicas, st)
	}
	s.infos = make([]Info, levels)
	s.energy = make([]float64, levels)
	s.x = make([]float64, t.Dim())
	return s, nil
}

type tempering struct {
	Betas     []float64
	Replicas  []State // that of Betas[i] is Replicas[i]
	Rejection []float64
	Rounds    int // of Rejection
	Parity    int // of the pairs that swap next

	target *Target
	bridge *bridge
	warmup int
	infos  []Info
	energy []float64
	x      []float64
}

// Set implements State. All replicas start from x.
func (s *tempering) Set(x []float64) error {
	for _, r := range s.Replicas {
		if err := r.Set(x); err != nil {
			return err
		}
	}
	return nil
}

// Position implements State.
func (s *tempering) Position() []float64 { return s.Replicas[0].Position() }

// Step implements State.
func (s *tempering) Step(rnd *rand.Rand, info *Info) error {
	for i, r := range s.Replicas {
		s.infos[i] = Info{}
		if err := r.Step(rnd, &s.infos[i]); err != nil {
			return err
		}
		s.energy[i] = s.bridge.ratio(r.Position())
	}
	*info = s.infos[0]
	for i := s.Parity; i+1 < len(s.Replicas); i += 2 {
		a := acceptance((s.Betas[i] - s.Betas[i+1]) * (s.energy[i+1] - s.energy[i]))
		s.Rejection[i] += 1 - a
		if rnd.Float64() >= a {
			continue
		}
		copy(s.x, s.Replicas[i].Position())
		if err := s.Replicas[i].Set(s.Replicas[i+1].Position()); err != nil {
			return err
		}
		if err := s.Replicas[i+1].Set(s.x); err != nil {
			return err
		}
		if i == 0 {
			info.LogProb = s.energy[1]
			if s.bridge.base != nil {
				info.LogProb = s.target.LogProb(s.Replicas[0].Position())
			}
		}
	}
	s.Parity = 1 - s.Parity
	s.Rounds++
	return nil
}

// Adapt implements Adapter. The β are spaced anew after each doubling of the
// iterations, so that the replicas' kernels can follow; not in the last fifth.
func (s *tempering) Adapt(i, n int, rnd *rand.Rand, _ *Info) error {
	for k, r := range s.Replicas {
		if a, ok := r.(Adapter); ok {
			if err := a.Adapt(i, n, rnd, &s.infos[k]); err != nil {
				return err
			}
		}
	}
	if done := i + 1; done >= 16 && done&(done-1) == 0 && 5*done <= 4*n {
		s.respace()
		for _, r := range s.Replicas {
			copy(s.x, r.Position())
			if err := r.Set(s.x); err != nil {
				return err
			}
		}
	}
	return nil
}

// respace spaces the β so that each gap has an equal share of the
// communication barrier, the sum of the rejection rates (Syed et al., section
// 5.1), taken as linear between the present β.
func (s *tempering) respace() {
	k := len(s.Betas)
	barrier := make([]float64, k)
	for i, r := range s.Rejection {
		// Each pair was tried in every second round.
		barrier[i+1] = barrier[i] + 2*r/float64(s.Rounds) + 1e-3
	}
	betas := append([]float64(nil), s.Betas...)
	j := 0
	for i := 1; i < k-1; i++ {
		want := barrier[k-1] * float64(i) / float64(k-1)
		for barrier[j+1] < want {
			j++
		}
		f := (want - barrier[j]) / (barrier[j+1] - barrier[j])
		s.Betas[i] = betas[j] + f*(betas[j+1]-betas[j])
	}
	clear(s.Rejection)
	s.Rounds = 0
}
