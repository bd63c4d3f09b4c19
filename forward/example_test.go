package forward_test

import (
	"fmt"
	"log"
	"math/rand/v2"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
)

// A point of light, blurred by a camera that moved to the right. At the border
// the image goes on as its mirror image.
func ExampleNewConv2D() {
	psf, err := forward.MotionPSF(3, 0)
	if err != nil {
		log.Fatal(err)
	}
	blur, err := forward.NewConv2D(3, 6, psf, &forward.Conv2DOptions{Boundary: forward.Reflect})
	if err != nil {
		log.Fatal(err)
	}
	x := mat.NewDense(1, 18, nil)
	x.Set(0, 1*6+1, 3) // row 1, column 1
	x.Set(0, 2*6+5, 3) // row 2, column 5
	y := mat.NewDense(1, 18, nil)
	blur.Apply(y, x)
	fmt.Printf("%.0f\n", mat.Formatted(mat.NewDense(3, 6, y.RawRowView(0))))
	// Output:
	// ⎡0  0  0  0  0  0⎤
	// ⎢1  1  1  0  0  0⎥
	// ⎣0  0  0  0  1  2⎦
}

// The singular values of a periodic convolution are the moduli of the Fourier
// coefficients of its point spread function.
func ExampleNewConv1D() {
	mean, err := forward.NewConv1D(4, []float64{0.5, 0.5}, &forward.Conv1DOptions{Boundary: forward.Periodic})
	if err != nil {
		log.Fatal(err)
	}
	if s, ok := mean.(inverse.Spectral); ok {
		fmt.Printf("%.3f\n", s.SingularValues())
	}
	// Output:
	// [1.000 0.707 0.000 0.707]
}

func ExampleNewDownsample() {
	coarse, err := forward.NewDownsample(2, 4, 2, nil)
	if err != nil {
		log.Fatal(err)
	}
	y := mat.NewDense(1, 2, nil)
	coarse.Apply(y, mat.NewDense(1, 8, []float64{
		1, 3, 5, 5,
		2, 2, 5, 9,
	}))
	fmt.Println(y.RawRowView(0))
	// Output:
	// [2 6]
}

// Two of three pixels of a blurred signal are seen by one instrument, and
// their mean by another one.
func ExampleStack() {
	blur, err := forward.NewConv1D(3, []float64{0.25, 0.5, 0.25}, &forward.Conv1DOptions{Boundary: forward.Reflect})
	if err != nil {
		log.Fatal(err)
	}
	some, err := forward.Restrict(blur, []int{0, 2})
	if err != nil {
		log.Fatal(err)
	}
	mean, err := forward.NewDense(mat.NewDense(1, 3, []float64{1. / 3, 1. / 3, 1. / 3}))
	if err != nil {
		log.Fatal(err)
	}
	both, err := forward.Stack(some, mean)
	if err != nil {
		log.Fatal(err)
	}
	m, n := both.Dims()
	_, linear := both.(inverse.Linear)
	fmt.Println(m, n, linear)

	y := mat.NewDense(1, 3, nil)
	both.Apply(y, mat.NewDense(1, 3, []float64{4, 0, 8}))
	fmt.Printf("%.0f\n", y.RawRowView(0))
	// Output:
	// 3 3 true
	// [3 6 4]
}

// Decay observes a decaying quantity at times 1, 2, 3. Its Adjoint is wrong.
type Decay struct{}

func (Decay) Dims() (m, n int) { return 3, 1 }

func (Decay) Apply(dst, x *mat.Dense) {
	for i := range x.RawMatrix().Rows {
		v := x.At(i, 0)
		dst.SetRow(i, []float64{v / 2, v / 4, v / 8})
	}
}

func (Decay) Adjoint(dst, y *mat.Dense) {
	for i := range y.RawMatrix().Rows {
		dst.Set(i, 0, y.At(i, 0)/2+y.At(i, 1)/4+y.At(i, 2)/9)
	}
}

func ExampleCheckAdjoint() {
	err := forward.CheckAdjoint(Decay{}, rand.NewPCG(1, 2))
	what, _, _ := strings.Cut(err.Error(), ": <")
	fmt.Println(what)
	// Output:
	// forward: Adjoint is not the transpose of Apply
}

// Squares is x ↦ x², coordinate by coordinate.
type Squares struct{ n int }

func (s Squares) Dims() (m, n int) { return s.n, s.n }

func (Squares) Apply(dst, x *mat.Dense) { dst.MulElem(x, x) }

func (Squares) VJP(dst, x, y *mat.Dense) {
	dst.MulElem(x, y)
	dst.Scale(2, dst)
}

func ExampleCheckVJP() {
	fmt.Println(forward.CheckVJP(Squares{5}, nil, nil))
	// Output:
	// <nil>
}

func ExampleLinearize() {
	lin, err := forward.Linearize(Squares{2})
	if err != nil {
		log.Fatal(err)
	}
	y, g := mat.NewDense(1, 2, nil), mat.NewDense(1, 2, nil)
	lin.Apply(y, mat.NewDense(1, 2, []float64{3, 4}))
	lin.VJP(g, mat.NewDense(1, 2, []float64{1, 10}))
	fmt.Println(y.RawRowView(0), g.RawRowView(0))
	// Output:
	// [9 16] [6 80]
}
