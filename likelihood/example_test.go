package likelihood_test

import (
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/likelihood"
)

// decline is the model f_i = x_0 (1 + x_1 t_i) at the times 0, 1 and 2.
type decline struct{}

func (decline) Dims() (m, n int) { return 3, 2 }

func (decline) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		for j, t := range []float64{0, 1, 2} {
			dst.Set(i, j, x.At(i, 0)*(1+t*x.At(i, 1)))
		}
	}
}

func (decline) VJP(dst, x, y *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		var a, b float64
		for j, t := range []float64{0, 1, 2} {
			a += y.At(i, j) * (1 + t*x.At(i, 1))
			b += y.At(i, j) * x.At(i, 0) * t
		}
		dst.Set(i, 0, a)
		dst.Set(i, 1, b)
	}
}

// Counts that fall linearly with time, and their score.
func ExampleNew() {
	lik, err := likelihood.New(decline{}, []float64{12, 7, 3}, likelihood.Poisson{})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := []float64{10, -0.3}
	fmt.Printf("log p(y|x) = %.4f\n", lik.LogProb(x))
	fmt.Printf("score = %.4f\n", lik.ScoreInput(nil, x))
	// A negative rate is impossible.
	fmt.Println(lik.LogProb([]float64{10, -0.7}))
	// Output:
	// log p(y|x) = -5.8929
	// score = [0.1000 -5.0000]
	// -Inf
}

// Data that the law cannot produce are refused.
func ExampleNew_badData() {
	_, err := likelihood.New(decline{}, []float64{12, 7.5, 3}, likelihood.Poisson{})
	fmt.Println(err)
	_, err = likelihood.New(decline{}, []float64{12, 7}, likelihood.Poisson{})
	fmt.Println(err)
	// Output:
	// likelihood: y[1] is 7.5, want a count (0, 1, 2, ...)
	// likelihood: y has length 2, the operator's output 3
}

func ExampleNewGaussian() {
	lik, err := likelihood.NewGaussian(decline{}, []float64{12, 7, 3}, 0.5)
	if err != nil {
		fmt.Println(err)
		return
	}
	score := make([]float64, 2)
	logProb := lik.LogProbScore(score, []float64{12, -0.4})
	fmt.Printf("%.4f %.4f\n", logProb, score)
	// Output:
	// -1.4774 [0.0000 48.0000]
}

// New data for each row of x: the likelihood as a simulator.
func ExampleLikelihood_Simulate() {
	lik, err := likelihood.New(decline{}, []float64{12, 7, 3}, likelihood.Poisson{})
	if err != nil {
		fmt.Println(err)
		return
	}
	x := mat.NewDense(2, 2, []float64{
		10, -0.3,
		1000, -0.3,
	})
	y := mat.NewDense(2, 3, nil)
	if err := lik.Simulate(y, x, rand.NewPCG(1, 2)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mat.Formatted(y))
	// Output:
	// ⎡ 12    6    2⎤
	// ⎣989  706  420⎦
}
