package posteriordb

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

var (
	_ inverse.DifferentiableDensity = (*Posterior)(nil)
	_ inverse.LogProbScorer         = (*Posterior)(nil)
)

var dir = filepath.Join("..", "..", "..", "shared", "data", "posteriordb")

// posteriors returns the ten posteriors, with simulated data and, where they
// are at hand, with the database's.
func posteriors(t testing.TB) []*Posterior {
	var all []*Posterior
	for _, name := range Names() {
		all = append(all, Simulated(name))
		p, err := Open(dir, name)
		if os.IsNotExist(unwrapAll(err)) {
			t.Logf("%s: simulated data only", name)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = u.Unwrap()
	}
}

// near returns a point of high density, found by climbing from the origin,
// and moved by a random step of the given size.
func near(p *Posterior, seed uint64, size float64) []float64 {
	u := make([]float64, p.Dim())
	g := make([]float64, p.Dim())
	lp := p.LogProbScore(g, u)
	step := 1.0
	v := make([]float64, p.Dim())
	for range 300 {
		floats.AddScaledTo(v, u, step/(1+floats.Norm(g, 2)), g)
		if next := p.LogProb(v); next > lp {
			copy(u, v)
			lp = p.LogProbScore(g, u)
			step *= 1.5
		} else {
			step /= 2
		}
	}
	r := rand.New(rng.New(seed, 0))
	for i := range u {
		u[i] += size * r.NormFloat64() / (1 + math.Abs(g[i]))
	}
	return u
}

func TestGradients(t *testing.T) {
	for _, p := range posteriors(t) {
		for seed := range uint64(4) {
			u := near(p, seed, 0.2*float64(seed))
			g := p.ScoreInput(nil, u)
			if lp := p.LogProb(u); lp != p.LogProbScore(make([]float64, len(u)), u) || math.IsInf(lp, 0) {
				t.Errorf("%s: LogProb and LogProbScore differ, or are infinite: %g", p.Name, lp)
			}
			for i := range u {
				// Richardson's extrapolation of central differences.
				diff := func(h float64) float64 {
					v := slices.Clone(u)
					v[i] = u[i] + h
					up := p.LogProb(v)
					v[i] = u[i] - h
					return (up - p.LogProb(v)) / (2 * h)
				}
				h := 1e-3
				if p.Params[min(i, len(p.Params)-1)] == "beta" {
					h = 1e-6 // it multiplies the year
				}
				want := (4*diff(h/2) - diff(h)) / 3
				if math.Abs(g[i]-want) > 1e-6*(1+math.Abs(want)) {
					t.Errorf("%s: derivative %d at %.4g is %.10g, central differences have %.10g", p.Name, i, u, g[i], want)
				}
			}
		}
	}
}

// The densities as the models are written, with gonum's distributions, up to
// a constant.
var plain = map[string]func(m model, x []float64) float64{
	"arK-arK": func(m model, x []float64) float64 {
		d := m.(*arK)
		lp := logCauchy(x[6], 2.5) + logNormal(x[0], 0, 10)
		for _, b := range x[1:6] {
			lp += logNormal(b, 0, 10)
		}
		for t := 5; t < len(d.Y); t++ {
			mu := x[0]
			for k := 1; k <= 5; k++ {
				mu += x[k] * d.Y[t-k]
			}
			lp += logNormal(d.Y[t], mu, x[6])
		}
		return lp
	},
	"arma-arma11": func(m model, x []float64) float64 {
		d := m.(*arma)
		mu, phi, theta, sigma := x[0], x[1], x[2], x[3]
		lp := logNormal(mu, 0, 10) + logNormal(phi, 0, 2) + logNormal(theta, 0, 2) + logCauchy(sigma, 2.5)
		e := d.Y[0] - (mu + phi*mu)
		lp += logNormal(e, 0, sigma)
		for t := 1; t < len(d.Y); t++ {
			e = d.Y[t] - (mu + phi*d.Y[t-1] + theta*e)
			lp += logNormal(e, 0, sigma)
		}
		return lp
	},
	"eight_schools-eight_schools_noncentered": func(m model, x []float64) float64 {
		d := m.(*eightSchools)
		mu, tau := x[8], x[9]
		lp := logNormal(mu, 0, 5) + logCauchy(tau, 5)
		for j, theta := range x[:8] {
			lp += logNormal((theta-mu)/tau, 0, 1) + logNormal(d.Y[j], theta, d.Sigma[j])
		}
		return lp
	},
	"garch-garch11": func(m model, x []float64) float64 {
		d := m.(*garch)
		var lp float64
		sigma := d.Sigma1
		for t, y := range d.Y {
			if t > 0 {
				sigma = math.Sqrt(x[1] + x[2]*math.Pow(d.Y[t-1]-x[0], 2) + x[3]*sigma*sigma)
			}
			lp += logNormal(y, x[0], sigma)
		}
		return lp
	},
	"gp_pois_regr-gp_regr": func(m model, x []float64) float64 {
		d := m.(*gpRegr)
		n := len(d.X)
		k := mat.NewSymDense(n, nil)
		for i := range n {
			for j := range i + 1 {
				k.SetSym(i, j, x[1]*x[1]*math.Exp(-math.Pow(d.X[i]-d.X[j], 2)/(2*x[0]*x[0])))
			}
			k.SetSym(i, i, k.At(i, i)+x[2])
		}
		normal, _ := distmv.NewNormal(make([]float64, n), k, nil)
		return distuv.Gamma{Alpha: 25, Beta: 4}.LogProb(x[0]) + logNormal(x[1], 0, 2) + logNormal(x[2], 0, 1) + normal.LogProb(d.Y)
	},
	"hmm_example-hmm_example": func(m model, x []float64) float64 {
		d := m.(*hmm)
		mu := x[4:6]
		gamma := []float64{logNormal(d.Y[0], mu[0], 1), logNormal(d.Y[0], mu[1], 1)}
		for _, y := range d.Y[1:] {
			next := make([]float64, 2)
			for k := range 2 {
				next[k] = floats.LogSumExp([]float64{gamma[0] + math.Log(x[k]), gamma[1] + math.Log(x[2+k])}) + logNormal(y, mu[k], 1)
			}
			gamma = next
		}
		return floats.LogSumExp(gamma) + logNormal(mu[0], 3, 1) + logNormal(mu[1], 10, 1)
	},
	"hudson_lynx_hare-lotka_volterra": func(m model, x []float64) float64 {
		d := m.(*lotkaVolterra)
		lp := logNormal(x[0], 1, 0.5) + logNormal(x[2], 1, 0.5) + logNormal(x[1], 0.05, 0.05) + logNormal(x[3], 0.05, 0.05)
		for k := range 2 {
			lp += distuv.LogNormal{Mu: math.Log(10), Sigma: 1}.LogProb(x[4+k]) + distuv.LogNormal{Mu: -1, Sigma: 1}.LogProb(x[6+k])
			lp += distuv.LogNormal{Mu: math.Log(x[4+k]), Sigma: x[6+k]}.LogProb(d.YInit[k])
		}
		// The midpoint rule with many steps; the equations' first integral is
		// checked in a test of its own.
		z := []float64{x[4], x[5]}
		f := func(z []float64) (float64, float64) { return (x[0] - x[1]*z[1]) * z[0], (x[3]*z[0] - x[2]) * z[1] }
		t := 0.0
		for i, next := range d.Ts {
			const n = 20000
			h := (next - t) / n
			t = next
			for range n {
				fp, fq := f(z)
				fp, fq = f([]float64{z[0] + h/2*fp, z[1] + h/2*fq})
				z[0] += h * fp
				z[1] += h * fq
			}
			for k := range 2 {
				lp += distuv.LogNormal{Mu: math.Log(z[k]), Sigma: x[6+k]}.LogProb(d.Y[i][k])
			}
		}
		return lp
	},
	"kidiq-kidscore_momhsiq": func(m model, x []float64) float64 {
		d := m.(*kidscore)
		lp := logCauchy(x[3], 2.5)
		for i, y := range d.Y {
			lp += logNormal(y, x[0]+x[1]*d.HS[i]+x[2]*d.IQ[i], x[3])
		}
		return lp
	},
	"kilpisjarvi_mod-kilpisjarvi": func(m model, x []float64) float64 {
		d := m.(*kilpisjarvi)
		lp := logNormal(x[0], d.MuAlpha, d.SAlpha) + logNormal(x[1], d.MuBeta, d.SBeta)
		for i, y := range d.Y {
			lp += logNormal(y, x[0]+x[1]*d.X[i], x[2])
		}
		return lp
	},
	"low_dim_gauss_mix-low_dim_gauss_mix": func(m model, x []float64) float64 {
		d := m.(*gaussMix)
		lp := logNormal(x[0], 0, 2) + logNormal(x[1], 0, 2) + logNormal(x[2], 0, 2) + logNormal(x[3], 0, 2) +
			distuv.Beta{Alpha: 5, Beta: 5}.LogProb(x[4])
		for _, y := range d.Y {
			lp += floats.LogSumExp([]float64{math.Log(x[4]) + logNormal(y, x[0], x[2]), math.Log(1-x[4]) + logNormal(y, x[1], x[3])})
		}
		return lp
	},
}

func logNormal(x, mu, sigma float64) float64 { return distuv.Normal{Mu: mu, Sigma: sigma}.LogProb(x) }

func logCauchy(x, scale float64) float64 { return distuv.StudentsT{Sigma: scale, Nu: 1}.LogProb(x) }

// logJacobian returns the log determinant of the map from u to the parameters,
// of which those that follow from others are left out, by differences.
func logJacobian(p *Posterior, u []float64) float64 {
	free := make([]int, 0, p.Dim())
	for i := range p.Params {
		if p.Name != "hmm_example-hmm_example" || i != 1 && i != 3 {
			free = append(free, i)
		}
	}
	jac := mat.NewDense(p.Dim(), p.Dim(), nil)
	for j := range u {
		const h = 1e-4
		v := slices.Clone(u)
		v[j] += h
		up := p.Constrain(nil, v)
		v[j] -= 2 * h
		down := p.Constrain(nil, v)
		for i, k := range free {
			jac.Set(i, j, (up[k]-down[k])/(2*h))
		}
	}
	log, _ := mat.LogDet(jac)
	return log
}

func TestDensitiesAsTheModelsAreWritten(t *testing.T) {
	for _, p := range posteriors(t) {
		value := func(u []float64) float64 {
			lp := plain[p.Name](p.model, p.Constrain(nil, u)) + logJacobian(p, u)
			if p.Name == "eight_schools-eight_schools_noncentered" {
				lp -= 8 * u[9] // the model's parameters are z, not theta = mu + tau z
			}
			return lp
		}
		u := near(p, 1, 0)
		constant := p.LogProb(u) - value(u)
		for seed := range uint64(3) {
			v := near(p, seed, 0.5)
			if got, want := p.LogProb(v)-constant, value(v); math.Abs(got-want) > 1e-5*(1+math.Abs(p.LogProb(v)-p.LogProb(u))) {
				t.Errorf("%s: log density %.8g at %.4g, want %.8g", p.Name, got, v, want)
			}
		}
	}
}

// The quantity theta_4 p - theta_3 log p + theta_2 q - theta_1 log q is
// constant along the solutions.
func TestLotkaVolterraStepsAreShortEnough(t *testing.T) {
	p := Simulated("hudson_lynx_hare-lotka_volterra")
	u := []float64{math.Log(0.55), math.Log(0.028), math.Log(0.8), math.Log(0.024), math.Log(33), math.Log(6), -1.4, -1.4}
	p.LogProb(u)
	m := p.model.(*lotkaVolterra)
	path := *m.scratch.Get().(*[]lvStep)
	integral := func(s lvStep) float64 {
		return 0.024*s.p1 - 0.8*math.Log(s.p1) + 0.028*s.q1 - 0.55*math.Log(s.q1)
	}
	if path[0].p1 == 0 {
		t.Skip("the pool has dropped the path")
	}
	for _, s := range path {
		if d := integral(s) - integral(path[0]); math.Abs(d) > 1e-5 {
			t.Fatalf("the first integral drifts by %g", d)
		}
	}
}

func TestExtremePointsDoNotGiveNaN(t *testing.T) {
	for _, p := range posteriors(t) {
		r := rand.New(rng.New(5, 0))
		for range 1000 {
			u := make([]float64, p.Dim())
			for i := range u {
				u[i] = math.Exp(4*r.NormFloat64()) * r.NormFloat64()
			}
			g := make([]float64, p.Dim())
			lp := p.LogProbScore(g, u)
			if math.IsNaN(lp) && floats.Norm(u, math.Inf(1)) < 100 || lp > 1e300 {
				t.Errorf("%s: log density %g at %v", p.Name, lp, u)
				break
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what they hold")
	}
	for _, name := range Names() {
		p := Simulated(name)
		u, g := make([]float64, p.Dim()), make([]float64, p.Dim())
		if n := testing.AllocsPerRun(100, func() { p.LogProbScore(g, u); p.LogProb(u) }); n >= 1 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// The data written in the package are those of the database.
func TestEightSchools(t *testing.T) {
	a := EightSchools()
	b, err := Open(dir, a.Name)
	if err != nil {
		t.Skip(err)
	}
	u := near(a, 1, 1)
	if x, y := a.LogProb(u), b.LogProb(u); x != y {
		t.Errorf("log density %g, the database has %g", x, y)
	}
	for i, r := range a.Reference {
		if s := b.Reference[i]; r.Name != s.Name || math.Abs(r.Mean-s.Mean) > 1e-4 || math.Abs(r.SD-s.SD) > 1e-4 {
			t.Errorf("reference %v, the database has %v", r, s)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(t.TempDir(), "arK-arK"); err == nil {
		t.Error("no file: no error")
	}
	bad := t.TempDir()
	for name, text := range map[string]string{
		"arK-arK":     `{"data": {"K": 5, "y": [1, 2]}}`,
		"arma-arma11": `{"data": {"y": [1, 2]}, "reference": {"params": [{"name": "mu"}]}}`,
		"unknown":     `{}`,
	} {
		if err := os.WriteFile(filepath.Join(bad, name+".json"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(bad, name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkLogProbScore(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			p := Simulated(name)
			u := near(p, 1, 0)
			g := make([]float64, p.Dim())
			b.ReportAllocs()
			for b.Loop() {
				p.LogProbScore(g, u)
			}
		})
	}
}
