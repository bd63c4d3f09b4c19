package forward_test

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// A scan that takes every other row of the spectrum and its middle: the
// solution of least norm leaves out what was not observed.
func ExampleNewFourier() {
	const n = 32
	sampled := make([]bool, n*n)
	for k := range n {
		for l := range n {
			sampled[k*n+l] = k%2 == 0 || k < 4 || k > n-4
		}
	}
	scan, err := forward.NewFourier(n, n, sampled)
	if err != nil {
		fmt.Println(err)
		return
	}
	x := forward.SheppLogan().Image(n, n)
	m, _ := scan.Dims()
	y := make([]float64, m)
	scan.Apply(mat.NewDense(1, m, y), mat.NewDense(1, n*n, x))

	inv, err := forward.CGLS(context.Background(), scan, y, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d frequencies\n", m/2, n*n)
	fmt.Printf("residual below 1e-12: %t, relative error %.2f\n", inv.Residual < 1e-12, floats.Distance(inv.X, x, 2)/floats.Norm(x, 2))
	// Output:
	// 640 of 1024 frequencies
	// residual below 1e-12: true, relative error 0.33
}

// Where was the rod hot? The temperature now tells well what is smooth.
func ExampleNewHeat1D() {
	const n = 60
	cooling, err := forward.NewHeat1D(n, 8, &forward.HeatOptions{Boundary: forward.Reflect})
	if err != nil {
		fmt.Println(err)
		return
	}
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		d := (float64(i) - 20) / 5
		x[i] = math.Exp(-d * d / 2)
	}
	cooling.Apply(mat.NewDense(1, n, y), mat.NewDense(1, n, x))
	const sigma = 1e-3
	for i := range y {
		y[i] += sigma * math.Sqrt2 * math.Sin(float64(i*i)) // the noise
	}
	inv, err := forward.Tikhonov(cooling, y, &forward.FilterOptions{Noise: sigma * math.Sqrt(n)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("highest now %.2f, before %.2f, recovered %.2f at %d\n",
		floats.Max(y), floats.Max(x), floats.Max(inv.X), floats.MaxIdx(inv.X))
	// Output: highest now 0.78, before 1.00, recovered 1.00 at 20
}

// Numerical differentiation is the inversion of the running integral.
func ExampleNewIntegral() {
	a, err := forward.NewIntegral(5, 0.2)
	if err != nil {
		fmt.Println(err)
		return
	}
	y := []float64{0.04, 0.16, 0.36, 0.64, 1} // s² at the ends of the cells
	inv, err := forward.TSVD(a, y, &forward.FilterOptions{Param: 5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f\n", inv.X)
	// Output: [0.20 0.60 1.00 1.40 1.80]
}

// The shadow of a ball of glass, and the ball again.
func ExampleNewAbel() {
	a, err := forward.NewAbel(4, 0.25)
	if err != nil {
		fmt.Println(err)
		return
	}
	y := mat.NewDense(1, 4, nil)
	a.Apply(y, mat.NewDense(1, 4, []float64{1, 1, 1, 1}))
	fmt.Printf("%.3f\n", y.RawRowView(0)) // chords of the unit circle
	// Output: [1.984 1.854 1.561 0.968]
}
