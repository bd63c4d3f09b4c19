package diffusion

import (
	"bytes"
	"context"
	"math"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// ring is a mixture of five components in the plane, off the origin.
func ring(t testing.TB) *prior.Mixture {
	t.Helper()
	means := mat.NewDense(5, 2, nil)
	for k := range 5 {
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / 5)
		means.SetRow(k, []float64{4 + 3*cos, -1 + 3*sin})
	}
	m, err := prior.NewIsotropicMixture([]float64{.1, .2, .3, .2, .2}, means, []float64{.5}, nil)
	check(t, err)
	return m
}

func drawn(p prior.Prior, n int, seed uint64) *mat.Dense {
	x := mat.NewDense(n, p.Dim(), nil)
	p.Draw(x, src(seed))
	return x
}

func train(t testing.TB, data *mat.Dense, o TrainOptions) *Network {
	t.Helper()
	o.Src = src(1)
	l, err := Train(context.Background(), data, NewVP(.1, 20), &o)
	check(t, err)
	return l
}

// denoisingError returns √E‖D - D*‖²/n over the standard deviation of x₀, at
// draws of p_t where σ/α has a value in units of that standard deviation.
func denoisingError(t *testing.T, l *Network, p prior.Diffusible, x0 *mat.Dense, level float64) float64 {
	t.Helper()
	exact, err := Diffuse(p, l.Schedule())
	check(t, err)
	sd := l.sd
	at := l.Schedule().Time(-2 * math.Log(level*sd))
	alpha, sigma := l.Schedule().At(at)
	r, n := x0.Dims()
	x := mat.NewDense(r, n, nil)
	rng.FillNormal(x.RawMatrix().Data, src(9))
	combine(x, alpha, x0, sigma, x)
	got, want := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	l.Denoise(got, x, at)
	exact.Denoise(want, x, at)
	got.Sub(got, want)
	return mat.Norm(got, 2) / math.Sqrt(float64(r*n)) / sd
}

// sliced returns the mean over directions of the Wasserstein distances of
// order 1 between projections of as many draws in the plane.
func sliced(a, b *mat.Dense) float64 {
	const directions = 40
	r, _ := a.Dims()
	u, v := make([]float64, r), make([]float64, r)
	sum := 0.0
	for k := range directions {
		sin, cos := math.Sincos(math.Pi * float64(k) / directions)
		for i := range r {
			u[i] = cos*a.At(i, 0) + sin*a.At(i, 1)
			v[i] = cos*b.At(i, 0) + sin*b.At(i, 1)
		}
		sort.Float64s(u)
		sort.Float64s(v)
		sum += floats.Distance(u, v, 1) / float64(r) / directions
	}
	return sum
}

// A learned score is that of the density up to the error of learning, at all
// levels, and reverse diffusion gives its draws back.
func TestTrainMixture(t *testing.T) {
	o := TrainOptions{Steps: 6000}
	if testing.Short() {
		o = TrainOptions{Steps: 150, Batch: 128, Rate: 5e-3, EMA: .95, Net: MLP{Hidden: []int{64, 64}}}
	}
	p := ring(t)
	l := train(t, drawn(p, 20_000, 2), o)
	x0 := drawn(p, 2000, 3)
	for _, c := range []struct{ level, most float64 }{
		{.02, .005}, {.1, .015}, {.3, .04}, {1, .04}, {3, .04}, {10, .08},
	} {
		if testing.Short() {
			c.most = 0.05 + 5*c.most
		}
		e := denoisingError(t, l, p, x0, c.level)
		t.Logf("σ/α = %g: the denoised mean is wrong by %.4f", c.level, e)
		if e > c.most {
			t.Errorf("σ/α = %g: the denoised mean is wrong by %.4f standard deviations of the data, want at most %g", c.level, e, c.most)
		}
	}
	if testing.Short() {
		return
	}
	const n = 4000
	draws := draw(t, &Reverse{Score: l, Steps: 40, Src: src(4)}, n)
	exact := sliced(drawn(p, n, 5), drawn(p, n, 6))
	got := sliced(draws, drawn(p, n, 5))
	t.Logf("sliced W1 %.3f, of two sets of exact draws %.3f", got, exact)
	if got > .12+exact {
		t.Errorf("sliced W1 of the draws is %.3f; that of two sets of exact draws %.3f", got, exact)
	}
}

// Where the score is linear, draws have the mean and covariance of the data.
func TestTrainGaussian(t *testing.T) {
	n, o := 4000, TrainOptions{Steps: 4000, Net: MLP{Hidden: []int{64, 64}}}
	if testing.Short() {
		n, o.Steps, o.Rate, o.EMA = 500, 120, 5e-3, .95
	}
	cov := mat.NewSymDense(2, []float64{4, 1.2, 1.2, 1})
	p, err := prior.NewGaussian([]float64{10, -3}, cov, nil)
	check(t, err)
	l := train(t, drawn(p, 20_000, 2), o)
	for _, level := range []float64{.05, .5, 5} {
		e := denoisingError(t, l, p, drawn(p, 2000, 3), level)
		t.Logf("σ/α = %g: the denoised mean is wrong by %.4f", level, e)
		if most := .03; e > most && !testing.Short() || e > 8*most {
			t.Errorf("σ/α = %g: the denoised mean is wrong by %.4f standard deviations", level, e)
		}
	}
	draws := draw(t, &Reverse{Score: l, Steps: 30, Src: src(4)}, n)
	// Within 4 % of the spread, the error of learning, and 4 standard errors.
	slack := .04
	if testing.Short() {
		slack = .2
	}
	for i := range 2 {
		for j := range 2 {
			var m, c float64
			for k := range n {
				a, b := draws.At(k, i)-p.Mean(nil)[i], draws.At(k, j)-p.Mean(nil)[j]
				m += a / float64(n)
				c += a * b / float64(n)
			}
			spread := math.Sqrt(cov.At(i, i) * cov.At(j, j))
			if most := (slack + 4/math.Sqrt(float64(n))) * math.Sqrt(cov.At(i, i)); math.Abs(m) > most {
				t.Errorf("mean %d is off by %.3f, want at most %.3f", i, m, most)
			}
			if most := (2*slack + 6/math.Sqrt(float64(n))) * spread; math.Abs(c-cov.At(i, j)) > most {
				t.Errorf("covariance %d, %d is %.3f, want %.3f ± %.3f", i, j, c, cov.At(i, j), most)
			}
		}
	}
}

// images are draws of a Gaussian field on 8×8 pixels that varies slowly.
func images(t testing.TB) *prior.Gaussian {
	t.Helper()
	cov := mat.NewSymDense(64, nil)
	for i := range 64 {
		for j := range i + 1 {
			dx, dy := float64(i%8-j%8), float64(i/8-j/8)
			cov.SetSym(i, j, math.Exp(-(dx*dx+dy*dy)/8))
		}
		cov.SetSym(i, i, 1.01)
	}
	p, err := prior.NewGaussian(nil, cov, nil)
	check(t, err)
	return p
}

// A small U-Net learns how pixels depend on each other: what it starts from,
// the denoiser of independent pixels, is wrong by 0.58.
func TestTrainUNet(t *testing.T) {
	o := TrainOptions{Steps: 120, Batch: 64, Rate: 4e-3, EMA: .95, Net: UNet{Side: 8, Width: 16}}
	most := .2
	if testing.Short() {
		o.Steps, most = 12, .5
	}
	p := images(t)
	l := train(t, drawn(p, 2000, 2), o)
	e := denoisingError(t, l, p, drawn(p, 200, 3), 1)
	t.Logf("the denoised mean is wrong by %.3f", e)
	if e > most {
		t.Errorf("the denoised mean is wrong by %.3f, want at most %g", e, most)
	}
}

// small are trainings in a moment.
func small(t testing.TB) map[string]func() (*mat.Dense, TrainOptions) {
	return map[string]func() (*mat.Dense, TrainOptions){
		"MLP": func() (*mat.Dense, TrainOptions) {
			return drawn(ring(t), 300, 2), TrainOptions{Steps: 40, Batch: 100, Net: MLP{Hidden: []int{16, 16}}}
		},
		"UNet": func() (*mat.Dense, TrainOptions) {
			return drawn(images(t), 40, 2), TrainOptions{Steps: 4, Batch: 32, Net: UNet{Side: 8, Width: 8}}
		},
	}
}

func file(t testing.TB, l *Network) []byte {
	t.Helper()
	var b bytes.Buffer
	check(t, l.Save(&b))
	return b.Bytes()
}

func TestTrainSameBitsForAnyGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, c := range small(t) {
		data, o := c()
		var first []byte
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			b := file(t, train(t, data, o))
			if first == nil {
				first = b
			} else if !bytes.Equal(b, first) {
				t.Errorf("%s: other weights with GOMAXPROCS %d than with 1", name, procs)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, c := range small(f) {
		data, o := c()
		f.Add(file(f, train(f, data, o)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Load(bytes.NewReader(b), NewVP(.1, 20))
		if err != nil {
			return
		}
		x := mat.NewDense(2, l.Dim(), nil)
		l.Score(x, mat.NewDense(2, l.Dim(), nil), .5)
	})
}

func TestTrainDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	mallocs := func(f func()) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs)
	}
	_, o := small(t)["MLP"]()
	data := drawn(ring(t), 2000, 2)
	o.Workers = 1
	run := func(steps int) func() {
		return func() { o.Steps = steps; train(t, data, o) }
	}
	run(10)()
	few, many := mallocs(run(200)), mallocs(run(2000))
	// An epoch, of 20 steps, makes a stream to shuffle the rows with.
	if perStep := (many - few) / 1800; perStep > .1 {
		t.Errorf("%.2f allocations a step (%g, %g)", perStep, few, many)
	}
	l := train(t, data, o)
	x, s := drawn(ring(t), 600, 3), mat.NewDense(600, 2, nil)
	lin := l.LinearizeScore()
	for what, f := range map[string]func(){
		"Score":   func() { l.Score(s, x, .3) },
		"Denoise": func() { l.Denoise(s, x, .3) },
		"VJP":     func() { lin.Score(s, x, .3); lin.VJP(s, x); lin.VJP(s, x) },
	} {
		f()
		if n := testing.AllocsPerRun(50, f); n >= 1 {
			t.Errorf("%s: %g allocations", what, n)
		}
	}
}

// The score is finite at all times, also at levels that training has not seen.
func TestNetworkAtExtremes(t *testing.T) {
	data, o := small(t)["MLP"]()
	l, err := train(t, data, o).WithSchedule(NewEDM(.002, 80))
	check(t, err)
	s := mat.NewDense(300, 2, nil)
	for _, at := range []float64{0, 1e-9, 1e9} {
		l.Score(s, data, at)
		if v := mat.Norm(s, 2); v-v != 0 {
			t.Errorf("t = %g: the score is not finite", at)
		}
	}
}

// A rate that is far too high ends with an error and finite weights.
func TestTrainDiverges(t *testing.T) {
	data, o := small(t)["MLP"]()
	o.Steps, o.Rate, o.Src = 200, 1e30, src(1)
	l, err := Train(context.Background(), data, NewVP(.1, 20), &o)
	if err == nil || !strings.Contains(err.Error(), "not finite at step") || l == nil {
		t.Fatalf("error %v", err)
	}
	if slices.ContainsFunc(l.params.Values, func(v float32) bool { return v-v != 0 }) {
		t.Error("weights that are not finite")
	}
}
