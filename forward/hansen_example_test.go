package forward_test

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse/forward"
)

// The coefficients of exact data fall faster than the singular values: the
// discrete Picard condition.
func ExamplePicard() {
	p, err := forward.Gravity(24, 0.25)
	if err != nil {
		fmt.Println(err)
		return
	}
	terms, err := forward.Picard(p.A, p.Y)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := 0; i < len(terms); i += 5 {
		t := terms[i]
		fmt.Printf("σ = %.0e  |uᵀy| = %.0e  ratio = %.0e\n", t.Sigma, t.Coef, t.Ratio)
	}
	// Output:
	// σ = 6e+00  |uᵀy| = 2e+01  ratio = 3e+00
	// σ = 4e-01  |uᵀy| = 7e-02  ratio = 2e-01
	// σ = 1e-02  |uᵀy| = 4e-04  ratio = 2e-02
	// σ = 4e-04  |uᵀy| = 1e-06  ratio = 3e-03
	// σ = 1e-05  |uᵀy| = 3e-09  ratio = 4e-04
}

// Rounding to two decimals is noise enough to ruin a solution with hardly any
// regularisation.
func ExampleShaw() {
	p, err := forward.Shaw(20)
	if err != nil {
		fmt.Println(err)
		return
	}
	y := make([]float64, len(p.Y))
	for i, v := range p.Y {
		y[i] = float64(int(100*v+0.5)) / 100
	}
	naive, err := forward.Tikhonov(p.A, y, &forward.FilterOptions{Param: 1e-7})
	if err != nil {
		fmt.Println(err)
		return
	}
	inv, err := forward.Tikhonov(p.A, y, &forward.FilterOptions{Noise: 0.0029 * math.Sqrt(20)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("at t = %.2f: naive %.0e, regularised %.1f, true %.1f\n", p.T[12], naive.X[12], inv.X[12], p.X[12])
	// Output: at t = 0.39: naive 9e+02, regularised 1.0, true 0.9
}
