package sampler

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/go-inverse/inverse/internal/posteriordb"
	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/mat"
)

// centredSchools is the eight schools model as a novice writes it: theta_j ~
// N(mu, tau), the point being (theta, mu, log tau).
type centredSchools struct{}

func (centredSchools) Dim() int { return 10 }

func (c centredSchools) LogProb(x []float64) float64 { return c.LogProbScore(make([]float64, 10), x) }

func (c centredSchools) ScoreInput(g, x []float64) []float64 {
	c.LogProbScore(g, x)
	return g
}

func (centredSchools) LogProbScore(g, x []float64) float64 {
	y := [8]float64{28, 8, -3, 7, -1, 1, 18, 12}
	sigma := [8]float64{15, 10, 16, 11, 9, 11, 10, 18}
	mu, logTau := x[8], x[9]
	w := math.Exp(-2 * logTau)
	cauchy := 1 / (25 * w)
	lp := -mu*mu/50 + logTau - math.Log1p(cauchy)
	g[8], g[9] = -mu/25, 1-2*cauchy/(1+cauchy)
	for j := range y {
		a, b := (y[j]-x[j])/sigma[j], x[j]-mu
		lp -= (a*a+b*b*w)/2 + logTau
		g[j] = a/sigma[j] - b*w
		g[8] += b * w
		g[9] += b*b*w - 1
	}
	return lp
}

// A rough leapfrog that is replaced by shorter ones is the same backwards.
func TestHalvingIsReversible(t *testing.T) {
	const d, eps = 4, 0.7
	target, err := NewTarget(funnel{d}, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := (&NUTS{StepSize: eps, Metric: Unit}).New(target, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := st.(*nuts)
	rnd := rand.New(rng.New(3, 0))
	x := make([]float64, d)
	var halved, refused, failed int
	for range 3000 {
		x[0] = -4 * rnd.Float64()
		for i := 1; i < d; i++ {
			x[i] = math.Exp(x[0]/2) * rnd.NormFloat64()
		}
		if err := s.Set(x); err != nil {
			t.Fatal(err)
		}
		root := s.pool.get(d)
		root.refs = 3
		s.start(root, rnd)
		s.energy, s.eps = root.energy, eps
		s.leapfrogs = 0
		next, ok := s.leaf(root)
		switch {
		case s.leapfrogs == 1:
		case s.diverged:
			failed++
			s.diverged = false
		case !ok:
			refused++
		default:
			halved++
			q := next.first
			if q.index != 1 {
				t.Fatalf("index %d after one leapfrog", q.index)
			}
			cost := s.leapfrogs
			s.eps, s.leapfrogs = -eps, 0
			back, ok := s.leaf(q)
			if !ok || s.leapfrogs != cost {
				t.Fatalf("from %v: %d leapfrogs there, %d back (%v)", x, cost, s.leapfrogs, ok)
			}
			for i, v := range back.first.x {
				if math.Abs(v-root.x[i]) > 1e-6*(1+math.Abs(root.x[i])) || math.Abs(back.first.p[i]-root.p[i]) > 1e-6*(1+math.Abs(root.p[i])) {
					t.Fatalf("from %v, back to %v", root.x, back.first.x)
				}
			}
		}
		s.pool.reset()
	}
	t.Logf("%d halved, %d refused, %d failed", halved, refused, failed)
	if halved < 100 || refused < 100 {
		t.Errorf("%d halved and %d refused of 3000", halved, refused)
	}
}

// The neck of a funnel is where NUTS with one step size does not go, and says
// so by divergences at best.
func TestFunnel(t *testing.T) {
	r := mustRun(t, funnel{10}, &NUTS{}, &Settings{Draws: 5000, Src: rng.New(7, 0)})
	within(t, "v", r, 0, func(v float64) float64 { return v }, 0)
	within(t, "v²", r, 0, func(v float64) float64 { return v * v }, 9)
	for _, at := range []struct{ v, p float64 }{{-4, 0.09121}, {0, 0.5}, {4, 0.90879}} {
		within(t, "distribution", r, 0, func(v float64) float64 {
			if v < at.v {
				return 1
			}
			return 0
		}, at.p)
	}
	if r.Divergences > 0 {
		t.Errorf("%d divergences", r.Divergences)
	}
}

// within holds the mean of f of a parameter to the truth, in its standard
// errors, of which the mean must have few enough to mean something.
func within(t *testing.T, name string, r *Result, j int, f func(v float64) float64, want float64) {
	t.Helper()
	var x [][]float64
	for _, c := range r.Chains {
		v := mat.Col(nil, j, c)
		for i := range v {
			v[i] = f(v[i])
		}
		x = append(x, v)
	}
	all := pooled(x)
	mean := 0.0
	for _, v := range all {
		mean += v / float64(len(all))
	}
	se := MCSEMean(x)
	z := (mean - want) / se
	t.Logf("%s: %.4f +- %.4f, want %.4f (z = %.1f)", name, mean, se, want, z)
	if !(math.Abs(z) < 4) {
		t.Errorf("%s: %.4f +- %.4f, want %.4f (z = %.1f)", name, mean, se, want, z)
	}
}

// The centred model has the posterior of the other one, whose reference it is
// held to.
func TestCentredSchools(t *testing.T) {
	r := mustRun(t, centredSchools{}, &NUTS{}, &Settings{Draws: 5000, Src: rng.New(8, 0)})
	for j, ref := range posteriordb.EightSchools().Reference {
		var x [][]float64
		for _, c := range r.Chains {
			v := mat.Col(nil, j, c)
			if j == 9 {
				for i := range v {
					v[i] = math.Exp(v[i])
				}
			}
			x = append(x, v)
		}
		all := pooled(x)
		mean := 0.0
		for _, v := range all {
			mean += v / float64(len(all))
		}
		se := MCSEMean(x)
		if z := (mean - ref.Mean) / math.Hypot(se, ref.MCSEMean); !(math.Abs(z) < 4) || se > ref.SD/10 {
			t.Errorf("%s: %.3f +- %.3f, reference %.3f (z = %.1f)", ref.Name, mean, se, ref.Mean, z)
		}
	}
}
