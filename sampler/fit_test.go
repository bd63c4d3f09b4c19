package sampler

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/posteriordb"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

func mustFit(t testing.TB, target inverse.Density, family Family, o *FitOptions) *Approximation {
	t.Helper()
	if o == nil {
		o = new(FitOptions)
	}
	if o.Src == nil {
		o.Src = rng.New(1, 0)
	}
	a, err := Fit(context.Background(), target, family, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// meanAndCovariance returns those of q, from its parameters.
func meanAndCovariance(q variational) ([]float64, *mat.SymDense) {
	if m, ok := q.(*moved); ok {
		z, inner := meanAndCovariance(m.variational)
		d := len(z)
		mean := make([]float64, d)
		m.t.push(mean, z)
		t, cov := mat.NewDense(d, d, nil), mat.NewDense(d, d, nil)
		for j := range d {
			e, col := make([]float64, d), make([]float64, d)
			e[j] = 1
			m.t.push(col, e)
			floats.Sub(col, m.t.mu)
			t.SetCol(j, col)
		}
		cov.Product(t, inner, t.T())
		sym := mat.NewSymDense(d, nil)
		for i := range d {
			for j := i; j < d; j++ {
				sym.SetSym(i, j, (cov.At(i, j)+cov.At(j, i))/2)
			}
		}
		return mean, sym
	}
	var mean []float64
	var root mat.Dense // a square root of the covariance matrix
	switch q := q.(type) {
	case *meanField:
		d := len(q.sigma)
		mean = q.theta[:d]
		root.CloneFrom(mat.NewDiagDense(d, q.sigma))
	case *fullRank:
		mean = q.theta[:q.d]
		root.ReuseAs(q.d, q.d)
		for i := range q.d {
			copy(root.RawRowView(i), q.row(i))
		}
	case *lowRankNormal:
		mean = q.theta[:q.d]
		root.Augment(mat.NewDiagDense(q.d, q.sigma), mat.NewDense(q.d, q.r, q.b()))
	case *factored:
		d := len(q.mu)
		mean = q.mu
		l := mat.NewDense(q.k, q.k, append([]float64(nil), q.l...))
		for i := range q.k {
			l.Set(i, i, l.At(i, i)-1)
		}
		basis := mat.NewDense(d, q.k, q.q)
		root.Product(basis, l, basis.T())
		for i := range d {
			root.Set(i, i, root.At(i, i)+1)
			floats.Scale(q.scale[i], root.RawRowView(i))
		}
	}
	cov := mat.NewSymDense(len(mean), nil)
	cov.SymOuterK(1, &root)
	return mean, cov
}

// Full rank, low rank with enough of it, and Pathfinder contain the posterior
// of a linear model with a normal prior, and find it.
func TestFamiliesThatContainTheTarget(t *testing.T) {
	g := newLinearGaussian(t)
	for _, test := range []struct {
		family Family
		tol    float64
	}{
		{&ADVI{Form: FullRank, Tolerance: 1e-4}, 0.002},
		{&ADVI{Form: LowRankPlusDiagonal, Rank: 2, Tolerance: 1e-4}, 0.002},
		{&Pathfinder{Paths: 1}, 0.02},
		{&Pathfinder{Paths: 3, History: 10}, 0.02},
	} {
		a := mustFit(t, g, test.family, nil)
		q := a.q
		if m, ok := q.(mixture); ok {
			q = m[0]
		}
		mean, cov := meanAndCovariance(q)
		for i, want := range g.mean {
			if math.Abs(mean[i]-want) > test.tol {
				t.Errorf("%v: mean %d is %.5f, want %.5f", test.family, i, mean[i], want)
			}
			for j := range g.mean {
				if want := g.cov.At(i, j); math.Abs(cov.At(i, j)-want) > 2*test.tol {
					t.Errorf("%v: covariance %d, %d is %.5f, want %.5f", test.family, i, j, cov.At(i, j), want)
				}
			}
		}
		if !a.Good() || a.KHat > 0.5 {
			t.Errorf("%v: an exact fit is not good: k-hat %g, %q", test.family, a.KHat, a.Warnings)
		}
		// The target is normalised as a density of (x, y) without the
		// constant of the noise, so the evidence is known.
		exact, _ := distmv.NewNormal(g.mean, g.cov, nil)
		want := g.LogProb(g.mean) - exact.LogProb(g.mean)
		if math.Abs(a.LogEvidence-want) > 0.01 || math.Abs(a.ELBO-want) > 0.03 {
			t.Errorf("%v: log evidence %.4f, bound %.4f, want %.4f", test.family, a.LogEvidence, a.ELBO, want)
		}
	}
}

// The mean-field optimum for a normal target has its mean, and variances that
// are the reciprocals of the diagonal of its precision matrix.
func TestMeanFieldClosedForm(t *testing.T) {
	g := newLinearGaussian(t)
	a := mustFit(t, g, &ADVI{Tolerance: 1e-9, GradSamples: 10}, nil)
	var precision mat.Dense
	if err := precision.Inverse(g.cov); err != nil {
		t.Fatal(err)
	}
	mean, cov := meanAndCovariance(a.q)
	for i, want := range g.mean {
		if math.Abs(mean[i]-want) > 0.01 {
			t.Errorf("mean %d is %.4f, want %.4f", i, mean[i], want)
		}
		if got, want := cov.At(i, i), 1/precision.At(i, i); math.Abs(got/want-1) > 0.02 {
			t.Errorf("variance %d is %.4f, want %.4f", i, got, want)
		}
	}
}

// Two particles on N(0, 1) stand still at ±sqrt(log(3)/2): in units of their
// standard deviation they are at ±1, the bandwidth is 4/log 3, the kernel
// between them 1/3, and the direction (-2/3 a² + 1/3 log 3)/2.
func TestTwoParticles(t *testing.T) {
	normal, _ := distmv.NewNormal([]float64{0}, mat.NewSymDense(1, []float64{1}), nil)
	a := mustFit(t, normal, &SVGD{Particles: 2, Tolerance: 1e-9, Iterations: 5000},
		&FitOptions{Init: mat.NewDense(2, 1, []float64{-1, 3}), Draws: 100})
	x, y := a.Particles.At(0, 0), a.Particles.At(1, 0)
	want := math.Sqrt(math.Log(3) / 2)
	if math.Abs(x+want) > 1e-6 || math.Abs(y-want) > 1e-6 {
		t.Errorf("the particles are at %g and %g, want ±%g", x, y, want)
	}
}

func TestSVGDMoments(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds under the race detector")
	}
	g := newLinearGaussian(t)
	a := mustFit(t, g, &SVGD{Particles: 200}, nil)
	mean := make([]float64, 3)
	for j := range mean {
		mean[j] = floats.Sum(mat.Col(nil, j, a.Particles)) / 200
		if sd := math.Sqrt(g.cov.At(j, j)); math.Abs(mean[j]-g.mean[j]) > 0.005*sd {
			t.Errorf("mean %d is %.4f, want %.4f", j, mean[j], g.mean[j])
		}
	}
	for i := range mean {
		for j := range i + 1 {
			var c float64
			for k := range 200 {
				c += (a.Particles.At(k, i) - mean[i]) * (a.Particles.At(k, j) - mean[j]) / 200
			}
			// The particles are too close together, by 9 % of the variances for
			// 200 of them in three dimensions.
			if got, want := c, 0.91*g.cov.At(i, j); math.Abs(got-want) > 0.02*math.Sqrt(g.cov.At(i, i)*g.cov.At(j, j)) {
				t.Errorf("covariance %d, %d is %.4f, want about %.4f", i, j, got, want)
			}
		}
	}
	if !a.Good() {
		t.Errorf("not good:\n%v", a)
	}
}

// funnel is Neal's: x_1 ~ N(0, 3²), the others N(0, e^x_1).
type funnel struct{ d int }

func (f funnel) Dim() int { return f.d }

func (f funnel) LogProb(x []float64) float64 {
	return f.LogProbScore(make([]float64, f.d), x)
}

func (f funnel) ScoreInput(score, x []float64) []float64 {
	f.LogProbScore(score, x)
	return score
}

func (f funnel) LogProbScore(score, x []float64) float64 {
	lp := -x[0]*x[0]/18 - float64(f.d-1)*x[0]/2
	score[0] = -x[0]/9 - float64(f.d-1)/2
	w := math.Exp(-x[0])
	for i, v := range x[1:] {
		lp -= v * v * w / 2
		score[0] += v * v * w / 2
		score[i+1] = -v * w
	}
	return lp
}

// bimodal is the even mixture of N((±m, 0), diag(s², 1/4)).
type bimodal struct{ mixture1 }

func (bimodal) Dim() int { return 2 }

func (b bimodal) LogProb(x []float64) float64 { return b.mixture1.LogProb(x[:1]) - 2*x[1]*x[1] }

func (b bimodal) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, 2)
	}
	b.mixture1.ScoreInput(score[:1], x[:1])
	score[1] = -4 * x[1]
	return score
}

func TestKHatFindsBadFits(t *testing.T) {
	two := bimodal{mixture1{2.8, 1}}
	for name, test := range map[string]struct {
		target inverse.Density
		family Family
		good   bool
	}{
		"funnel, mean field":    {funnel{10}, &ADVI{}, false},
		"funnel, full rank":     {funnel{10}, &ADVI{Form: FullRank}, false},
		"funnel, Pathfinder":    {funnel{10}, &Pathfinder{}, false},
		"bimodal, full rank":    {two, &ADVI{Form: FullRank}, false},
		"bimodal, one path":     {two, &Pathfinder{Paths: 1}, false},
		"bimodal, eight paths":  {two, &Pathfinder{Paths: 8}, true},
		"bimodal, SVGD":         {two, &SVGD{}, true},
		"normal, full rank":     {newLinearGaussian(t), &ADVI{Form: FullRank}, true},
		"eight schools, normal": {posteriordb.EightSchools(), &ADVI{}, true},
	} {
		a := mustFit(t, test.target, test.family, nil)
		if got := a.KHat <= KHatThreshold(1000); got != test.good {
			t.Errorf("%s: k-hat is %.2f, ESS %.0f", name, a.KHat, a.ESS)
		}
		if bad := strings.Contains(a.String(), "BAD"); bad == test.good {
			t.Errorf("%s:\n%v", name, a)
		}
	}
}

func TestMixtureFindsBothModes(t *testing.T) {
	a := mustFit(t, bimodal{mixture1{4, 1}}, &Pathfinder{Paths: 8}, nil)
	dst := mat.NewDense(4000, 2, nil)
	if err := a.Resample(context.Background(), dst); err != nil {
		t.Fatal(err)
	}
	var right, sq float64
	for i := range 4000 {
		x := dst.At(i, 0)
		sq += x * x / 4000
		if x > 0 {
			right += 1.0 / 4000
		}
	}
	if math.Abs(right-0.5) > 0.06 || math.Abs(sq-17) > 0.6 {
		t.Errorf("%.3f of the weight is on the right, want 0.5; the second moment is %.2f, want 17", right, sq)
	}
}

// The weighted draws have the means of the database's reference draws where
// k-hat says that they can, which it must.
func TestFitsAgainstReference(t *testing.T) {
	forms := []Family{&ADVI{}, &ADVI{Form: FullRank}, &ADVI{Form: LowRankPlusDiagonal}}
	fitsReference(t, posteriordb.EightSchools(), forms...)
	if testing.Short() {
		return
	}
	for _, name := range []string{"kidiq-kidscore_momhsiq", "arK-arK", "low_dim_gauss_mix-low_dim_gauss_mix"} {
		p, err := posteriordb.Open(filepath.Dir(shared(t, "posteriordb", name+".json")), name)
		if err != nil {
			t.Fatal(err)
		}
		fitsReference(t, p, &Pathfinder{})
	}
}

// Different families agree on the evidence of the ten posteriors, with
// simulated data, where their weights have a mean at all.
func TestFamiliesAgree(t *testing.T) {
	for _, name := range posteriordb.Names() {
		if testing.Short() && name != "arma-arma11" {
			continue
		}
		p := posteriordb.Simulated(name)
		var evidence []float64
		for _, family := range []Family{&ADVI{}, &ADVI{Form: FullRank}, &ADVI{Form: LowRankPlusDiagonal}, &Pathfinder{Paths: 8}} {
			a := mustFit(t, p, family, nil)
			if a.ELBO > a.LogEvidence+0.1 {
				t.Errorf("%s, %v: bound %.2f, log evidence %.2f", name, family, a.ELBO, a.LogEvidence)
			}
			if _, ok := family.(*Pathfinder); a.KHat < 1 && (ok || family.(*ADVI).Form == FullRank) {
				evidence = append(evidence, a.LogEvidence)
			}
		}
		if len(evidence) == 0 || slices.Max(evidence)-slices.Min(evidence) > 0.4 {
			t.Errorf("%s: log evidences %.2f", name, evidence)
		}
	}
}

func fitsReference(t *testing.T, p *posteriordb.Posterior, families ...Family) {
	for _, family := range families {
		a := mustFit(t, p, family, &FitOptions{Draws: 10000})
		if a.KHat > 0.7 {
			t.Errorf("%s, %v: k-hat %.2f", p.Name, family, a.KHat)
			continue
		}
		x := make([]float64, len(p.Params))
		mean, sq := make([]float64, len(x)), make([]float64, len(x))
		for i, lw := range a.LogWeights {
			p.Constrain(x, a.Draws.RawRowView(i))
			for j, v := range x {
				w := math.Exp(lw)
				mean[j] += w * v
				sq[j] += w * w * (v - p.Reference[j].Mean) * (v - p.Reference[j].Mean)
			}
		}
		for j, r := range p.Reference {
			se := math.Hypot(math.Sqrt(sq[j]), r.MCSEMean)
			if z := (mean[j] - r.Mean) / se; math.Abs(z) > 4 {
				t.Errorf("%s, %v: mean of %s is %.3f, the reference has %.3f: %.1f standard errors", p.Name, family, r.Name, mean[j], r.Mean, z)
			}
		}
	}
}

func TestFitBoundedParameters(t *testing.T) {
	// x ~ Gamma(5, 2) on (0, ∞), and u = log x.
	target := gammaTarget{5, 2}
	a := mustFit(t, target, &ADVI{}, &FitOptions{Transform: prior.Positive(1), Names: []string{"rate"}})
	total := quad.Fixed(func(x float64) float64 { return math.Exp(a.LogProb([]float64{x})) }, 1e-6, 30, 2000, nil, 0)
	if math.Abs(total-1) > 1e-4 {
		t.Errorf("the density integrates to %g", total)
	}
	if lp := a.LogProb([]float64{-1}); !math.IsInf(lp, -1) {
		t.Errorf("log density outside the support is %g", lp)
	}
	draws := mat.NewDense(20000, 1, nil)
	if err := a.Resample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	if mean := mat.Sum(draws) / 20000; math.Abs(mean-2.5) > 0.15 || mat.Min(draws) <= 0 {
		t.Errorf("mean %g, want 2.5; smallest draw %g", mean, mat.Min(draws))
	}
	if math.Abs(a.LogEvidence-target.logNormaliser()) > 0.02 {
		t.Errorf("log evidence %g, want %g", a.LogEvidence, target.logNormaliser())
	}
	if !strings.Contains(a.String(), "rate") {
		t.Errorf("no name in\n%v", a)
	}
}

type gammaTarget struct{ shape, rate float64 }

func (g gammaTarget) LogProb(x []float64) float64 {
	return (g.shape-1)*math.Log(x[0]) - g.rate*x[0]
}

func (g gammaTarget) ScoreInput(score, x []float64) []float64 {
	score[0] = (g.shape-1)/x[0] - g.rate
	return score
}

func (g gammaTarget) logNormaliser() float64 {
	l, _ := math.Lgamma(g.shape)
	return l - g.shape*math.Log(g.rate)
}

// On a simplex x has one coordinate more than is free.
func TestFitOnASimplex(t *testing.T) {
	target := dirichlet{40, 60, 100}
	a := mustFit(t, target, &ADVI{Form: FullRank}, &FitOptions{Transform: prior.Simplex(3), Init: mat.NewDense(1, 3, []float64{0.3, 0.3, 0.4})})
	var want, sum float64
	for _, alpha := range target {
		l, _ := math.Lgamma(alpha)
		want += l
		sum += alpha
	}
	l, _ := math.Lgamma(sum)
	if want -= l; math.Abs(a.LogEvidence-want) > 0.02 || !a.Good() || a.ESS < 950 {
		t.Errorf("log evidence %.4f, want %.4f; k-hat %.2f, ESS %.1f", a.LogEvidence, want, a.KHat, a.ESS)
	}
	for i := range 100 {
		if s := floats.Sum(a.Draws.RawRowView(i)); math.Abs(s-1) > 1e-12 {
			t.Fatalf("draw %d sums to %g", i, s)
		}
	}
	if _, err := Fit(context.Background(), target, &ADVI{}, &FitOptions{
		Transform: prior.Simplex(3), Init: mat.NewDense(1, 3, []float64{0.5, 0.6, 0.4})}); err == nil {
		t.Error("Init off the simplex: no error")
	}
}

// dirichlet is that density without its constant.
type dirichlet []float64

func (d dirichlet) Dim() int { return len(d) }

func (d dirichlet) LogProb(x []float64) float64 {
	var lp float64
	for i, alpha := range d {
		lp += (alpha - 1) * math.Log(x[i])
	}
	return lp
}

func (d dirichlet) ScoreInput(score, x []float64) []float64 {
	for i, alpha := range d {
		score[i] = (alpha - 1) / x[i]
	}
	return score
}

var allFamilies = []Family{&ADVI{}, &ADVI{Form: FullRank}, &ADVI{Form: LowRankPlusDiagonal}, &Pathfinder{}, &Pathfinder{Paths: 1}, &SVGD{Particles: 40, Iterations: 50}}

func TestFitSameBitsForEveryGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	g := newLinearGaussian(t)
	for _, family := range allFamilies {
		var want []*mat.Dense
		var khat float64
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			a := mustFit(t, g, family, &FitOptions{Src: rng.New(7, 0)})
			draws, again := mat.NewDense(150, 3, nil), mat.NewDense(150, 3, nil)
			if err := errors.Join(a.Sample(context.Background(), draws), a.Resample(context.Background(), again)); err != nil {
				t.Fatal(err)
			}
			got := []*mat.Dense{a.Draws, draws, again}
			if want == nil {
				want, khat = got, a.KHat
			}
			for i := range got {
				if !mat.Equal(got[i], want[i]) || a.KHat != khat {
					t.Errorf("%v: other bits for GOMAXPROCS %d", family, procs)
				}
			}
		}
	}
}

// Sample's draws have the moments that Draws' distribution has.
func TestApproximationSample(t *testing.T) {
	g := newLinearGaussian(t)
	for _, family := range allFamilies {
		a := mustFit(t, g, family, nil)
		if f, ok := a.q.(mixture); ok {
			a.q = f[0]
		}
		var mean []float64
		var cov *mat.SymDense
		_, isKernel := a.q.(*kernelDensity)
		if !isKernel {
			mean, cov = meanAndCovariance(a.q)
		} else {
			mean, cov = make([]float64, 3), mat.NewSymDense(3, nil)
			n, _ := a.Particles.Dims()
			for i := range n {
				floats.AddScaled(mean, 1/float64(n), a.Particles.RawRowView(i))
			}
			for i := range n {
				d := mat.NewVecDense(3, nil)
				d.SubVec(a.Particles.RowView(i), mat.NewVecDense(3, mean))
				cov.SymRankOne(cov, 1/float64(n), d)
			}
		}
		n := 40000
		if testing.Short() {
			n = 5000
		}
		draws := mat.NewDense(n, 3, nil)
		if err := a.Sample(context.Background(), draws); err != nil {
			t.Fatal(err)
		}
		for i := range mean {
			x := mat.Col(nil, i, draws)
			if z := (floats.Sum(x)/float64(n) - mean[i]) / math.Sqrt(cov.At(i, i)/float64(n)); math.Abs(z) > 4 {
				t.Errorf("%v: mean %d off by %.1f standard errors", family, i, z)
			}
			for j := range i + 1 {
				y := mat.Col(nil, j, draws)
				var c float64
				for k := range n {
					c += (x[k] - mean[i]) * (y[k] - mean[j]) / float64(n)
				}
				se := math.Sqrt((cov.At(i, i)*cov.At(j, j) + cov.At(i, j)*cov.At(i, j)) / float64(n))
				if isKernel {
					se *= 1.3 // heavier tails than normal
				}
				if z := (c - cov.At(i, j)) / se; math.Abs(z) > 4 {
					t.Errorf("%v: covariance %d, %d off by %.1f standard errors", family, i, j, z)
				}
			}
		}
		if !isKernel {
			exact, ok := distmv.NewNormal(mean, cov, nil)
			if !ok {
				t.Fatalf("%v: covariance", family)
			}
			for i := range 20 {
				x := draws.RawRowView(i)
				if got, want := a.LogProb(x), exact.LogProb(x); math.Abs(got-want) > 1e-9 {
					t.Errorf("%v: log density %g, gonum has %g", family, got, want)
				}
			}
		}
		x := draws.RawRowView(0)
		rnd := rand.New(rng.New(1, 1))
		u := make([]float64, 3)
		if allocs := testing.AllocsPerRun(50, func() { a.LogProb(x); a.q.draw(u, rnd) }); allocs >= 1 && !raceEnabled {
			t.Errorf("%v: %g allocations a density and a draw", family, allocs)
		}
	}
}

// The kernel density integrates to one.
func TestKernelDensityIsNormalised(t *testing.T) {
	q := newKernelDensity(mat.NewDense(4, 1, []float64{-2, 0, 0.5, 3}))
	total := quad.Fixed(func(x float64) float64 { return math.Exp(q.logProb([]float64{x})) }, -60, 60, 2000, nil, 0)
	if math.Abs(total-1) > 1e-6 {
		t.Errorf("the density integrates to %g", total)
	}
}

func TestFitErrors(t *testing.T) {
	g := newLinearGaussian(t)
	boom := errors.New("boom")
	for what, test := range map[string]struct {
		target inverse.Density
		family Family
		o      *FitOptions
		want   string
	}{
		"nil target":     {nil, &ADVI{}, nil, "target is nil"},
		"nil family":     {g, nil, nil, "family is nil"},
		"no score":       {valueOnly{}, &ADVI{}, nil, "ScoreInput"},
		"unknown form":   {g, &ADVI{Form: 9}, nil, "ADVI.Form is 9"},
		"negative rank":  {g, &ADVI{Form: LowRankPlusDiagonal, Rank: -1}, nil, "Rank is -1"},
		"negative step":  {g, &ADVI{StepSize: -1}, nil, "ADVI.StepSize -1"},
		"negative draws": {g, &ADVI{}, &FitOptions{Draws: -1}, "FitOptions.Draws is -1"},
		"negative paths": {g, &Pathfinder{Paths: -2}, nil, "Paths is -2"},
		"one particle":   {g, &SVGD{Particles: 1}, nil, "SVGD.Particles is 1"},
		"names":          {g, &ADVI{}, &FitOptions{Names: []string{"a"}}, "1 names for 3 parameters"},
		"NaN, ADVI":      {failing{math.NaN(), nil}, &ADVI{}, nil, "its log density is NaN"},
		"NaN, path":      {failing{math.NaN(), nil}, &Pathfinder{}, nil, "its log density is NaN"},
		"NaN, SVGD":      {failing{math.NaN(), nil}, &SVGD{}, nil, "its log density is NaN"},
		"zero":           {failing{math.Inf(-1), nil}, &ADVI{}, nil, "density is zero"},
		"panic, ADVI":    {failing{0, boom}, &ADVI{}, nil, "boom"},
		"panic, path":    {failing{0, boom}, &Pathfinder{}, nil, "boom"},
		"panic, SVGD":    {failing{0, boom}, &SVGD{}, nil, "boom"},
		"late panic":     {late{new(int), boom}, &Pathfinder{Paths: 1}, nil, "boom"},
	} {
		if test.o == nil {
			test.o = new(FitOptions)
		}
		test.o.Src, test.o.Workers = rng.New(1, 0), 1
		_, err := Fit(context.Background(), test.target, test.family, test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want it to say %q", what, err, test.want)
		}
		if p := (*par.PanicError)(nil); strings.Contains(what, "panic") && !errors.As(err, &p) {
			t.Errorf("%s: %v is not a PanicError", what, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, family := range allFamilies {
		if _, err := Fit(ctx, g, family, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: cancelled, error %v", family, err)
		}
	}
}

type valueOnly struct{}

func (valueOnly) Dim() int                  { return 1 }
func (valueOnly) LogProb([]float64) float64 { return 0 }

// failing has a constant log density, or panics.
type failing struct {
	value float64
	panic error
}

func (failing) Dim() int { return 2 }

func (f failing) LogProb([]float64) float64 {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.value
}

func (f failing) ScoreInput(score, _ []float64) []float64 {
	clear(score)
	return score
}

// late is a normal density that panics at the tenth evaluation.
type late struct {
	calls *int
	panic error
}

func (late) Dim() int { return 2 }

func (f late) LogProb(x []float64) float64 {
	if *f.calls++; *f.calls == 4 {
		panic(f.panic)
	}
	return -floats.Dot(x, x) / 2
}

func (f late) ScoreInput(score, x []float64) []float64 {
	return floats.ScaleTo(score, -1, x)
}

func TestFitProgress(t *testing.T) {
	for _, family := range allFamilies {
		calls := 0
		mustFit(t, newLinearGaussian(t), family, &FitOptions{Progress: func(p FitProgress) {
			calls++
			if p.Done < 1 || p.Done > p.Total {
				t.Errorf("%v: %d of %d", family, p.Done, p.Total)
			}
		}})
		if calls == 0 {
			t.Errorf("%v: no progress", family)
		}
	}
}
