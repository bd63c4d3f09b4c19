package sampler

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// slow reports whether the slow statistical tests are asked for:
//
//	INVERSE_SLOW=1 go test -run 'Geweke|SBC|Posteriordb' -timeout 1h ./sampler
func slow() bool { return os.Getenv("INVERSE_SLOW") != "" }

// location is a small hierarchical model,
//
//	m ~ N(1, 1),   l ~ N(0, 0.5²),   y_i ~ N(m, exp(2l)), i = 1, 2, 3,
//
// as the posterior of x = (m, l), or as its likelihood alone.
type location struct {
	y       [3]float64
	noPrior bool
}

func (location) Dim() int { return 2 }

// locationPrior is the prior of location.
type locationPrior struct{}

func (locationPrior) Dim() int { return 2 }
func (locationPrior) LogProb(x []float64) float64 {
	return -(x[0]-1)*(x[0]-1)/2 - 2*x[1]*x[1]
}
func (locationPrior) ScoreInput(g, x []float64) []float64 {
	g[0], g[1] = 1-x[0], -4*x[1]
	return g
}
func (locationPrior) Mean([]float64) []float64 { return []float64{1, 0} }
func (locationPrior) Draw(dst *mat.Dense, src rand.Source) {
	r := rand.New(src)
	n, _ := dst.Dims()
	for i := range n {
		dst.SetRow(i, []float64{1 + r.NormFloat64(), r.NormFloat64() / 2})
	}
}

func (p *location) simulate(x []float64, rnd *rand.Rand) {
	for i := range p.y {
		p.y[i] = x[0] + math.Exp(x[1])*rnd.NormFloat64()
	}
}

func (p *location) LogProb(x []float64) float64 {
	lp := 0.0
	if !p.noPrior {
		lp = locationPrior{}.LogProb(x)
	}
	w := math.Exp(-2 * x[1])
	for _, y := range p.y {
		lp -= (y-x[0])*(y-x[0])*w/2 + x[1]
	}
	return lp
}

func (p *location) ScoreInput(g, x []float64) []float64 {
	if p.noPrior {
		clear(g)
	} else {
		locationPrior{}.ScoreInput(g, x)
	}
	w := math.Exp(-2 * x[1])
	for _, y := range p.y {
		r := y - x[0]
		g[0] += r * w
		g[1] += r*r*w - 1
	}
	return g
}

// invariantCases are the kernels with fixed parameters: a step that depends on
// where the chain starts would not leave the target invariant.
func invariantCases(p *location) map[string]Kernel {
	likelihood := density(func(x []float64) float64 {
		q := *p
		q.noPrior = true
		return q.LogProb(x)
	})
	cov := mat.NewSymDense(2, []float64{0.5, -0.1, -0.1, 0.2})
	return map[string]Kernel{
		"NUTS":               &NUTS{StepSize: 0.4},
		"NUTS/coarse":        &NUTS{StepSize: 0.9, MaxDepth: 3},
		"NUTS/fine":          &NUTS{StepSize: 0.1, MaxDepth: 6},
		"HMC":                &HMC{StepSize: 0.4, Time: 1.2},
		"MALA":               &MALA{StepSize: 0.5},
		"Barker":             &Barker{StepSize: 0.7},
		"RandomWalk":         &RandomWalk{Scale: 0.7},
		"RandomWalk/cov":     &RandomWalk{Scale: 1.2, Covariance: cov},
		"AdaptiveMetropolis": &AdaptiveMetropolis{Covariance: cov},
		"DRAM":               &DRAM{Covariance: scaled(cov, 4), Shrink: 0.4},
		"Independence":       &Independence{Proposal: locationPrior{}},
		"PCN":                &PCN{Reference: locationPrior{}, Beta: 0.6},
		"PCN/likelihood":     &PCN{Reference: locationPrior{}, Beta: 0.6, Likelihood: likelihood},
		"EllipticalSlice":    &EllipticalSlice{Prior: locationPrior{}},
		"Slice":              &Slice{},
		"Slice/narrow":       &Slice{Width: 0.3, MaxStepsOut: 4},
		"Gibbs": &Gibbs{Blocks: []Block{
			NormalBlock([]int{0}, func(q *mat.SymDense, b, x []float64) {
				w := math.Exp(-2 * x[1])
				q.SetSym(0, 0, 1+3*w)
				b[0] = 1 + w*(p.y[0]+p.y[1]+p.y[2])
			}),
			{Index: []int{1}, Kernel: &HMC{StepSize: 0.3}, Steps: 2},
		}},
	}
}

// TestGeweke is Geweke's joint distribution test (2004) with independent
// replications: x from the prior and y from the model are a draw of the joint
// distribution, and so are y and what some transitions of a kernel for x given
// y make of x. Its moments are those of the prior and of the model.
func TestGeweke(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 1000
	}
	if slow() {
		n = 200_000
	}
	var p location
	for name, k := range invariantCases(&p) {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rng.New(21, 0))
			target, err := NewTarget(&p, 2, nil)
			if err != nil {
				t.Fatal(err)
			}
			st, err := k.New(target, 0)
			if err != nil {
				t.Fatal(err)
			}
			// Statistics of (x, y) with their expectations.
			want := []float64{1, 0, 1, 0.25, 0, 1, 1, 0}
			stats := make([][]float64, len(want))
			moved := 0
			for range n {
				x := []float64{1 + rnd.NormFloat64(), rnd.NormFloat64() / 2}
				p.simulate(x, rnd)
				if err := st.Set(x); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					var info Info
					if err := st.Step(rnd, &info); err != nil {
						t.Fatal(err)
					}
				}
				m, l := st.Position()[0], st.Position()[1]
				if m != x[0] {
					moved++
				}
				r0, r1 := (p.y[0]-m)*math.Exp(-l), (p.y[1]-m)*math.Exp(-l)
				for j, v := range []float64{m, l, (m - 1) * (m - 1), l * l, (m - 1) * l, r0 * r0, r1 * r1, r0 * l} {
					stats[j] = append(stats[j], v)
				}
			}
			for j, v := range stats {
				mean, sd := stat.MeanStdDev(v, nil)
				if z := (mean - want[j]) / sd * math.Sqrt(float64(n)); !(math.Abs(z) < 4) {
					t.Errorf("statistic %d is %.4f, want %.4f (z = %.1f)", j, mean, want[j], z)
				}
			}
			if moved < n/3 {
				t.Errorf("the chain moved in %d of %d replications: the test has no power", moved, n)
			}
		})
	}
}

// TestSBC is simulation-based calibration (Talts et al., 2018) of whole runs,
// with warm-up, where every kernel's own adaptation is at work: the rank of
// the x that made y among the draws is uniform.
func TestSBC(t *testing.T) {
	const bins = 20
	reps, warmup := 200, 200
	if testing.Short() {
		t.Skip("whole runs take seconds")
	}
	if slow() {
		reps, warmup = 2000, 500
	}
	var p location
	cases := map[string]Kernel{
		"NUTS":          &NUTS{},
		"NUTS/variance": &NUTS{Metric: DiagonalVariance},
		"NUTS/dense":    &NUTS{Metric: Dense},
		"NUTS/fisher":   &NUTS{Metric: DiagonalFisher},
		"Tempering":     &Tempering{Kernel: &AdaptiveMetropolis{}, Base: locationPrior{}, Levels: 3},
		"MCLMC":         &MCLMC{EnergyVariance: 1e-6},
	}
	if slow() {
		for name, k := range invariantCases(&p) {
			cases[name] = k
		}
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rng.New(22, 0))
			counts := [2][bins]float64{}
			for rep := range reps {
				x := []float64{1 + rnd.NormFloat64(), rnd.NormFloat64() / 2}
				p.simulate(x, rnd)
				r := mustRun(t, &p, k, &Settings{
					Chains: 1, Warmup: warmup, Draws: bins - 1, Thin: 40, Workers: 1, Src: rng.New(23, uint64(rep)),
				})
				for j := range counts {
					rank := 0
					for i := range bins - 1 {
						if r.Chains[0].At(i, j) < x[j] {
							rank++
						}
					}
					counts[j][rank]++
				}
			}
			for j := range counts {
				expected := float64(reps) / bins
				var chi2 float64
				for _, c := range counts[j] {
					chi2 += (c - expected) * (c - expected) / expected
				}
				// 19 degrees of freedom: 50.8 has probability 1e-4.
				if chi2 > 50.8 {
					t.Errorf("coordinate %d: χ² = %.1f for ranks %v", j, chi2, counts[j])
				}
			}
		})
	}
}
