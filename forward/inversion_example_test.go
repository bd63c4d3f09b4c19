package forward_test

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// integral is the running integral on [0, 1] with n cells.
type integral int

func (n integral) Dims() (int, int) { return int(n), int(n) }

func (n integral) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		floats.CumSum(dst.RawRowView(i), x.RawRowView(i))
	}
	dst.Scale(1/float64(n), dst)
}

func (n integral) Adjoint(dst, y *mat.Dense) {
	r, _ := y.Dims()
	for i := range r {
		sum, row := 0., dst.RawRowView(i)
		for j := int(n) - 1; j >= 0; j-- {
			sum += y.At(i, j)
			row[j] = sum / float64(n)
		}
	}
}

// The error of the iterates first falls and then rises. The discrepancy
// principle stops while it is small.
func ExampleCGLS() {
	a := integral(100)
	truth, y := make([]float64, 100), make([]float64, 100)
	for i := range truth {
		truth[i] = math.Sin(math.Pi * (float64(i) + 0.5) / 100)
	}
	a.Apply(mat.NewDense(1, 100, y), mat.NewDense(1, 100, truth))
	const sigma = 0.01
	for i := range y {
		y[i] += sigma * math.Sqrt2 * math.Sin(float64(7*i*i)) // the noise
	}

	inv, err := forward.CGLS(context.Background(), a, y, &forward.IterOptions{
		Noise: sigma * math.Sqrt(100),
		Progress: func(it forward.Iterate) {
			fmt.Printf("%d: residual %.3f, error %.2f\n", it.Iteration, it.Residual, floats.Distance(it.X, truth, 2))
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v after %v iterations\n", inv.Stop, inv.Param)

	late, err := forward.CGLS(context.Background(), a, y, &forward.IterOptions{MaxIter: 50})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("after %v iterations the error is %.1f\n", late.Param, floats.Distance(late.X, truth, 2))
	// Output:
	// 1: residual 0.691, error 3.33
	// 2: residual 0.118, error 0.75
	// 3: residual 0.097, error 0.39
	// rule after 3 iterations
	// after 50 iterations the error is 14.9
}

// A penalty on second differences leaves straight lines alone. Without a
// noise norm, generalised cross-validation chooses its weight.
func ExampleGeneralTikhonov() {
	a := integral(50)
	y := make([]float64, 50)
	for i := range y {
		s := float64(i+1) / 50
		y[i] = s*s + 0.01*math.Sin(float64(7*i*i)) // the integral of 2s, and noise
	}
	inv, err := forward.GeneralTikhonov(context.Background(), a, secondDifferences(50), y, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("x(0.21) = %.2f, x(0.81) = %.2f\n", inv.X[10], inv.X[40])
	// Output: x(0.21) = 0.42, x(0.81) = 1.61
}

type secondDifferences int

func (n secondDifferences) Dims() (int, int) { return int(n) - 2, int(n) }

func (n secondDifferences) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		x, dst := x.RawRowView(i), dst.RawRowView(i)
		for j := range dst {
			dst[j] = x[j] - 2*x[j+1] + x[j+2]
		}
	}
}

func (n secondDifferences) Adjoint(dst, y *mat.Dense) {
	dst.Zero()
	r, _ := y.Dims()
	for i := range r {
		y, dst := y.RawRowView(i), dst.RawRowView(i)
		for j, v := range y {
			dst[j] += v
			dst[j+1] -= 2 * v
			dst[j+2] += v
		}
	}
}
