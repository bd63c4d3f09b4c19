// Command darcy infers how easily water flows through the ground from the
// pressure in a few wells: the coefficient of an elliptic equation, by pCN,
// by generalised pCN and by NUTS.
//
//	go run ./examples/darcy
//
// It writes darcy.png to the folder -out and prints a table.
//
// The unknown is the logarithm of the conductivity θ on 16×16 squares,
// with -div(θ grad u) = 10 and u = 0 on the boundary; u is measured in 7×7
// wells. The data come from a mesh four times as fine, with a conductivity
// that squares cannot represent.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/examples/internal/show"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/posterior"
	"github.com/go-inverse/inverse/prior"
	"github.com/go-inverse/inverse/sampler"
)

const side = 16 // squares along a side

func main() { show.Main(run) }

// logTheta is the truth: hard ground to the left, soft ground to the right.
func logTheta(x, y float64) float64 {
	bump := func(cx, cy, r float64) float64 {
		return math.Exp(-((x-cx)*(x-cx) + (y-cy)*(y-cy)) / (r * r))
	}
	return 1.5*bump(.7, .35, .2) - 1.5*bump(.3, .65, .2)
}

// onGrid returns the truth at the centres of n×n squares.
func onGrid(n int) []float64 {
	x := make([]float64, n*n)
	for i := range n {
		for j := range n {
			x[i*n+j] = logTheta((float64(j)+.5)/float64(n), (float64(i)+.5)/float64(n))
		}
	}
	return x
}

// pressure returns the operator from log θ on n×n squares to the wells.
func pressure(n int) (*forward.Darcy, error) {
	var wells [][2]float64
	for i := 1; i <= 7; i++ {
		for j := 1; j <= 7; j++ {
			wells = append(wells, [2]float64{float64(i) / 8, float64(j) / 8})
		}
	}
	return forward.NewDarcy(n, wells, &forward.DarcyOptions{
		Log:    true,
		Source: func(x, y float64) float64 { return 10 },
	})
}

// measure makes the data on the fine mesh, with noise.
func measure(sigma float64, src rand.Source) ([]float64, error) {
	op, err := pressure(4 * side)
	if err != nil {
		return nil, err
	}
	m, n := op.Dims()
	u := mat.NewDense(1, m, nil)
	op.Apply(u, mat.NewDense(1, n, onGrid(4*side)))
	y, r := u.RawRowView(0), rand.New(src)
	for i := range y {
		y[i] += sigma * r.NormFloat64()
	}
	return y, nil
}

// field takes white noise z to a draw of a Gaussian field: an operator of the
// example's own. In z the prior is N(0, I), which all samplers like better.
type field struct{ *prior.GMRF }

var _ inverse.Linear = field{}

func (f field) Dims() (m, n int) { return f.Dim(), f.Dim() }

func (f field) Apply(dst, z *mat.Dense) {
	dst.Apply(func(_, j int, v float64) float64 { return v / math.Sqrt(f.Eigenvalues()[j]) }, z)
	f.MulV(dst, dst)
}

func (f field) Adjoint(dst, x *mat.Dense) {
	f.MulVT(dst, x)
	dst.Apply(func(_, j int, v float64) float64 { return v / math.Sqrt(f.Eigenvalues()[j]) }, dst)
}

// problem is the posterior in z.
type problem struct {
	field field
	white *prior.Gaussian
	lik   *likelihood.Gaussian
	post  *posterior.Posterior
}

func newProblem(y []float64, sigma float64) (*problem, error) {
	op, err := pressure(side)
	if err != nil {
		return nil, err
	}
	gmrf, err := prior.NewGMRF2D(side, side, &prior.GMRFOptions{Order: 2, Range: 8, Precision: 2})
	if err != nil {
		return nil, err
	}
	p := &problem{field: field{gmrf}}
	if err := forward.CheckAdjoint(p.field, nil); err != nil {
		return nil, err
	}
	of, err := forward.Compose(op, p.field)
	if err != nil {
		return nil, err
	}
	one := mat.NewDiagDense(side*side, nil)
	for i := range side * side {
		one.SetDiag(i, 1)
	}
	if p.white, err = prior.NewGaussian(nil, one, nil); err != nil {
		return nil, err
	}
	if p.lik, err = likelihood.NewGaussian(of, y, sigma); err != nil {
		return nil, err
	}
	p.post, err = posterior.New(p.white, p.lik)
	return p, err
}

// route is one way to sample the posterior, and what came of it.
type route struct {
	Name    string
	Solves  int     // of the equation, or of it and its adjoint
	Seconds float64 // wall time
	ESS     float64 // least bulk effective sample size of log θ
	RHat    float64 // largest
	Warning string  `json:",omitempty"`

	kernel   sampler.Kernel
	settings sampler.Settings
	chains   []*mat.Dense // of log θ
	mean, sd []float64
	trace    []float64 // log θ of one square, one chain
}

func run(ctx context.Context, f *show.Flags) error {
	const sigma = .01
	src := rand.NewPCG(f.Seed, 0)
	y, err := measure(sigma, src)
	if err != nil {
		return err
	}
	p, err := newProblem(y, sigma)
	if err != nil {
		return err
	}
	routes, err := p.routes(ctx, f, src)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := p.sample(ctx, f, r); err != nil {
			return err
		}
	}
	f.Done()
	path, err := draw(f, y, routes)
	if err != nil {
		return err
	}
	f.Print("%s\nThe picture is %s.\n", table(routes), path)
	return f.Figures(map[string]any{"Routes": routes})
}

// routes are the three samplers. Generalised pCN proposes from Laplace's
// approximation instead of the prior.
func (p *problem) routes(ctx context.Context, f *show.Flags, src rand.Source) ([]*route, error) {
	f.Progress("mode")
	mode, err := posterior.MAP(ctx, p.post, make([]float64, side*side), nil)
	if err != nil {
		return nil, err
	}
	laplace, err := posterior.NewLaplace(p.post, mode)
	if err != nil {
		return nil, err
	}
	init := mat.NewDense(1, side*side, mode.X)
	walk := sampler.Settings{Warmup: 2000, Draws: 1000, Thin: 30, Init: init, Src: src}
	nuts := sampler.Settings{Warmup: 500, Draws: 1000, Init: init, Src: src}
	if f.Quick {
		walk.Warmup, walk.Draws, walk.Thin = 500, 200, 10
		nuts.Warmup, nuts.Draws = 100, 100
	}
	return []*route{
		{Name: "pCN", kernel: &sampler.PCN{Reference: p.white, Likelihood: p.lik}, settings: walk},
		{Name: "generalised pCN", kernel: &sampler.PCN{Reference: laplace.Gaussian}, settings: walk},
		{Name: "NUTS", kernel: &sampler.NUTS{}, settings: nuts},
	}, nil
}

func (p *problem) sample(ctx context.Context, f *show.Flags, r *route) error {
	s := r.settings
	s.Progress = func(q sampler.Progress) { f.Progress("%s: iteration %d of %d", r.Name, q.Done, q.Total) }
	start := time.Now()
	res, err := sampler.Run(ctx, p.post, r.kernel, &s)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	r.Seconds = time.Since(start).Seconds()
	r.Solves = len(res.Chains) * (s.Warmup + s.Draws*max(s.Thin, 1))
	if _, ok := r.kernel.(*sampler.NUTS); ok {
		r.Solves = leapfrogs(res)
	}
	// Draws of z become draws of log θ.
	for _, z := range res.Chains {
		rows, n := z.Dims()
		x := mat.NewDense(rows, n, nil)
		p.field.Apply(x, z)
		r.chains = append(r.chains, x)
	}
	summary := sampler.Summarize(nil, r.chains)
	r.ESS = math.Inf(1)
	for _, q := range summary.Params {
		r.ESS, r.RHat = min(r.ESS, q.ESSBulk), max(r.RHat, q.RHat)
		r.mean, r.sd = append(r.mean, q.Mean), append(r.sd, q.SD)
	}
	if !summary.Converged() {
		r.Warning = "not converged"
	}
	r.trace = mat.Col(nil, side*side/3, r.chains[0])
	return nil
}

// leapfrogs returns the number of gradients evaluated for the draws.
func leapfrogs(res *sampler.Result) int {
	var total float64
	for k, name := range sampler.StatNames() {
		if name != "n_leapfrog__" {
			continue
		}
		for _, s := range res.Stats {
			total += floats.Sum(mat.Col(nil, k, s))
		}
	}
	return int(total)
}

func table(routes []*route) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s  %8s  %8s  %9s  %6s  %13s\n", "", "solves", "seconds", "least ESS", "R-hat", "ESS per 10⁴")
	for _, r := range routes {
		fmt.Fprintf(&b, "%-16s  %8d  %8.1f  %9.0f  %6.3f  %13.1f  %s\n",
			r.Name, r.Solves, r.Seconds, r.ESS, r.RHat, 1e4*r.ESS/float64(r.Solves), r.Warning)
	}
	b.WriteString("\nA solve is one of the equation; for NUTS it is one of the equation and its adjoint,\nwarm-up not counted. The ESS is that of the worst square.\n")
	return b.String()
}
