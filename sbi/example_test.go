package sbi_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sbi"
)

// The time that a falling stone takes, measured with an error, for an unknown
// height and an unknown gravity.
func ExampleSimulate() {
	pri, err := prior.NewBox([]float64{1, 9}, []float64{10, 10}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sim := sbi.NewSimulator(1, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
		height, gravity := theta[0], theta[1]
		y[0] = 2*height/gravity + 0.01*rand.New(src).NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(context.Background(), pri, sim, 1000, &sbi.SimulateOptions{Src: rand.NewPCG(1, 1)})
	if err != nil {
		log.Fatal(err)
	}
	row := table.Row(0)
	fmt.Printf("%d simulations, %d of them valid\n", table.Len(), table.Count(sbi.OK))
	fmt.Printf("the first: theta %.3f, y %.3f\n", row.Theta, row.Y)
	// Output:
	// 1000 simulations, 1000 of them valid
	// the first: theta [8.813 9.155], y [1.921]
}

// Is the exact posterior of a linear problem the right one? It is, as long as
// it is told the noise that the data have.
func ExampleSBC() {
	pri, err := prior.NewGaussian([]float64{0}, mat.NewDiagDense(1, []float64{1}), nil)
	if err != nil {
		log.Fatal(err)
	}
	op, err := forward.NewDense(mat.NewDense(1, 1, []float64{2}))
	if err != nil {
		log.Fatal(err)
	}
	truth, err := likelihood.NewGaussian(op, []float64{0}, 1)
	if err != nil {
		log.Fatal(err)
	}
	model := sbi.Model{Prior: pri, Simulator: sbi.FromLikelihood(truth)}
	for _, noise := range []float64{1, 0.5} {
		res, err := sbi.SBC(context.Background(), model, func(y []float64) (inverse.Sampler, error) {
			lik, err := likelihood.NewGaussian(op, y, noise)
			if err != nil {
				return nil, err
			}
			post, err := posterior.NewGaussian(pri, lik)
			if err != nil {
				return nil, err
			}
			post.Src = rand.NewPCG(math.Float64bits(y[0]), 0) // so that the output is always the same
			return post, nil
		}, &sbi.SBCOptions{Src: rand.NewPCG(1, 1)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res)
	}
	// Output:
	// SBC, 200 replications of 99 draws
	//             p ECDF   p chi2      mean rank         spread
	// theta1        0.32      0.9  0.501 ± 0.020  1.074 ± 0.063
	// no sign of error: the smallest of 1 p-values is 0.32
	//
	// SBC, 200 replications of 99 draws
	//             p ECDF   p chi2      mean rank         spread
	// theta1     1.1e-18  1.2e-42  0.509 ± 0.020  1.868 ± 0.063
	// theta1: the draws are too narrow
	// the sampler is wrong
}

func ExampleC2ST() {
	r := rand.New(rand.NewPCG(1, 1))
	p, q := mat.NewDense(500, 1, nil), mat.NewDense(500, 1, nil)
	for i := range 500 {
		p.Set(i, 0, r.NormFloat64())
		q.Set(i, 0, r.NormFloat64()+1)
	}
	res, err := sbi.C2ST(context.Background(), p, q, &sbi.C2STOptions{Src: rand.NewPCG(2, 2)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.1f\n", res.Accuracy) // the best possible is 0.69
	// Output: 0.7
}

// The posterior of the falling stone's height, from simulations alone.
func ExampleNPE() {
	ctx := context.Background()
	pri, err := prior.NewBox([]float64{1}, []float64{10}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sim := sbi.NewSimulator(1, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0] = math.Sqrt(2*theta[0]/9.81) + 0.05*rand.New(src).NormFloat64()
		return nil
	})
	table, err := sbi.Simulate(ctx, pri, sim, 2000, &sbi.SimulateOptions{Src: rand.NewPCG(1, 1)})
	if err != nil {
		log.Fatal(err)
	}
	npe, err := sbi.NPE(ctx, pri, table, &sbi.Options{Flow: flow.MAF{}, Src: rand.NewPCG(2, 2)})
	if err != nil {
		log.Fatal(err)
	}
	post := npe.Given([]float64{1}) // seconds
	post.Src = rand.NewPCG(3, 3)
	draws := mat.NewDense(1000, 1, nil)
	if err := post.Sample(ctx, draws); err != nil {
		log.Fatal(err)
	}
	mean, sd := stat.MeanStdDev(mat.Col(nil, 0, draws), nil)
	// By propagation of the error it is 4.9 ± 0.5 metres.
	fmt.Printf("%.0f metres, the standard deviation within 0.1 of 0.5: %t\n", mean, math.Abs(sd-0.5) < 0.1)
	// Output: 5 metres, the standard deviation within 0.1 of 0.5: true
}

// The rate of a Poisson process from the number of events alone.
func ExampleSMCABC() {
	pri, err := prior.NewBox([]float64{0}, []float64{50}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sim := sbi.NewSimulator(1, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		y[0] = distuv.Poisson{Lambda: theta[0], Src: src}.Rand()
		return nil
	})
	post, err := sbi.SMCABC(context.Background(), pri, sim, []float64{20}, &sbi.SMCABCOptions{Scale: []float64{1}, MaxSimulations: 50_000, Src: rand.NewPCG(1, 1)})
	if err != nil {
		log.Fatal(err)
	}
	mean, sd := post.Moments()
	fmt.Printf("tolerance %.0f: rate %.0f ± %.1f\n", post.Epsilon, mean[0], sd[0]) // exact: 21 ± 4.6
	// Output: tolerance 0: rate 21 ± 4.4
}

// A hundred data, of which 98 are noise: SNLE that screens them has the posterior
// of the mean of two measurements, N(0.8, 0.2).
func ExampleSNLE() {
	ctx := context.Background()
	pri, err := prior.NewGaussian([]float64{0}, mat.NewDiagDense(1, []float64{1}), nil)
	if err != nil {
		log.Fatal(err)
	}
	sim := sbi.NewSimulator(100, 1, func(_ context.Context, y, theta []float64, src rand.Source) error {
		r := rand.New(src)
		for j := range y {
			y[j] = 1 / (r.Float64() - 0.5)
		}
		for _, j := range []int{30, 70} {
			y[j] = theta[0] + math.Sqrt(0.5)*r.NormFloat64()
		}
		return nil
	})
	y := make([]float64, 100)
	y[30], y[70] = 0.5, 1.5
	nle, table, err := sbi.SNLE(ctx, pri, sim, y, 2000, &sbi.Sequential{
		Options: sbi.Options{Flow: flow.MAF{}, Screen: true, Src: rand.NewPCG(1, 2)},
		Rounds:  2,
	})
	if err != nil {
		log.Fatal(err)
	}
	post := nle.Given(y)
	post.Src = rand.NewPCG(3, 4)
	draws := mat.NewDense(5000, 1, nil)
	if err := post.Sample(ctx, draws); err != nil {
		log.Fatal(err)
	}
	mean, variance := stat.MeanVariance(mat.Col(nil, 0, draws), nil)
	fmt.Println(table.Len(), "simulations, data", nle.Features.Columns)
	fmt.Printf("mean %.1f, variance %.1f\n", mean, variance)
	// Output:
	// 2000 simulations, data [30 70]
	// mean 0.8, variance 0.2
}
