package diffusion

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/prior"
)

// A network learns the score of a mixture: it denoises nearly as well as the
// exact score does, and draws made with it are close to the prior.
func TestTrainBimodal(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	p := newBimodal(t)
	data := mat.NewDense(20_000, 1, nil)
	p.prior.Draw(data, src(1))
	var first, last float64
	w, err := Train(context.Background(), data, NewVP(.1, 20), &TrainOptions{
		Net: MLP{Hidden: []int{64, 64, 64}}, Steps: 8000, StdLog: 1.5, MeanLog: -.8, EMA: .995, Rate: 3e-3, Src: src(2),
		Progress: func(tp TrainProgress) {
			if first == 0 {
				first = tp.Loss
			}
			last = tp.Loss
		},
	})
	check(t, err)
	if !(last < .9*first) {
		t.Errorf("the loss went from %.3f to %.3f", first, last)
	}
	// The mean squared error of denoising exceeds the least possible one by
	// E(D - D*)², here relative to the variance of D*.
	for _, level := range []float64{.1, .3, 1, 3} {
		tm := w.Schedule().Time(-2 * math.Log(level))
		alpha, sigma := w.Schedule().At(tm)
		const n = 4000
		x, d, want := mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil), mat.NewDense(n, 1, nil)
		p.prior.Draw(x, src(3))
		r := rand.New(src(4))
		for i := range n {
			x.Set(i, 0, alpha*x.At(i, 0)+sigma*r.NormFloat64())
		}
		w.Denoise(d, x, tm)
		p.score.Denoise(want, x, tm)
		d.Sub(d, want)
		excess := floats.Dot(d.RawMatrix().Data, d.RawMatrix().Data) / n
		t.Logf("σ/α = %v: excess %.2g of noise variance %.2g", level, excess, level*level)
		if excess > .02*math.Min(level*level, 2) {
			t.Errorf("σ/α = %v: the error exceeds the least possible one by %.3g", level, excess)
		}
	}
	got := summarize(p.prior, draw(t, &Reverse{Score: w, Steps: 30, Src: src(5)}, 4000))
	t.Logf("prior draws: mean %.3f std %.3f W1 %.4f", got.mean, got.std, got.w1)
	if got.w1 > .12 {
		t.Errorf("draws are at W1 %.4f of the prior", got.w1)
	}
	g, err := NewPiGDM(w, p.lik)
	check(t, err)
	s, err := NewTDS(g, p.lik)
	check(t, err)
	s.Src = src(6)
	if got := summarize(p.post.Mixture, draw(t, s, 3200)); got.w1 > .08 {
		t.Errorf("posterior draws are at W1 %.4f", got.w1)
	}
}

// smallNetwork trains for a few steps.
func smallNetwork(t testing.TB, a Architecture, n int, opt TrainOptions) (*Network, *mat.Dense) {
	t.Helper()
	m, err := prior.NewIsotropicMixture(nil, gaussianMatrix(rand.New(src(1)), 3, n), []float64{.3}, nil)
	check(t, err)
	data := mat.NewDense(100, n, nil)
	m.Draw(data, src(2))
	opt.Net, opt.Steps, opt.Batch = a, 12, 40
	if opt.Src == nil {
		opt.Src = src(3)
	}
	w, err := Train(context.Background(), data, NewVP(.1, 20), &opt)
	check(t, err)
	return w, data
}

func architectures() map[string]struct {
	a Architecture
	n int
} {
	return map[string]struct {
		a Architecture
		n int
	}{"MLP": {MLP{Hidden: []int{16, 16}}, 5}, "UNet": {UNet{Side: 4, Width: 8}, 16}}
}

// The products with the Hessian are those of central differences, and score
// and denoised mean satisfy Tweedie's formula.
func TestNetworkDerivatives(t *testing.T) {
	for name, c := range architectures() {
		w, data := smallNetwork(t, c.a, c.n, TrainOptions{})
		x := data.Slice(0, 3, 0, c.n).(*mat.Dense)
		v := gaussianMatrix(rand.New(src(4)), 3, c.n)
		score, d := mat.NewDense(3, c.n, nil), mat.NewDense(3, c.n, nil)
		got, again, plus, minus := mat.NewDense(3, c.n, nil), mat.NewDense(3, c.n, nil), mat.NewDense(3, c.n, nil), mat.NewDense(3, c.n, nil)
		for _, tm := range []float64{.1, .5, 1} {
			lin := w.LinearizeScore()
			lin.Score(score, x, tm)
			lin.VJP(got, v)
			lin.VJP(again, v)
			if !mat.Equal(got, again) {
				t.Errorf("%s: the second product differs", name)
			}
			w.Denoise(d, x, tm)
			alpha, sigma := w.Schedule().At(tm)
			tweedie(plus, x, score, alpha, sigma)
			if !mat.EqualApprox(plus, d, 1e-6/alpha) {
				t.Errorf("%s: score and denoised mean disagree at %v", name, tm)
			}
			// vᵀ(∂s/∂x)u by differences of s along u is uᵀ of the product.
			u := gaussianMatrix(rand.New(src(5)), 3, c.n)
			const h = 1e-2
			combine(plus, 1, x, h, u)
			w.Score(plus, plus, tm)
			combine(minus, 1, x, -h, u)
			w.Score(minus, minus, tm)
			for i := range 3 {
				want := (floats.Dot(plus.RawRowView(i), v.RawRowView(i)) - floats.Dot(minus.RawRowView(i), v.RawRowView(i))) / (2 * h)
				if g := floats.Dot(got.RawRowView(i), u.RawRowView(i)); math.Abs(g-want) > 5e-3*(1+math.Abs(want)) {
					t.Errorf("%s: product %v at %v, by differences %v", name, g, tm, want)
				}
			}
		}
	}
}

func TestNetworkSaveLoad(t *testing.T) {
	for name, c := range architectures() {
		w, data := smallNetwork(t, c.a, c.n, TrainOptions{})
		var file bytes.Buffer
		check(t, w.Save(&file))
		whole := file.Bytes()
		again, err := Load(&file, w.Schedule())
		check(t, err)
		a, b := mat.NewDense(100, c.n, nil), mat.NewDense(100, c.n, nil)
		w.Score(a, data, .3)
		again.Score(b, data, .3)
		if !mat.Equal(a, b) {
			t.Errorf("%s: the loaded network is another", name)
		}
		edm, err := again.WithSchedule(NewEDM(.01, 50))
		check(t, err)
		edm.Denoise(a, data, .5)
		check(t, err)
		vp := NewVP(.1, 20)
		tm := vp.Time(-2 * math.Log(.5))
		alpha, _ := vp.At(tm)
		combine(b, alpha, data, 0, data)
		w.Denoise(b, b, tm)
		if !mat.EqualApprox(a, b, 1e-6) {
			t.Errorf("%s: another schedule has other denoised means at the same noise level", name)
		}
		for _, cut := range []int{0, 7, len(whole) / 2, len(whole) - 1} {
			if _, err := Load(bytes.NewReader(whole[:cut]), vp); err == nil {
				t.Errorf("%s: no error for %d of %d bytes", name, cut, len(whole))
			}
		}
		for _, replace := range [][2]string{{`diffusion/`, `diffusions`}, {`\"SD\":`, `\"SX\":`}, {`\"SD\":0`, `\"SD\":-`}, {`\"Mean\":[`, `\"Mean\":{`}} {
			bad := bytes.Replace(whole, []byte(replace[0]), []byte(replace[1]), 1)
			if bytes.Equal(bad, whole) {
				continue
			}
			if _, err := Load(bytes.NewReader(bad), vp); err == nil || !strings.Contains(err.Error(), "diffusion: Load") {
				t.Errorf("%s: %q: error %v", name, replace[1], err)
			}
		}
	}
}

func TestTrainReproducible(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	a := MLP{Hidden: []int{16}}
	runtime.GOMAXPROCS(1)
	want, _ := smallNetwork(t, a, 3, TrainOptions{})
	runtime.GOMAXPROCS(4)
	got, _ := smallNetwork(t, a, 3, TrainOptions{})
	for i, v := range want.params.Values {
		if got.params.Values[i] != v {
			t.Fatal("GOMAXPROCS changes the network")
		}
	}

	// A training that is interrupted and resumed gives the same network.
	var state bytes.Buffer
	stop := errors.New("stop")
	m, data := smallNetwork(t, a, 3, TrainOptions{})
	_ = m
	opt := TrainOptions{Net: a, Steps: 12, Batch: 40, Src: src(3), CheckpointEvery: 5, Checkpoint: func(save func(io.Writer) error) error {
		check(t, save(&state))
		return stop
	}}
	if _, err := Train(context.Background(), data, NewVP(.1, 20), &opt); !errors.Is(err, stop) {
		t.Fatalf("error %v", err)
	}
	opt.Checkpoint, opt.Resume, opt.Src = nil, &state, src(3)
	resumed, err := Train(context.Background(), data, NewVP(.1, 20), &opt)
	check(t, err)
	for i, v := range want.params.Values {
		if resumed.params.Values[i] != v {
			t.Fatal("the resumed network is another")
		}
	}
}

func TestTrainErrors(t *testing.T) {
	vp := NewVP(.1, 20)
	data := gaussianMatrix(rand.New(src(1)), 10, 4)
	bad := mat.DenseCopyOf(data)
	bad.Set(2, 1, math.NaN())
	for _, c := range []struct {
		data *mat.Dense
		s    Schedule
		opt  TrainOptions
		want string
	}{
		{nil, vp, TrainOptions{}, "empty"},
		{data, nil, TrainOptions{}, "schedule is nil"},
		{bad, vp, TrainOptions{}, "element (2, 1) of the data is NaN"},
		{mat.NewDense(5, 2, nil), vp, TrainOptions{}, "standard deviation of the data is 0"},
		{data, vp, TrainOptions{Batch: 11}, "Batch is 11"},
		{data, vp, TrainOptions{Steps: -1}, "Steps is -1"},
		{data, vp, TrainOptions{EMA: 1}, "EMA 1"},
		{data, vp, TrainOptions{Net: UNet{Side: 3}}, "3×3 pixels"},
		{data, vp, TrainOptions{Net: UNet{Side: 2, Width: 9}}, "Width is 9"},
		{data, vp, TrainOptions{Net: UNet{Side: 2, Patch: 3}}, "Patch is 3"},
		{data, vp, TrainOptions{Net: MLP{Hidden: []int{0}}}, "Hidden[0] is 0"},
		{data, vp, TrainOptions{Resume: strings.NewReader("no state")}, "Resume"},
	} {
		opt := c.opt
		if _, err := Train(context.Background(), c.data, c.s, &opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if w, err := Train(ctx, data, vp, nil); !errors.Is(err, context.Canceled) || w == nil {
		t.Errorf("error %v, network %v", err, w)
	}
}
