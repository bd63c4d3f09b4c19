package flow

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
)

// Against all permutations.
func TestAssignment(t *testing.T) {
	r := rand.New(rng.New(1, 0))
	var a assignment
	for n := 1; n <= 7; n++ {
		for range 20 {
			cost := make([]float64, n*n)
			for i := range cost {
				cost[i] = math.Floor(10*r.NormFloat64()) + r.Float64()
			}
			best := math.Inf(1)
			var permute func(row int, used uint, sum float64)
			permute = func(row int, used uint, sum float64) {
				if row == n {
					best = min(best, sum)
				}
				for j := range n {
					if row < n && used>>j&1 == 0 {
						permute(row+1, used|1<<j, sum+cost[row*n+j])
					}
				}
			}
			permute(0, 0, 0)
			var got float64
			used := make([]bool, n)
			for i, j := range a.solve(cost, n) {
				if used[j] {
					t.Fatalf("column %d is used twice", j)
				}
				used[j] = true
				got += cost[i*n+j]
			}
			if math.Abs(got-best) > 1e-9 {
				t.Errorf("n = %d: sum %g, want %g", n, got, best)
			}
		}
	}
}
