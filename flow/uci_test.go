package flow

import (
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/internal/rng"
)

// uci returns a part of a data set of the UCI Machine Learning Repository, the
// first column as x and the others as y. It skips the test if the data are
// absent.
func uci(t testing.TB, name string) (x, y *mat.Dense) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "uci", name+".csv"))
	if err != nil {
		t.Skipf("the data are not there: %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	d := len(rows[0]) - 1
	x, y = mat.NewDense(len(rows), 1, nil), mat.NewDense(len(rows), d, nil)
	for i, row := range rows {
		for j, s := range row {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			if j == 0 {
				x.Set(i, 0, v)
			} else {
				y.Set(i, j-1, v)
			}
		}
	}
	return x, y
}

// split is a data set: training and validation rows together, and test rows.
type split struct {
	x, y, testX, testY *mat.Dense
	valid              []int
}

func uciSplit(t testing.TB, set string) split {
	x, y := uci(t, set+"_tr")
	vx, vy := uci(t, set+"_va")
	var s split
	s.testX, s.testY = uci(t, set+"_te")
	n, _ := x.Dims()
	v, _ := vx.Dims()
	for i := range v {
		s.valid = append(s.valid, n+i)
	}
	s.x, s.y = new(mat.Dense), new(mat.Dense)
	s.x.Stack(x, vx)
	s.y.Stack(y, vy)
	return s
}

// nll returns the mean of -log q(x|y) over the test rows.
func (s split) nll(q Conditional) float64 {
	n, _ := s.testX.Dims()
	l := make([]float64, n)
	q.LogProb(l, s.testX, s.testY)
	return -floats.Sum(l) / float64(n)
}

// TestUCIBaseline pins which column is the target of the published figures:
// with the first one N(0, 1) has the test NLL that goes with them.
func TestUCIBaseline(t *testing.T) {
	for set, want := range map[string]float64{"concrete": 1.406, "energy": 1.473, "yacht": 1.164} {
		x, _ := uci(t, set+"_te")
		var nll float64
		n, _ := x.Dims()
		for i := range n {
			nll -= logNormal(x.At(i, 0)) / float64(n)
		}
		if math.Abs(nll-want) > 6e-4 {
			t.Errorf("%s: NLL of N(0, 1) is %.4f, want %.3f", set, nll, want)
		}
	}
}

// TestUCI looks for the best flow of each data set by validation alone, five
// times, and compares its test NLL with that of a COT-Flow. It takes minutes:
//
//	INVERSE_UCI=1 go test -v -timeout 1h -run 'TestUCI$' ./flow
func TestUCI(t *testing.T) {
	if os.Getenv("INVERSE_UCI") == "" {
		t.Skip("set INVERSE_UCI=1 to run it")
	}
	for _, c := range []struct {
		set string
		cot float64
	}{{"concrete", 0.20}, {"energy", -0.79}, {"yacht", -2.91}} {
		s := uciSplit(t, c.set)
		var best, mixture []float64
		start := time.Now()
		for seed := range uint64(5) {
			trials, err := Search(context.Background(), s.x, s.y, &SearchOptions{
				Keep: 5, Epochs: 60, Fit: FitOptions{ValidationRows: s.valid, Src: rng.New(seed, 0)},
			})
			if err != nil {
				t.Fatal(err)
			}
			var members []Conditional
			for _, tr := range trials[:5] {
				members = append(members, tr.Flow)
			}
			e, err := NewEnsemble(members, nil)
			if err != nil {
				t.Fatal(err)
			}
			best, mixture = append(best, s.nll(trials[0].Flow)), append(mixture, s.nll(e))
			t.Logf("%s, seed %d: %T %+v, valid %.3f, test %.3f; best five %.3f", c.set, seed, trials[0].Architecture, trials[0].Architecture, trials[0].ValidNLL, best[seed], mixture[seed])
		}
		m, sd := stat.MeanStdDev(best, nil)
		em, esd := stat.MeanStdDev(mixture, nil)
		t.Logf("%s: test NLL of the best %.3f ± %.3f, of the best five %.3f ± %.3f (standard deviations over five seeds); COT-Flow %.2f; %.0f s a seed",
			c.set, m, sd, em, esd, c.cot, time.Since(start).Seconds()/5)
		if !(em < c.cot) {
			t.Errorf("%s: test NLL is %.3f, COT-Flow has %.2f", c.set, em, c.cot)
		}
	}
}

// TestUCICOT trains COT-Flows of two widths three times each and takes the one
// with the lowest validation NLL, in half a minute a data set:
//
//	INVERSE_UCI=1 go test -v -timeout 1h -run TestUCICOT ./flow
func TestUCICOT(t *testing.T) {
	if os.Getenv("INVERSE_UCI") == "" {
		t.Skip("set INVERSE_UCI=1 to run it")
	}
	for _, c := range []struct {
		set  string
		want float64
	}{{"concrete", 0.20}, {"energy", -0.79}, {"yacht", -2.91}} {
		s := uciSplit(t, c.set)
		best, test := math.Inf(1), 0.0
		for _, width := range []int{32, 64} {
			for seed := range uint64(3) {
				f, err := Fit(context.Background(), COT{Width: width}, s.x, s.y, &FitOptions{
					ValidationRows: s.valid, Batch: 32, Src: rng.New(seed, 0),
				})
				if err != nil {
					t.Fatal(err)
				}
				r, nll := f.Report(), s.nll(f)
				t.Logf("%s, width %d, seed %d: valid %.3f, test %.3f, %d steps, %.1f s", c.set, width, seed, r.ValidNLL, nll, r.Steps, r.Elapsed.Seconds())
				if r.ValidNLL < best {
					best, test = r.ValidNLL, nll
				}
			}
		}
		t.Logf("%s: valid %.3f, test %.3f", c.set, best, test)
		if !(test <= c.want) {
			t.Errorf("%s: test NLL is %.3f, want at most %.2f", c.set, test, c.want)
		}
	}
}
