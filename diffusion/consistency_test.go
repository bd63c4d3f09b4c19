package diffusion

import (
	"bytes"
	"context"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// One step and four on a mixture in one dimension. With INVERSE_SLOW=1 the
// bounds are those that an independent program reached, 0.06 and 0.045, and
// closer ones.
func TestDistillBimodal(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	p := newBimodal(t)
	o := &DistillOptions{Net: MLP{Hidden: []int{64, 64, 64}}, Src: src(1)}
	one, four := .03, .03
	if os.Getenv("INVERSE_SLOW") == "" {
		o.Steps, one, four = 2000, .25, .25 // an untrained network has 1.2 and 0.7
	}
	c, err := Distill(context.Background(), p.score, drawn(p.prior, 20_000, 2), o)
	check(t, err)
	for steps, most := range map[int]float64{1: one, 4: four} {
		c.Steps, c.Src = steps, src(3)
		got := summarize(p.prior, draw(t, c, 20_000))
		t.Logf("%d steps: mean %.3f std %.3f W1 %.4f", steps, got.mean, got.std, got.w1)
		if got.w1 > most {
			t.Errorf("%d steps: W1 %.4f, want at most %g", steps, got.w1, most)
		}
	}
}

// A step of Heun's method follows the flow of a Gaussian, which is known.
func TestDistillTeacher(t *testing.T) {
	p := images(t)
	l := drawn(p, 4, 1)
	score, err := Diffuse(p, NewVP(.1, 20))
	check(t, err)
	mean := make([]float64, 64)
	d := &distillation{teacher: score, net: &Network{schedule: score.Schedule(), mean: mean, sd: 1}}
	w := new(trajectory)
	keep(&w.x, l)
	d.heun(w, 1, .99)
	// Along an eigenvector of the covariance of eigenvalue v, u/√(v + s²) stays:
	// (v + s²) du/ds = s u.
	cov := mat.NewSymDense(64, nil)
	p.CovarianceMatrix(cov)
	var e mat.EigenSym
	e.Factorize(cov, true)
	var vec, from, to mat.Dense
	e.VectorsTo(&vec)
	from.Mul(&w.x, &vec)
	to.Mul(&w.next, &vec)
	for i, v := range e.Values(nil) {
		for k := range 4 {
			want := from.At(k, i) * math.Sqrt((v+.99*.99)/(v+1))
			if got := to.At(k, i); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
				t.Fatalf("row %d, mode %d: %g, want %g", k, i, got, want)
			}
		}
	}
}

func TestDistillSameBitsForAnyGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	p := newBimodal(t)
	var first *mat.Dense
	for _, procs := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(procs)
		c, err := Distill(context.Background(), p.score, drawn(p.prior, 500, 2), &DistillOptions{
			Net: MLP{Hidden: []int{16}}, Steps: 30, Batch: 100, Src: src(1),
		})
		check(t, err)
		c.Steps, c.Src = 3, src(2)
		x := draw(t, c, 1500)
		if first == nil {
			first = x
		} else if !mat.Equal(x, first) {
			t.Errorf("other draws with GOMAXPROCS %d than with 1", procs)
		}
	}
}

// Distillation of a network goes on from its weights.
func TestDistillStart(t *testing.T) {
	w, data := smallNetwork(t, MLP{Hidden: []int{16, 16}}, 5, TrainOptions{})
	c, err := Distill(context.Background(), w, data, &DistillOptions{Steps: 1, Rate: 1e-30, Src: src(4)})
	check(t, err)
	for i, want := range w.params.Values { // the average of equal weights, which may be rounded
		if got := c.net.params.Values[i]; math.Abs(float64(got-want)) > 1e-6*math.Abs(float64(want))+1e-20 {
			t.Fatalf("weight %d is %v at first, the network's %v", i, got, want)
		}
	}
	if c.net.sd != w.sd || c.net.mean[4] != w.mean[4] {
		t.Error("other moments than the network's")
	}
}

func TestConsistencySaveLoad(t *testing.T) {
	for name, a := range architectures() {
		w, data := smallNetwork(t, a.a, a.n, TrainOptions{})
		c, err := Distill(context.Background(), w, data, &DistillOptions{Steps: 3, Batch: 20, Max: 7, Src: src(4)})
		check(t, err)
		var file bytes.Buffer
		check(t, c.Save(&file))
		whole := file.Bytes()
		again, err := LoadConsistency(&file)
		check(t, err)
		c.Steps, c.Src, again.Steps, again.Src = 2, src(5), 2, src(5)
		if !mat.Equal(draw(t, c, 10), draw(t, again, 10)) {
			t.Errorf("%s: the loaded sampler is another", name)
		}
		for _, cut := range []int{0, 7, len(whole) / 2, len(whole) - 1} {
			if _, err := LoadConsistency(bytes.NewReader(whole[:cut])); err == nil {
				t.Errorf("%s: no error for %d of %d bytes", name, cut, len(whole))
			}
		}
		for _, replace := range [][2]string{{`consistency/`, `consistence!`}, {`\"Max\":7`, `\"Max\":0`}, {`\"SD\":0`, `\"SD\":-`}} {
			bad := bytes.Replace(whole, []byte(replace[0]), []byte(replace[1]), 1)
			if bytes.Equal(bad, whole) {
				t.Errorf("%s: the file does not contain %s", name, replace[0])
			}
			if _, err := LoadConsistency(bytes.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "diffusion: LoadConsistency") {
				t.Errorf("%s: %q: error %v", name, replace[1], err)
			}
		}
		if _, err := Load(bytes.NewReader(whole), w.Schedule()); err == nil {
			t.Errorf("%s: a consistency model is loaded as a score", name)
		}
	}
}

func TestDistillErrors(t *testing.T) {
	p := newBimodal(t)
	data := drawn(p.prior, 50, 2)
	ctx := context.Background()
	for _, c := range []struct {
		score Score
		data  *mat.Dense
		o     DistillOptions
		want  string
	}{
		{nil, data, DistillOptions{}, "score is nil"},
		{p.score, nil, DistillOptions{}, "data are empty"},
		{p.score, mat.NewDense(50, 2, nil), DistillOptions{}, "2 columns"},
		{p.score, mat.NewDense(50, 1, nil), DistillOptions{}, "standard deviation of the data is 0"},
		{p.score, data, DistillOptions{Levels: 1}, "1 Levels"},
		{p.score, data, DistillOptions{Min: 3, Max: 2}, "Max = 2"},
		{p.score, data, DistillOptions{Steps: -1}, "Steps is -1"},
		{p.score, data, DistillOptions{Batch: 51}, "Batch 51"},
		{p.score, data, DistillOptions{Rate: math.NaN()}, "Rate NaN"},
		{p.score, data, DistillOptions{Net: UNet{Side: 4}}, "4×4 pixels"},
	} {
		if _, err := Distill(ctx, c.score, c.data, &c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	c, err := Distill(ctx, p.score, data, &DistillOptions{Net: MLP{Hidden: []int{4}}, Steps: 2})
	check(t, err)
	c.Steps = -1
	if err := c.Sample(ctx, mat.NewDense(3, 1, nil)); err == nil {
		t.Error("no error for Steps -1")
	}
}
