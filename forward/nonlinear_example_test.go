package forward_test

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// Logistic growth y' = r y (1 - y/K) from an unknown start, observed five
// times: x = (r, K, y(0)).
func ExampleNewODE() {
	growth := func(dydt []float64, t float64, y, p []float64) {
		dydt[0] = p[0] * y[0] * (1 - y[0]/p[1])
	}
	op, err := forward.NewODE(growth, 2, []float64{0}, []float64{0, 2, 4, 6, 8},
		&forward.ODEOptions{UnknownInitial: []int{0}})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := mat.NewDense(1, 3, []float64{0.9, 10, 0.5})
	y := mat.NewDense(1, 5, nil)
	op.Apply(y, x)
	fmt.Printf("%.4f\n", y.RawRowView(0))

	// The gradient of y(8) with respect to x.
	last := mat.NewDense(1, 5, []float64{0, 0, 0, 0, 1})
	grad := mat.NewDense(1, 3, nil)
	op.VJP(grad, x, last)
	fmt.Printf("%.4f\n", grad.RawRowView(0))

	// A negative capacity lets the solution blow up: the row is NaN.
	x.Set(0, 1, -1)
	op.Apply(y, x)
	fmt.Println(y.At(0, 4))
	fmt.Println(op.Err(x.RawRowView(0)))
	// Output:
	// [0.5000 2.4151 6.5826 9.2097 9.8601]
	// [1.1033 0.9715 0.2903]
	// NaN
	// forward: ode: at time 1.22068: step size fell to nothing; the solution may be singular
}

// Any Go function is an operator, here the squared range and the slope of a point.
// Its derivatives are central differences.
func ExampleNewFunc() {
	op, err := forward.NewFunc(2, 2, func(dst, x []float64) {
		dst[0] = x[0]*x[0] + x[1]*x[1]
		dst[1] = x[1] / x[0]
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	x := mat.NewDense(1, 2, []float64{3, 4})
	y, grad := mat.NewDense(1, 2, nil), mat.NewDense(1, 2, nil)
	op.Apply(y, x)
	op.VJP(grad, x, mat.NewDense(1, 2, []float64{1, 0}))
	fmt.Printf("%.4f %.4f\n", y.RawRowView(0), grad.RawRowView(0))
	// Output:
	// [25.0000 1.3333] [6.0000 8.0000]
}

// A membrane under a constant load with a soft square in the middle: how far
// it bends at three points, and how the largest deflection depends on the
// stiffness of the nine squares.
func ExampleNewDarcy() {
	points := [][2]float64{{0.2, 0.2}, {0.5, 0.5}, {0.8, 0.5}}
	op, err := forward.NewDarcy(24, points, &forward.DarcyOptions{
		Blocks: 3,
		Source: func(x, y float64) float64 { return 10 },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	stiffness := mat.NewDense(1, 9, []float64{
		1, 1, 1,
		1, 0.5, 1,
		1, 1, 1,
	})
	u := mat.NewDense(1, 3, nil)
	op.Apply(u, stiffness)
	fmt.Printf("%.4f\n", u.RawRowView(0))

	grad := mat.NewDense(1, 9, nil)
	op.VJP(grad, stiffness, mat.NewDense(1, 3, []float64{0, 1, 0}))
	fmt.Printf("%.3f\n", mat.Formatted(mat.NewDense(3, 3, grad.RawRowView(0))))
	// Output:
	// [0.3453 0.8241 0.4977]
	// ⎡-0.057  -0.106  -0.057⎤
	// ⎢-0.106  -0.340  -0.106⎥
	// ⎣-0.057  -0.106  -0.057⎦
}

// The intensities of the Fourier transform of a signal: the same for its
// mirror image, which is why phase retrieval is hard.
func ExampleNewPhase() {
	all := []bool{true, true, true, true}
	fourier, err := forward.NewFourier(1, 4, all)
	if err != nil {
		fmt.Println(err)
		return
	}
	op, err := forward.NewPhase(fourier, &forward.PhaseOptions{Complex: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := mat.NewDense(2, 4, []float64{
		1, 2, 4, 0,
		4, 2, 1, 0,
	})
	y := mat.NewDense(2, 4, nil)
	op.Apply(y, x)
	fmt.Printf("%.3f\n", mat.Formatted(y))
	// Output:
	// ⎡12.250   3.250   2.250   3.250⎤
	// ⎣12.250   3.250   2.250   3.250⎦
}
