package tasks

import (
	"compress/bzip2"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// readCSV reads numbers below a line of names.
func readCSV(t testing.TB, name string) *mat.Dense {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Skipf("the benchmark's files are not here: %v", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".bz2") {
		r = bzip2.NewReader(f)
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	m := mat.NewDense(len(rows)-1, len(rows[0]), nil)
	for i, row := range rows[1:] {
		for j, s := range row {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			m.Set(i, j, v)
		}
	}
	return m
}

// observation returns observation number and the reference draws of a task.
func observation(t testing.TB, name string, number int) (y []float64, draws *mat.Dense) {
	t.Helper()
	dir, file := name, "observation.csv"
	switch name {
	case "slcp_distractors":
		dir, file = "slcp", "observation_distractors.csv"
	case "bernoulli_glm_raw":
		dir, file = "bernoulli_glm", "observation_raw.csv"
	}
	dir = filepath.Join("..", "..", "..", "shared", "data", "sbibm", dir, fmt.Sprint(number))
	y = readCSV(t, filepath.Join(dir, file)).RawRowView(0)
	return y, readCSV(t, filepath.Join(dir, "reference_posterior_samples.csv.bz2"))
}

func TestNumPy(t *testing.T) {
	// numpy.random.RandomState(42).randn(3) and the benchmark's permutation.
	r := newNumPy(42)
	for _, want := range []float64{0.4967141530112327, -0.13826430117118466, 0.6476885381006925} {
		if got := r.normal(); math.Abs(got-want) > 1e-15 {
			t.Errorf("normal %v, want %v", got, want)
		}
	}
	for i, want := range []int{87, 47, 39, 9, 25, 21, 26, 94, 41, 30} {
		if got := distractorsOnce().order[i]; got != want {
			t.Errorf("element %d of the permutation is %d, want %d", i, got, want)
		}
	}
}

// TestVariants holds the two tasks whose data contain those of another to the
// benchmark's observations of both.
func TestVariants(t *testing.T) {
	for number := 1; number <= 3; number++ {
		y, _ := observation(t, "slcp", number)
		all, _ := observation(t, "slcp_distractors", number)
		for k, j := range distractorsOnce().order {
			if j < 8 && math.Abs(all[k]-y[j]) > 1e-6*math.Abs(y[j]) {
				t.Errorf("slcp, observation %d, datum %d: %g with distractors, %g without", number, j, all[k], y[j])
			}
		}
		s, _ := observation(t, "bernoulli_glm", number)
		z, _ := observation(t, "bernoulli_glm_raw", number)
		var got [glmParams]float64
		newGLM().statistics(got[:], z)
		for j, v := range s {
			if math.Abs(got[j]-v) > 1e-4 {
				t.Errorf("bernoulli_glm, observation %d, statistic %d: %g of the spikes, %g in the file", number, j, got[j], v)
			}
		}
	}
}

// TestReferenceMoments compares the means and standard deviations of the
// library's reference draws with those of the benchmark's.
func TestReferenceMoments(t *testing.T) {
	for _, name := range Names() {
		task, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		if !task.Exact() && (testing.Short() || name == "slcp_distractors" || name == "bernoulli_glm_raw") {
			continue
		}
		y, want := observation(t, name, 1)
		rows := 2000
		draws := mat.NewDense(rows, task.params, nil)
		if err := task.Reference(context.Background(), draws, y, rng.New(1, 0)); err != nil {
			t.Fatal(err)
		}
		for j := range task.params {
			m, sd := stat.MeanStdDev(mat.Col(nil, j, draws), nil)
			m0, sd0 := stat.MeanStdDev(mat.Col(nil, j, want), nil)
			if se := sd0 * math.Sqrt(1./float64(rows)+1e-4); math.Abs(m-m0) > 4.5*se || math.Abs(sd/sd0-1) > 0.1 {
				t.Errorf("%s, parameter %d: mean %.4g sd %.4g, reference %.4g %.4g", name, j+1, m, sd, m0, sd0)
			}
		}
	}
}

// TestSimulators holds each simulator to its likelihood by the identity
//
//	E[p(y|θ')/p(y|θ)] = 1  for y ~ p(·|θ)
//
// with θ' near θ, which a wrong scale or shift of the data breaks. It does not
// hold for two_moons, whose data have a support that depends on θ.
func TestSimulators(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	for _, name := range Names() {
		if name == "two_moons" {
			continue
		}
		task, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		theta := mat.NewDense(1, task.params, nil)
		task.Prior.Draw(theta, rng.New(2, 0))
		y := make([]float64, task.data)
		for j := range task.params {
			w := make([]float64, n)
			near := mat.Row(nil, 0, theta)
			near[j] += map[string]float64{"gaussian_mixture": 0.03, "sir": 1e-4 * near[j], "lotka_volterra": 2e-3 * near[j]}[name]
			if near[j] == theta.At(0, j) {
				near[j] += 0.05 * math.Abs(near[j])
			}
			r := rand.New(rng.New(3, uint64(j)))
			for i := range w {
				if err := task.Simulate(context.Background(), y, theta.RawRowView(0), r); err != nil {
					t.Fatal(err)
				}
				w[i] = math.Exp(task.LogLikelihood(near, y) - task.LogLikelihood(theta.RawRowView(0), y))
			}
			m, sd := stat.MeanStdDev(w, nil)
			if math.Abs(m-1) > 4*sd/math.Sqrt(float64(n)) || !(sd < 5) || sd < 1e-4 {
				t.Errorf("%s, parameter %d: mean ratio %.4f ± %.4f", name, j+1, m, sd/math.Sqrt(float64(n)))
			}
		}
	}
}

func TestNew(t *testing.T) {
	if _, err := New("three_moons"); err == nil || !strings.Contains(err.Error(), "two_moons") {
		t.Errorf("error %v", err)
	}
	task, err := New("two_moons")
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Reference(context.Background(), mat.NewDense(1, 2, nil), []float64{100, 100}, rng.New(1, 0)); err == nil {
		t.Error("data out of reach: no error")
	}
	if err := task.Reference(context.Background(), mat.NewDense(1, 2, nil), []float64{1}, rng.New(1, 0)); err == nil {
		t.Error("too few data: no error")
	}
}

// Chains that cannot go from one mode to another are an error, those of one
// mode are not.
func TestChainsHaveMixed(t *testing.T) {
	pri := must(prior.NewBox([]float64{-10}, []float64{10}, nil))
	for _, c := range []struct {
		modes []float64
		mixed bool
	}{{[]float64{0}, true}, {[]float64{-5, 5}, false}} {
		d := &density{dim: 1, transform: pri.Transform(), logProb: func(x []float64) float64 {
			l := math.Inf(-1)
			for _, m := range c.modes {
				l = math.Max(l, -(x[0]-m)*(x[0]-m)/0.02)
			}
			return l
		}}
		err := d.sample(context.Background(), mat.NewDense(1000, 1, nil), pri, rng.New(1, 0))
		if (err == nil) != c.mixed || err != nil && !strings.Contains(err.Error(), "have not mixed") {
			t.Errorf("modes %v: %v", c.modes, err)
		}
	}
}
