package inverse_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
	"github.com/go-inverse/inverse/sbi"
)

// Every line of Go in the README stands in an example of this file.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, line := range strings.Split(string(source), "\n") {
		line = strings.Join(strings.Fields(line), " ")
		have[strings.TrimSuffix(line, " {")] = true
		if head, _, ok := strings.Cut(line, " { return "); ok {
			have[head] = true
		}
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("no Go in the README")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		for _, line := range strings.Split(code, "\n") {
			if line = strings.TrimSuffix(strings.Join(strings.Fields(line), " "), " {"); line != "" && !have[line] {
				t.Errorf("not in an example: %s", line)
			}
		}
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func Example_closedForm() {
	ctx := context.Background()
	psf, err := forward.GaussianPSF(2)
	must(err)
	y, sigma := make([]float64, 256*256), .01
	draws := mat.NewDense(2, 256*256, nil)

	blur, err := forward.NewConv2D(256, 256, psf, &forward.Conv2DOptions{Boundary: forward.Reflect})
	must(err)
	field, err := prior.NewGMRF2D(256, 256, &prior.GMRFOptions{Order: 2, Precision: 40})
	must(err)
	lik, err := likelihood.NewGaussian(blur, y, sigma)
	must(err)

	post, err := posterior.NewGaussian(field, lik)
	must(err)
	mean := post.Mean(nil)
	err = post.Sample(ctx, draws) // a *mat.Dense, one row a draw
	must(err)
	fmt.Println(len(mean))
	// Output: 65536
}

// line is a straight line seen at three points.
func line() (pri *prior.Gaussian, lik *likelihood.Gaussian) {
	a, err := forward.NewDense(mat.NewDense(3, 2, []float64{1, 1, 1, 2, 1, 3}))
	must(err)
	pri, err = prior.NewGaussian(nil, mat.NewDiagDense(2, []float64{.01, 100}), nil)
	must(err)
	lik, err = likelihood.NewGaussian(a, []float64{2.1, 3.9, 6.2}, .2)
	must(err)
	return pri, lik
}

func Example_markovChains() {
	ctx, src := context.Background(), rand.NewPCG(1, 2)
	pri, lik := line()

	post, err := posterior.New(pri, lik) // log densities add, scores add
	must(err)
	run, err := sampler.Run(ctx, post, &sampler.NUTS{}, &sampler.Settings{Chains: 4, Src: src})
	must(err)
	fmt.Println(run.Summary()) // mean, sd, MCSE, ESS, R-hat; says so if it has not converged
}

func Example_variational() {
	ctx, src := context.Background(), rand.NewPCG(1, 2)
	pri, lik := line()
	post, err := posterior.New(pri, lik)
	must(err)

	fit, err := sampler.Fit(ctx, post, &sampler.Pathfinder{}, &sampler.FitOptions{Src: src})
	must(err)
	fmt.Println(fit) // with PSIS k-hat
}

func Example_leastSquares() {
	const n, sigma = 64, .01
	ctx, m := context.Background(), float64(n)
	blur, err := forward.NewConv1D(n, []float64{.25, .5, .25}, &forward.Conv1DOptions{Boundary: forward.Reflect})
	must(err)
	y := make([]float64, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range y {
		y[i] = math.Sin(float64(i)/9) + sigma*r.NormFloat64()
	}

	inv, err := forward.CGLS(ctx, blur, y, &forward.IterOptions{Noise: sigma * math.Sqrt(m)})
	must(err)
	fmt.Println(inv.Stop, inv.Param, inv.Residual)
}

func Example_simulations() {
	ctx, src := context.Background(), rand.NewPCG(1, 2)
	pri, lik := line()
	sim := sbi.FromLikelihood(lik)
	yObserved := lik.Data()
	model := sbi.Model{Prior: pri, Simulator: sim}

	table, err := sbi.Simulate(ctx, pri, sim, 10_000, &sbi.SimulateOptions{Src: src})
	must(err)
	npe, err := sbi.NPE(ctx, pri, table, &sbi.Options{Flow: flow.NSF{}, Src: src})
	must(err)
	post := npe.Given(yObserved) // a Sampler with LogProb
	fmt.Println(post.LogProb([]float64{0, 2}))

	res, err := sbi.SBC(ctx, model, func(y []float64) (inverse.Sampler, error) { return npe.Given(y), nil }, &sbi.SBCOptions{Src: src})
	must(err)
	fmt.Println(res) // ranks of each parameter, p-values, a verdict
}

func Example_diffusion() {
	ctx, src := context.Background(), rand.NewPCG(1, 2)
	mixture, err := prior.NewIsotropicMixture([]float64{.3, .5, .2}, mat.NewDense(3, 1, []float64{-2.5, 0, 1.5}), []float64{.3, .4, .3}, nil)
	must(err)
	identity, err := forward.NewIdentity(1)
	must(err)
	lik, err := likelihood.NewGaussian(identity, []float64{.5}, .8)
	must(err)
	draws := mat.NewDense(1000, 1, nil)

	score, err := diffusion.Diffuse(mixture, diffusion.NewVP(0.1, 20))
	must(err)
	guide, err := diffusion.NewMMPS(score, lik) // or NewDPS, NewPiGDM, NewExact, ...
	must(err)
	post, err := posterior.Sum(score, guide) // one evaluation serves both
	must(err)
	s := &diffusion.Reverse{Score: post, Schedule: score.Schedule(), Src: src}
	err = s.Sample(ctx, draws)
	must(err)
	fmt.Println(math.Abs(stat.Mean(mat.Col(nil, 0, draws), nil)-.35) < .1) // the exact mean is 0.35
	// Output: true
}

// Gravity is an operator of one's own: the vertical pull, at the surface, of
// masses buried a unit deep.
type Gravity struct{}

func (g Gravity) Dims() (m, n int) { return 20, 10 }

func (g Gravity) kernel(i, j int) float64 {
	d := float64(i) - 2*float64(j)
	return math.Pow(1+d*d, -1.5)
}

func (g Gravity) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for k := range r {
		for i := range 20 {
			var sum float64
			for j := range 10 {
				sum += g.kernel(i, j) * x.At(k, j)
			}
			dst.Set(k, i, sum)
		}
	}
}

func (g Gravity) Adjoint(dst, y *mat.Dense) {
	r, _ := y.Dims()
	for k := range r {
		for j := range 10 {
			var sum float64
			for i := range 20 {
				sum += g.kernel(i, j) * y.At(k, i)
			}
			dst.Set(k, j, sum)
		}
	}
}

func TestGravity(t *testing.T) {
	if err := forward.CheckAdjoint(Gravity{}, nil); err != nil {
		t.Error(err)
	}
}
