package sampler

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
)

// The posterior of a prior N(2, 1) and y = 1 with unit noise has mean 1.5 and
// variance 1/2. A pCN that forgets the prior's mean has mean 0.5.
func TestPCNWithPriorMean(t *testing.T) {
	pri, ok := distmv.NewNormal([]float64{2}, mat.NewSymDense(1, []float64{1}), nil)
	if !ok {
		t.Fatal("prior")
	}
	post := density(func(x []float64) float64 { return pri.LogProb(x) - (x[0]-1)*(x[0]-1)/2 })
	for _, k := range []Kernel{&PCN{Reference: pri}, &EllipticalSlice{Prior: pri}} {
		r := mustRun(t, post, k, &Settings{Draws: fewer(4000), Thin: 3, Init: mat.NewDense(1, 1, nil)})
		checkMoment(t, "mean", r, func(x []float64) float64 { return x[0] }, 1.5)
		checkMoment(t, "variance", r, func(x []float64) float64 { return (x[0] - 1.5) * (x[0] - 1.5) }, 0.5)
	}
}

func TestCholeskyUpdate(t *testing.T) {
	rnd := rand.New(rng.New(41, 0))
	const d = 5
	l := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range i {
			l.Set(i, j, rnd.NormFloat64())
		}
		l.Set(i, i, 1+rnd.Float64())
	}
	v := make([]float64, d)
	normals(v, rnd)
	var want mat.Dense
	want.Mul(l, l.T())
	for i := range d {
		for j := range d {
			want.Set(i, j, want.At(i, j)+v[i]*v[j])
		}
	}
	choleskyUpdate(l.RawMatrix().Data, v)
	var got mat.Dense
	got.Mul(l, l.T())
	if !mat.EqualApprox(&got, &want, 1e-12) {
		t.Errorf("L Lᵀ is\n%v\nwant\n%v", mat.Formatted(&got), mat.Formatted(&want))
	}
}

// turn is the flow of u' = (I - u uᵀ) g/(d-1) with K' = u·g, here integrated
// by a Runge-Kutta method.
func TestMicrocanonicalTurn(t *testing.T) {
	rnd := rand.New(rng.New(42, 0))
	const d, steps = 4, 2000
	s := &mclmc{}
	for _, eps := range []float64{0.3, 2, 20} {
		u, g := make([]float64, d), make([]float64, d)
		normals(u, rnd)
		normals(g, rnd)
		floats.Scale(1/floats.Norm(u, 2), u)
		flow := func(dst, z []float64) {
			a := floats.Dot(z[:d], g)
			for i := range d {
				dst[i] = (g[i] - a*z[i]) / (d - 1)
			}
			dst[d] = a
		}
		z := append(append([]float64(nil), u...), 0)
		k := [4][]float64{}
		for i := range k {
			k[i] = make([]float64, d+1)
		}
		h, w := eps/steps, make([]float64, d+1)
		for range steps {
			flow(k[0], z)
			flow(k[1], floats.AddScaledTo(w, z, h/2, k[0]))
			flow(k[2], floats.AddScaledTo(w, z, h/2, k[1]))
			flow(k[3], floats.AddScaledTo(w, z, h, k[2]))
			for i := range z {
				z[i] += h / 6 * (k[0][i] + 2*k[1][i] + 2*k[2][i] + k[3][i])
			}
		}
		dk := s.turn(u, g, eps)
		if !floats.EqualApprox(u, z[:d], 1e-8) || math.Abs(dk-z[d]) > 1e-8*(1+eps) {
			t.Errorf("ε = %g: u = %.8f, ΔK = %.8f, want %.8f", eps, u, dk, z)
		}
	}
}

// In many dimensions MCLMC is worth its bias: with the default settings the
// variances of an ill-conditioned normal are within a few per cent.
func TestMCLMCDefaults(t *testing.T) {
	const d = 50
	n := badlyScaled(d)
	r := mustRun(t, n, &MCLMC{}, &Settings{})
	for _, j := range []int{0, d / 2, d - 1} {
		var q float64
		for _, c := range r.Chains {
			for i := range 1000 {
				q += c.At(i, j) * c.At(i, j) / 4000
			}
		}
		if want := n[j] * n[j]; math.Abs(q/want-1) > 0.1 {
			t.Errorf("variance %d is %g, want %g", j, q, want)
		}
	}
}

// scales is a normal density with independent coordinates.
type scales []float64

// badlyScaled has the scales 0.01 to 100.
func badlyScaled(d int) scales {
	s := make(scales, d)
	for i := range s {
		s[i] = math.Pow(10, -2+4*float64(i)/float64(d-1))
	}
	return s
}

func (s scales) Dim() int { return len(s) }
func (s scales) LogProb(x []float64) float64 {
	var q float64
	for i, v := range x {
		q += v * v / (s[i] * s[i])
	}
	return -q / 2
}
func (s scales) ScoreInput(g, x []float64) []float64 {
	for i, v := range x {
		g[i] = -v / (s[i] * s[i])
	}
	return g
}

// Normal data with a conjugate prior: τ ~ Gamma(a, b), m ~ N(m₀, 1/(k τ)).
// Then τ given the data is Gamma(a + n/2, b + S/2 + k n (ȳ - m₀)²/2(k + n)),
// and m has mean (k m₀ + n ȳ)/(k + n).
type normalGamma struct {
	y           []float64
	a, b, m0, k float64
}

func (normalGamma) Dim() int { return 2 }
func (p normalGamma) LogProb(x []float64) float64 {
	m, tau := x[0], x[1]
	if tau <= 0 {
		return math.Inf(-1)
	}
	lp := (p.a-1)*math.Log(tau) - p.b*tau + math.Log(tau)/2 - p.k*tau*(m-p.m0)*(m-p.m0)/2
	for _, y := range p.y {
		lp += math.Log(tau)/2 - tau*(y-m)*(y-m)/2
	}
	return lp
}

func TestGibbsConjugate(t *testing.T) {
	p := normalGamma{y: []float64{1.2, -0.3, 2.5, 0.8, 1.9}, a: 2, b: 1, m0: -1, k: 0.5}
	n, sum := float64(len(p.y)), floats.Sum(p.y)
	ybar := sum / n
	rate := p.b + p.k*n*(ybar-p.m0)*(ybar-p.m0)/(2*(p.k+n))
	for _, y := range p.y {
		rate += (y - ybar) * (y - ybar) / 2
	}
	shape := p.a + n/2
	mean := (p.k*p.m0 + sum) / (p.k + n)

	normal := NormalBlock([]int{0}, func(q *mat.SymDense, b, x []float64) {
		q.SetSym(0, 0, x[1]*(p.k+n))
		b[0] = x[1] * (p.k*p.m0 + sum)
	})
	gamma := GammaBlock([]int{1}, func(shape, rate, x []float64) {
		shape[0] = p.a + (n+1)/2
		rate[0] = p.b + p.k*(x[0]-p.m0)*(x[0]-p.m0)/2
		for _, y := range p.y {
			rate[0] += (y - x[0]) * (y - x[0]) / 2
		}
	})
	for name, k := range map[string]*Gibbs{
		"conjugate": {Blocks: []Block{normal, gamma}},
		"kernel":    {Blocks: []Block{normal, {Index: []int{1}, Kernel: &Slice{}, Transform: prior.Positive(1)}}},
	} {
		r := mustRun(t, p, k, &Settings{Draws: 4000})
		checkMoment(t, name+": mean", r, func(x []float64) float64 { return x[0] }, mean)
		checkMoment(t, name+": precision", r, func(x []float64) float64 { return x[1] }, shape/rate)
		checkMoment(t, name+": square of the precision", r, func(x []float64) float64 { return x[1] * x[1] }, shape*(shape+1)/(rate*rate))
		checkMoment(t, name+": variance of the mean", r, func(x []float64) float64 { return (x[0] - mean) * (x[0] - mean) }, rate/((shape-1)*(p.k+n)))
	}
}

// score is a ScoreFunc with no density.
type score struct{}

func (score) Dim() int { return 2 }
func (score) Score(dst, x *mat.Dense, t float64) {
	n, _ := x.Dims()
	for i := range n {
		dst.Set(i, 0, (3-x.At(i, 0))/t)
		dst.Set(i, 1, -x.At(i, 1)/t)
	}
}

func TestScoreOnly(t *testing.T) {
	const h, v = 0.2, 4.0
	r := mustRun(t, ScoreOnly{Score: score{}, T: v}, &ULA{StepSize: h}, &Settings{Draws: fewer(4000), Thin: 20})
	checkMoment(t, "mean", r, func(x []float64) float64 { return x[0] }, 3)
	checkMoment(t, "variance", r, func(x []float64) float64 { return x[1] * x[1] }, v/(1-h/(2*v)))
	if _, err := Run(context.Background(), ScoreOnly{Score: score{}, T: 1}, &NUTS{}, nil); err == nil || !strings.Contains(err.Error(), "only its score") {
		t.Errorf("NUTS: %v", err)
	}
}

func TestKernelErrors(t *testing.T) {
	g := newLinearGaussian(t)
	flat := density(g.LogProb)
	draw := func(dst, x []float64, rnd *rand.Rand) error { return nil }
	one, _ := distmv.NewNormal([]float64{0}, mat.NewSymDense(1, []float64{1}), nil)
	for _, c := range []struct {
		target inverse.Density
		kernel Kernel
		want   string
	}{
		{flat, &MALA{}, "MALA needs the score"},
		{flat, &Barker{}, "Barker needs the score"},
		{flat, &MCLMC{}, "MCLMC needs the score"},
		{flat, &ULA{StepSize: 1}, "ULA needs the score"},
		{g, &ULA{}, "StepSize is 0"},
		{g, &MYULA{StepSize: 1}, "Prox is nil"},
		{g, &MALA{TargetAccept: 2}, "TargetAccept is 2"},
		{g, &RandomWalk{Scale: -1}, "Scale is -1"},
		{g, &RandomWalk{Covariance: mat.NewSymDense(2, nil)}, "dimension 2, the target 3"},
		{g, &AdaptiveMetropolis{Covariance: mat.NewSymDense(3, nil)}, "not positive definite"},
		{g, &DRAM{Shrink: 1}, "Shrink is 1"},
		{g, &Independence{}, "Proposal is nil"},
		{g, &Independence{Proposal: flat}, "neither the method Draw"},
		{g, &PCN{Reference: one}, "dimension 1, the target 3"},
		{g, &PCN{Reference: g.prior, Beta: 2}, "Beta is 2"},
		{g, &Slice{Width: -1}, "Width is -1"},
		{g, &MCLMC{EnergyVariance: -1}, "EnergyVariance is -1"},
		{g, &Tempering{}, "Kernel is nil"},
		{g, &Tempering{Kernel: &NUTS{}, Levels: 1}, "Levels is 1"},
		{g, &Tempering{Kernel: &NUTS{}, Base: density(g.prior.LogProb)}, "NUTS needs the score"},
		{g, &Tempering{Kernel: &PCN{Reference: g.prior, Likelihood: flat}}, "within Gibbs or Tempering"},
		{g, &Gibbs{}, "Blocks is empty"},
		{g, &Gibbs{Blocks: []Block{{}}}, "Index is empty"},
		{g, &Gibbs{Blocks: []Block{{Index: []int{3}, Draw: draw}}}, "coordinate 3"},
		{g, &Gibbs{Blocks: []Block{{Index: []int{0, 0}, Draw: draw}}}, "coordinate 0"},
		{g, &Gibbs{Blocks: []Block{{Index: []int{0}}}}, "one of Draw and Kernel"},
		{gamma{2}, &Gibbs{Blocks: []Block{{Index: []int{0}, Draw: draw}}}, "Transform"},
		{mixture1{0, 1}, &MCLMC{}, "two dimensions"},
		{g, &Gibbs{Blocks: []Block{NormalBlock([]int{0}, func(*mat.SymDense, []float64, []float64) {})}}, "not positive definite"},
		{g, &Gibbs{Blocks: []Block{GammaBlock([]int{0}, func(_, _, _ []float64) {})}}, "shape 0"},
	} {
		_, err := Run(context.Background(), c.target, c.kernel, &Settings{Init: mat.NewDense(1, dimension(c.target), nil), Draws: 2, Warmup: 2})
		if _, ok := c.target.(gamma); ok {
			_, err = Run(context.Background(), c.target, c.kernel, nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: got %v, want an error with %q", c.kernel, err, c.want)
		}
	}
}

func dimension(d inverse.Density) int {
	if n, ok := d.(interface{ Dim() int }); ok {
		return n.Dim()
	}
	return 3
}

// On exp(-x⁴/4), where E|x| = √2 Γ(1/2)/Γ(1/4) and Ex² = 2Γ(3/4)/Γ(1/4), with
// proposals and steps so coarse that every factor of an acceptance probability
// counts.
func TestCoarseProposals(t *testing.T) {
	first := math.Sqrt2 * math.Gamma(0.5) / math.Gamma(0.25)
	second := 2 * math.Gamma(0.75) / math.Gamma(0.25)
	for name, k := range map[string]Kernel{
		"NUTS":   &NUTS{StepSize: 1.4},
		"HMC":    &HMC{StepSize: 1.4, Time: 2.5},
		"MALA":   &MALA{StepSize: 1.5},
		"Barker": &Barker{StepSize: 2},
		"DRAM":   &DRAM{Covariance: mat.NewSymDense(1, []float64{0.2}), Shrink: 0.9},
	} {
		r := mustRun(t, quartic{1}, k, &Settings{Warmup: -1, Draws: fewer(50_000), Thin: 2})
		checkMoment(t, name+": E|x|", r, func(x []float64) float64 { return math.Abs(x[0]) }, first)
		checkMoment(t, name+": Ex²", r, func(x []float64) float64 { return x[0] * x[0] }, second)
		var accept float64
		for _, s := range r.Stats {
			accept += mat.Sum(s.ColView(statAccept)) / float64(4*fewer(50_000))
		}
		if accept > 0.85 {
			t.Errorf("%s: acceptance %.2f: the test has no power", name, accept)
		}
	}
}
