package sampler

import "math"

// A leapfrog is rough if the Hamiltonian changes by more than maxLocalError on
// it. Where the target is smooth on the scale of the step that hardly happens.
// In the neck of a funnel it is the forerunner of a divergence, and a smaller
// step everywhere would be the price of avoiding it.
const maxLocalError = 8

// wallHalvings is the number of halvings after which a leapfrog that still
// meets a density of zero is given up: it has run into a wall.
const wallHalvings = 4

// halve replaces the rough leapfrog from a point to q by 2, 4, 8, ... of half,
// a quarter, an eighth, ... of its length, which take the same time together:
// by the first that keep the Hamiltonian within maxLocalError, or by the
// shortest there are (the within-orbit adaptation of Bou-Rabee, Carpenter,
// Kleppe and Liu, 2025, with the number of halvings a function of the point).
//
// The trajectory has to be the same from each of its points. So it ends, and
// halve reports false, if the way back from q is not by the same halvings. A
// leapfrog that is not rough is not rough on its way back either.
func (s *nuts) halve(q, from *point) bool {
	n := 1
	for ; n < s.halvings; n++ {
		change := s.advance(q, from, s.eps, n, maxLocalError)
		if change <= maxLocalError {
			break
		}
		if n == wallHalvings && math.IsInf(change, 1) {
			q.energy = change
			return true
		}
	}
	if n == s.halvings && math.IsInf(s.advance(q, from, s.eps, n, s.o.maxEnergyError), 1) {
		q.energy = math.Inf(1)
		return true // there is no way back, and q has no weight
	}
	back := s.pool.get(s.dim())
	defer s.pool.put(back)
	for k := range n {
		change := s.advance(back, q, -s.eps, k, maxLocalError)
		if change <= maxLocalError || k == wallHalvings && math.IsInf(change, 1) {
			return false
		}
	}
	return true
}

// advance sets q to the point that 2^n leapfrogs of size eps/2^n reach, and
// returns the difference of the greatest and the least Hamiltonian on the way.
// It gives up once that exceeds limit, and q is then not to be used.
func (s *nuts) advance(q, from *point, eps float64, n int, limit float64) (change float64) {
	steps := 1 << n
	eps /= float64(steps)
	between := s.pool.get(s.dim())
	defer s.pool.put(between)
	lo, hi := from.energy, from.energy
	at := from
	for i := range steps {
		// The last of an even number of steps ends in q.
		next := q
		if (steps-i)%2 == 0 {
			next = between
		}
		s.leapfrog(next, at, eps)
		s.leapfrogs++
		lo, hi = min(lo, next.energy), max(hi, next.energy)
		if !(hi-lo <= limit) {
			break
		}
		at = next
	}
	q.index = from.index + 1
	if eps < 0 {
		q.index = from.index - 1
	}
	return hi - lo
}
