package likelihood_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
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

// Growth observed with multiplicative noise, a noise law around the solution
// of a differential equation. A capacity that is negative lets the solution
// blow up, and is impossible.
func ExampleNew_differentialEquation() {
	growth := func(dydt []float64, t float64, y, p []float64) {
		dydt[0] = p[0] * y[0] * (1 - y[0]/p[1])
	}
	op, err := forward.NewODE(growth, 2, []float64{0.5}, []float64{2, 4, 6, 8}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	lik, err := likelihood.New(op, []float64{2.2, 6.9, 9.0, 10.3}, likelihood.LogNormal{Sigma: 0.1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range [][]float64{{0.9, 10}, {0.5, 10}, {0.9, -1}} {
		fmt.Printf("%.3f %.3f\n", lik.LogProb(x), lik.ScoreInput(nil, x))
	}
	// Output:
	// -2.382 [-8.316 0.332]
	// -79.378 [589.654 7.756]
	// -Inf [0.000 0.000]
}

// cauchy is a noise law of one's own.
type cauchy struct{}

func (cauchy) Check(y []float64) error { return nil }

func (cauchy) LogProbScore(score, y, f []float64) float64 {
	p := -float64(len(y)) * math.Log(math.Pi)
	for i := range y {
		r := y[i] - f[i]
		p -= math.Log1p(r * r)
		score[i] = 2 * r / (1 + r*r)
	}
	return p
}

func (cauchy) Rand(dst, f []float64, src rand.Source) {
	r := rand.New(src)
	for i, v := range f {
		dst[i] = v + math.Tan(math.Pi*(r.Float64()-0.5))
	}
}

// A noise law of one's own is checked in its own test, and then used as any
// other.
func ExampleCheckNoise() {
	fmt.Println(likelihood.CheckNoise(cauchy{}, []float64{-1, 0, 20}, nil))
	lik, err := likelihood.New(decline{}, []float64{12, 7, 3}, cauchy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n", lik.LogProb([]float64{10, -0.3}))
	// Output:
	// <nil>
	// -5.7368
}
