package flow

import "math"

// assignment pairs rows and columns of a square matrix of costs, at the least
// sum: the method of shortest augmenting paths (Jonker and Volgenant 1987).
type assignment struct {
	u, v, least  []float64 // duals of rows and columns; reduced costs of the path
	rowOf, colOf []int
	before       []int // the column before on the path
	seen         []bool
}

// solve returns the column of each row of cost (n×n), which must be finite. The
// slice is valid until the next call.
func (a *assignment) solve(cost []float64, n int) []int {
	// Column n is where a path begins.
	a.u, a.v, a.least = resize(a.u, n), resize(a.v, n+1), resize(a.least, n+1)
	a.rowOf, a.colOf = resize(a.rowOf, n+1), resize(a.colOf, n)
	a.before, a.seen = resize(a.before, n+1), resize(a.seen, n+1)
	clear(a.u)
	clear(a.v)
	for j := range a.rowOf {
		a.rowOf[j] = -1
	}
	for i := range n {
		a.rowOf[n] = i
		clear(a.seen)
		fill(a.least, math.Inf(1))
		at := n
		for a.rowOf[at] >= 0 {
			a.seen[at] = true
			row := a.rowOf[at]
			delta, next := math.Inf(1), -1
			for j := range n {
				if a.seen[j] {
					continue
				}
				if c := cost[row*n+j] - a.u[row] - a.v[j]; c < a.least[j] {
					a.least[j], a.before[j] = c, at
				}
				if next < 0 || a.least[j] < delta {
					delta, next = a.least[j], j
				}
			}
			for j := range n + 1 {
				if a.seen[j] {
					a.u[a.rowOf[j]] += delta
					a.v[j] -= delta
				} else {
					a.least[j] -= delta
				}
			}
			at = next
		}
		for at != n {
			a.rowOf[at] = a.rowOf[a.before[at]]
			at = a.before[at]
		}
	}
	for j, i := range a.rowOf[:n] {
		a.colOf[i] = j
	}
	return a.colOf
}
