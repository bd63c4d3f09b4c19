package flow

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// gap returns the mean of log p(x|y) - log q(x|y) over the rows, an estimate
// of the Kullback-Leibler divergence, and its standard error, where logp is
// the truth.
func gap(q Conditional, x, y *mat.Dense, logp func(x, y []float64) float64) (mean, se float64) {
	n, _ := x.Dims()
	l := make([]float64, n)
	q.LogProb(l, x, y)
	for i := range l {
		l[i] = logp(x.RawRowView(i), y.RawRowView(i)) - l[i]
	}
	m, s := stat.MeanStdDev(l, nil)
	return m, s / math.Sqrt(float64(n))
}

// gaussianPair draws x ~ N(0, C) in three dimensions with correlations and
// y = A x + noise, and returns the exact posterior.
func gaussianPair(n int, seed uint64) (x, y *mat.Dense, logp func(x, y []float64) float64) {
	l := mat.NewDense(3, 3, []float64{1, 0, 0, 0.8, 0.5, 0, -0.5, 1, 2})
	a := mat.NewDense(2, 3, []float64{1, -1, 0.5, 0, 2, 1})
	const noise = 0.7
	r := rand.New(rng.New(seed, 0))
	x, y = mat.NewDense(n, 3, nil), mat.NewDense(n, 2, nil)
	for i := range n {
		z := mat.NewVecDense(3, []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64()})
		var xi, yi mat.VecDense
		xi.MulVec(l, z)
		yi.MulVec(a, &xi)
		x.SetRow(i, xi.RawVector().Data)
		y.SetRow(i, []float64{yi.AtVec(0) + noise*r.NormFloat64(), yi.AtVec(1) + noise*r.NormFloat64()})
	}
	// Precision P = C⁻¹ + AᵀA/noise², mean P⁻¹Aᵀy/noise².
	var c, p, ata mat.Dense
	c.Mul(l, l.T())
	if err := p.Inverse(&c); err != nil {
		panic(err)
	}
	ata.Mul(a.T(), a)
	ata.Scale(1/(noise*noise), &ata)
	p.Add(&p, &ata)
	var gain, cov mat.Dense
	if err := cov.Inverse(&p); err != nil {
		panic(err)
	}
	gain.Mul(&cov, a.T())
	gain.Scale(1/(noise*noise), &gain)
	logDet, _ := mat.LogDet(&p)
	return x, y, func(x, y []float64) float64 {
		var m, e, pe mat.VecDense
		m.MulVec(&gain, mat.NewVecDense(2, y))
		e.SubVec(mat.NewVecDense(3, x), &m)
		pe.MulVec(&p, &e)
		return logDet/2 - mat.Dot(&e, &pe)/2 - 3*halfLog2Pi
	}
}

// Every architecture contains or comes close to a linear Gaussian posterior:
// the divergence from it is a few hundredths of a nat, in three dimensions.
func TestRecoversGaussian(t *testing.T) {
	n := 16000
	if testing.Short() {
		n = 2000
	}
	x, y, logp := gaussianPair(n, 1)
	tx, ty, _ := gaussianPair(4000, 2)
	for _, a := range []Architecture{MAF{}, NSF{Transforms: 2, Bins: 6, Width: 32}, NSF{Transforms: 2, Bins: 6, Width: 32, Autoregressive: true}, Coupling{}, MDN{Components: 2}} {
		f, err := Fit(context.Background(), a, x, y, &FitOptions{Src: rng.New(1, 0), Rate: 2e-3, Epochs: 30, Patience: 4, Drops: 2})
		if err != nil {
			t.Fatal(err)
		}
		kl, se := gap(f, tx, ty, logp)
		t.Logf("%s: KL(p|q) = %.4f ± %.4f nats, %d steps, %v", name(a), kl, se, f.Report().Steps, f.Report().Elapsed)
		bound := 0.05
		if testing.Short() {
			bound = 0.15
		}
		if !(kl > -4*se && kl < bound) {
			t.Errorf("%s: KL(p|q) is %.4f ± %.4f, want below %g", name(a), kl, se, bound)
		}
	}
}

// Two crescents that turn with y: the posterior of sbibm's task two moons
// without its noise in y, whose density is known.
func crescents(n int, seed uint64) (x, y *mat.Dense, logp func(x, y []float64) float64) {
	r := rand.New(rng.New(seed, 0))
	x, y = mat.NewDense(n, 2, nil), mat.NewDense(n, 1, nil)
	const sd = 0.1
	for i := range n {
		angle := math.Pi * (r.Float64() - 0.5)
		radius := 1 + sd*r.NormFloat64()
		side := float64(1 - 2*r.IntN(2))
		u, v := side*(radius*math.Cos(angle)+0.3), radius*math.Sin(angle)
		turn := 2 * math.Pi * r.Float64()
		s, c := math.Sincos(turn)
		x.SetRow(i, []float64{c*u - s*v, s*u + c*v})
		y.Set(i, 0, turn)
	}
	return x, y, func(x, y []float64) float64 {
		s, c := math.Sincos(y[0])
		u, v := c*x[0]+s*x[1], -s*x[0]+c*x[1]
		var p float64
		for _, side := range []float64{1, -1} {
			w := side*u - 0.3
			radius := math.Hypot(w, v)
			if w > 0 { // the angle is within π/2; the element of area is radius
				p += 0.5 / math.Pi / radius / sd * math.Exp(kernel.LogNormal((radius-1)/sd))
			}
		}
		return math.Log(p)
	}
}

// A density with two modes, curved and sharp.
func TestRecoversCrescents(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	x, y, logp := crescents(20000, 1)
	tx, ty, _ := crescents(4000, 2)
	for _, a := range []Architecture{NSF{}, NSF{Autoregressive: true}} {
		f, err := Fit(context.Background(), a, x, y, &FitOptions{Src: rng.New(1, 0), Rate: 2e-3, Epochs: 40, Patience: 4, Drops: 2})
		if err != nil {
			t.Fatal(err)
		}
		kl, se := gap(f, tx, ty, logp)
		t.Logf("%s: KL(p|q) = %.4f ± %.4f nats, %d steps, %v", name(a), kl, se, f.Report().Steps, f.Report().Elapsed)
		if !(kl > -4*se && kl < 0.2) {
			t.Errorf("%s: KL(p|q) is %.4f ± %.4f", name(a), kl, se)
		}
	}
}

// Draws of a flow with a bounded target space are inside, and the density of a
// uniform posterior with sharp edges is found.
func TestBounded(t *testing.T) {
	const n = 8000
	r := rand.New(rng.New(1, 0))
	x, y := mat.NewDense(n, 2, nil), mat.NewDense(n, 1, nil)
	for i := range n {
		x.SetRow(i, []float64{2 + r.Float64(), 3 * math.Pow(r.Float64(), 0.5)})
		y.Set(i, 0, x.At(i, 0)+0.1*r.NormFloat64())
	}
	box, err := prior.Interval([]float64{2, 0}, []float64{3, 3})
	if err != nil {
		t.Fatal(err)
	}
	f, err := Fit(context.Background(), NSF{Transforms: 2}, x, y, &FitOptions{Src: rng.New(1, 0), Rate: 2e-3, Epochs: 30, Transform: box})
	if err != nil {
		t.Fatal(err)
	}
	post := Given(f, []float64{2.95})
	post.Src = rng.New(2, 0)
	draws := mat.NewDense(20000, 2, nil)
	if err := post.Sample(context.Background(), draws); err != nil {
		t.Fatal(err)
	}
	for i := range 20000 {
		if a, b := draws.At(i, 0), draws.At(i, 1); !(a > 2 && a < 3 && b > 0 && b < 3) {
			t.Fatalf("draw %d is (%g, %g)", i, a, b)
		}
	}
	for _, outside := range [][]float64{{1.9, 1}, {2, 1}, {2.5, 3.1}, {math.NaN(), 1}, {2.5, math.Inf(1)}} {
		if l := post.LogProb(outside); !math.IsInf(l, -1) {
			t.Errorf("LogProb(%g) is %g", outside, l)
		}
	}
	// x₁ given y is normal, cut off at 3.
	a, b := (3-2.95)/0.1, (2-2.95)/0.1
	cdf := func(t float64) float64 { return 0.5 * math.Erfc(-t/math.Sqrt2) }
	want := 2.95 + 0.1*(math.Exp(kernel.LogNormal(b))-math.Exp(kernel.LogNormal(a)))/(cdf(a)-cdf(b))
	mean := stat.Mean(mat.Col(nil, 0, draws), nil)
	if math.Abs(mean-want) > 0.01 {
		t.Errorf("mean of x₁ is %g, want %g", mean, want)
	}
	// x₂ has the density 2x/9, mean 2, whatever y is.
	if mean := stat.Mean(mat.Col(nil, 1, draws), nil); math.Abs(mean-2) > 0.06 {
		t.Errorf("mean of x₂ is %g, want 2", mean)
	}
}

// Measurements with noises of their own: one is normal with a deviation that
// changes, the other of Gumbel's distribution. The density is a product, and
// theirs.
func TestRecoversIndependent(t *testing.T) {
	n, bound := 16000, 0.05
	if testing.Short() {
		n, bound = 3000, 0.15
	}
	draw := func(n int, seed uint64) (x, y *mat.Dense) {
		r := rand.New(rng.New(seed, 0))
		x, y = mat.NewDense(n, 2, nil), mat.NewDense(n, 1, nil)
		for i := range n {
			v := 4*r.Float64() - 2
			x.SetRow(i, []float64{math.Sin(2*v) + 0.1*math.Exp(v)*r.NormFloat64(), v*v - math.Log(r.ExpFloat64())})
			y.Set(i, 0, v)
		}
		return x, y
	}
	logp := func(x, y []float64) float64 {
		v := y[0]
		sd := 0.1 * math.Exp(v)
		return kernel.LogNormal((x[0]-math.Sin(2*v))/sd) - math.Log(sd) - (x[1] - v*v) - math.Exp(v*v-x[1])
	}
	x, y := draw(n, 1)
	tx, ty := draw(4000, 2)
	f, err := Fit(context.Background(), NSF{Independent: true}, x, y, &FitOptions{Src: rng.New(1, 0), Rate: 2e-3, Epochs: 60, Patience: 4, Drops: 2})
	if err != nil {
		t.Fatal(err)
	}
	kl, se := gap(f, tx, ty, logp)
	t.Logf("KL(p|q) = %.4f ± %.4f nats, %d steps, %v", kl, se, f.Report().Steps, f.Report().Elapsed)
	if !(kl > -4*se && kl < bound) {
		t.Errorf("KL(p|q) is %.4f ± %.4f, want below %g", kl, se, bound)
	}

	// With the second measurement of another row, the density changes by what
	// that of the second measurement does, whatever the first is.
	same := mat.NewDense(4, 2, []float64{0.1, 0.5, 0.1, 1.5, -0.7, 0.5, -0.7, 1.5})
	l := make([]float64, 4)
	f.LogProb(l, same, mat.NewDense(1, 1, []float64{0.3}))
	if a, b := l[1]-l[0], l[3]-l[2]; math.Abs(a-b) > 1e-4 {
		t.Errorf("log q(x₂|y) changes by %g where x₁ is 0.1 and by %g where it is -0.7", a, b)
	}
}
