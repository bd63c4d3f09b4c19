package tasks

import (
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/rng"
)

// Path stores the numbers of predators and of prey at the grid times and
// returns the number of reactions.
func (g *Gillespie) Path(predators, prey, theta []float64, src rand.Source) (reactions int, err error) {
	limit := g.MaxReactions
	if limit == 0 {
		limit = 10_000
	}
	s := &state{
		x: 50, y: 100, limit: limit, bits: rng.Bits(src.Uint64()),
		birth: math.Exp(theta[0]), death: math.Exp(theta[1]), born: math.Exp(theta[2]), eaten: math.Exp(theta[3]),
	}
	predators[0], prey[0] = s.x, s.y
	for k := 1; k < gillespieTimes; {
		s.advance(gillespieStep * float64(k))
		x, y := s.x, s.y // before the reaction that passes the grid time, if the next one does
		if !s.react() {
			return s.reactions, ErrReactions
		}
		if !g.Exact {
			x, y = s.x, s.y
		}
		for ; k < gillespieTimes && gillespieStep*float64(k) <= s.time; k++ {
			predators[k], prey[k] = x, y
		}
	}
	return s.reactions, nil
}

// state is a path under way.
type state struct {
	x, y, time       float64 // predators and prey
	reactions, limit int
	bits             rng.Bits
	// Rates of births and deaths, of predators and of prey.
	birth, death, born, eaten float64
}

// react makes one reaction, or sets the time to infinity if there are none
// left. It is false after one more than the limit.
func (s *state) react() bool {
	xy := s.x * s.y
	a1, a2, a3 := s.birth*xy, s.death*s.x, s.born*s.y
	a := a1 + a2 + a3 + s.eaten*xy
	if a == 0 {
		s.time = math.Inf(1)
		return true
	}
	s.bits = s.bits.Next()
	bits := s.bits.Value()
	wait, ok := rng.Exponential(bits)
	if !ok {
		wait, s.bits = rng.ExponentialRest(bits, s.bits)
	}
	s.time += wait / a
	if s.reactions++; s.reactions > s.limit {
		return false
	}
	s.bits = s.bits.Next()
	switch u := a * rng.Uniform(s.bits.Value()); {
	case u < a1:
		s.x++
	case u < a1+a2:
		s.x--
	case u < a1+a2+a3:
		s.y++
	default:
		s.y--
	}
	return true
}

// advance makes the reactions that react would, as long as they are before the
// given time, there is nothing special about them and no more than the limit.
// It calls no function that is not inlined, so that the state stays in
// registers: twice as fast as react alone.
func (s *state) advance(until float64) {
	x, y, t, n, bits := s.x, s.y, s.time, s.reactions, s.bits
	birth, death, born, eaten := s.birth, s.death, s.born, s.eaten
	for n < s.limit {
		xy := x * y
		a1, a2, a3 := birth*xy, death*x, born*y
		a := a1 + a2 + a3 + eaten*xy
		b := bits.Next()
		wait, ok := rng.Exponential(b.Value())
		next := t + wait/a
		if !ok || !(next < until) { // or a is 0
			break
		}
		t = next
		n++
		bits = b.Next()
		// The order of comparisons makes the branches foreseeable as often as
		// can be.
		if u := a * rng.Uniform(bits.Value()); u < a1+a2 {
			if u < a1 {
				x++
			} else {
				x--
			}
		} else if u < a1+a2+a3 {
			y++
		} else {
			y--
		}
	}
	s.x, s.y, s.time, s.reactions, s.bits = x, y, t, n, bits
}
