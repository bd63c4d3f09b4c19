package prior_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/prior"
)

// A smooth random image: draw it, and say how much it varies.
func ExampleNewGMRF2D() {
	field, err := prior.NewGMRF2D(64, 64, &prior.GMRFOptions{
		Order:     2,
		Precision: 1,
		Range:     12,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	draws := mat.NewDense(3, field.Dim(), nil)
	field.Draw(draws, rand.NewPCG(1, 2))

	variance := field.Variance(nil)
	fmt.Printf("standard deviation %.2f in the middle, %.2f in a corner\n",
		math.Sqrt(variance[32*64+32]), math.Sqrt(variance[0]))
	// Output:
	// standard deviation 1.21 in the middle, 2.35 in a corner
}

// The posterior of a Gaussian given one datum, the sum of two unknowns.
func ExampleGaussian_Condition() {
	g, err := prior.NewGaussian([]float64{1, 1}, mat.NewDiagDense(2, []float64{1, 4}), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	a := mat.NewDense(1, 2, []float64{1, 1})
	post, evidence, err := g.Condition(a, []float64{5}, mat.NewDiagDense(1, []float64{1}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("mean %.2f, log evidence %.3f\n", post.Mean(nil), evidence)
	// Output:
	// mean [1.50 3.00], log evidence -2.565
}

// A mixture stays a mixture when data arrive; the data choose between its
// components.
func ExampleMixture_Condition() {
	means := mat.NewDense(3, 1, []float64{-2.5, 0, 1.5})
	mix, err := prior.NewIsotropicMixture([]float64{0.3, 0.5, 0.2}, means, []float64{0.3, 0.4, 0.3}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// y = x + e = 0.5, and e has standard deviation 0.8.
	post, _, err := mix.Condition(mat.NewDense(1, 1, []float64{1}), []float64{0.5}, mat.NewDiagDense(1, []float64{0.64}))
	if err != nil {
		fmt.Println(err)
		return
	}
	var v mat.SymDense
	post.CovarianceMatrix(&v)
	fmt.Printf("weights %.6f\n", post.Weights(nil))
	fmt.Printf("mean %.5f, standard deviation %.5f\n", post.Mean(nil)[0], math.Sqrt(v.At(0, 0)))
	// Output:
	// weights [0.001237 0.801063 0.197700]
	// mean 0.34965, standard deviation 0.61993
}

// The score of a mixture at diffusion time, for a batch of points.
func ExampleMixture_DiffusedScore() {
	mix, err := prior.NewIsotropicMixture(nil, mat.NewDense(2, 2, []float64{-4, 0, 4, 0}), []float64{1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	x := mat.NewDense(2, 2, []float64{0, 1, 3, 1})
	score, denoised := mat.NewDense(2, 2, nil), mat.NewDense(2, 2, nil)
	mix.DiffusedScore(score, x, 0.6, 0.8)
	mix.Denoise(denoised, x, 0.6, 0.8)
	fmt.Printf("%.3f\n", mat.Formatted(score))
	fmt.Printf("%.3f\n", mat.Formatted(denoised))
	// Output:
	// ⎡ 0.000  -1.000⎤
	// ⎣-0.600  -1.000⎦
	// ⎡0.000  0.600⎤
	// ⎣4.360  0.600⎦
}

// Independent parameters, each with its own distribution, and the transform
// that lets a sampler work on all of R³.
func ExampleNewProduct() {
	p, err := prior.NewProduct([]distuv.LogProber{
		distuv.Normal{Mu: 0, Sigma: 2},
		distuv.LogNormal{Mu: -1, Sigma: 0.5},
		distuv.Beta{Alpha: 2, Beta: 2},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	x := make([]float64, 3)
	logDet := prior.TransformOf(p).Constrain(x, []float64{1, -1, 0})
	fmt.Printf("x = %.3f, log density of u %.3f\n", x, p.LogProb(x)+logDet)
	// Output:
	// x = [1.000 0.368 0.500], log density of u -2.944
}

// A prior for a signal with jumps, by Cauchy steps.
func ExampleNewRandomWalk() {
	walk, err := prior.NewRandomWalk(5, distuv.StudentsT{Sigma: 0.1, Nu: 1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	jump, ramp := []float64{0, 0, 0, 1, 1}, []float64{0, 0.25, 0.5, 0.75, 1}
	fmt.Printf("a jump is %.0f times as likely as a ramp\n", math.Exp(walk.LogProb(jump)-walk.LogProb(ramp)))
	// Output:
	// a jump is 27 times as likely as a ramp
}

// A smooth function at three points, once it is known at one of them.
func ExampleNewGP() {
	points := mat.NewDense(3, 1, []float64{0, 0.5, 1})
	gp, err := prior.NewGP(points, prior.Matern{Nu: 1.5, SD: 1, Length: 1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	at0 := mat.NewDense(1, 3, []float64{1, 0, 0})
	post, _, err := gp.Condition(at0, []float64{2}, mat.NewDiagDense(1, []float64{1e-6}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("mean %.3f, variance %.3f\n", post.Mean(nil), post.Variance(nil))
	// Output:
	// mean [2.000 1.570 0.967], variance [0.000 0.384 0.766]
}

// ring is a density of one's own: a ring of radius 1.
type ring struct{}

func (ring) LogProb(x []float64) float64 {
	d := math.Hypot(x[0], x[1]) - 1
	return -50 * d * d
}

func (ring) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, 2)
	}
	r := math.Hypot(x[0], x[1])
	score[0] = -100 * (r - 1) * x[0] / r
	score[1] = -100 * (r - 1) * x[1] / r
	return score
}

func ExampleCheckScore() {
	fmt.Println(prior.CheckScore(ring{}, []float64{0.6, 0.9}))
	// Output:
	// <nil>
}
