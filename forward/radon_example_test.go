package forward_test

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// A head scanned from 90 angles. The data are the exact line integrals of the
// phantom, which the operator knows only through its pixels.
func ExampleRadon() {
	const n = 64
	angles := make([]float64, 90)
	for i := range angles {
		angles[i] = math.Pi * float64(i) / 90
	}
	scan, err := forward.NewRadon(n, n, angles, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	head := forward.SheppLogan()
	y, x := head.Sinogram(scan), head.Image(n, n)

	m, k := scan.Dims()
	ax := make([]float64, m)
	scan.Apply(mat.NewDense(1, m, ax), mat.NewDense(1, k, x))
	fmt.Printf("%d data of %d pixels; the pixels explain %.1f %% of the data\n", m, k,
		100*(1-floats.Distance(ax, y, 2)/floats.Norm(y, 2)))

	inv, err := forward.CGLS(context.Background(), scan, y, &forward.IterOptions{MaxIter: 7})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("relative error after 7 iterations: %.2f\n", floats.Distance(inv.X, x, 2)/floats.Norm(x, 2))
	// Output:
	// 8550 data of 4096 pixels; the pixels explain 94.3 % of the data
	// relative error after 7 iterations: 0.24
}
