package likelihood

import (
	"compress/bzip2"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
)

// The Lotka-Volterra task of sbibm (Lueckmann et al. 2021): four rates of a
// deterministic predator-prey system, observed at ten times with log-normal
// noise. Under the reference draws u of the posterior of the log rates, whose
// density is p, Stein's identities hold:
//
//	E ∇ log p(u) = 0,   E (u - Eu) ∇ log p(u)ᵀ = -I.
//
// They fail if the equation, the noise or a derivative is wrong.
func TestSteinIdentitiesOfReferencePosterior(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "data", "sbibm", "lotka_volterra", "1")
	observed := readCSV(t, filepath.Join(dir, "observation.csv"))[0]
	draws := readCSV(t, filepath.Join(dir, "reference_posterior_samples.csv.bz2"))
	if draws = draws[:4000]; testing.Short() {
		draws = draws[:500]
	}

	// The file has the ten prey and then the ten predators.
	times, y := make([]float64, 10), make([]float64, 20)
	for i := range times {
		times[i] = 2.1 * float64(i)
		y[2*i], y[2*i+1] = observed[i], observed[10+i]
	}
	// Rates are α, β, γ, δ: u' = αu - βuv, v' = -γv + δuv.
	op, err := forward.NewODE(func(dydt []float64, _ float64, y, p []float64) {
		dydt[0] = p[0]*y[0] - p[1]*y[0]*y[1]
		dydt[1] = -p[2]*y[1] + p[3]*y[0]*y[1]
	}, 4, []float64{30, 1}, times, &forward.ODEOptions{RelTol: 1e-7, AbsTol: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(op, y, LogNormal{Sigma: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	priorMean := []float64{-0.125, -3, -0.125, -3} // of the log rates, of standard deviation 0.5

	n := len(draws)
	x, score := mat.NewDense(n, 4, nil), mat.NewDense(n, 4, nil)
	for i, d := range draws {
		x.SetRow(i, d)
	}
	l.Scores(score, nil, x)
	var mean [4]float64 // of the log rates
	for i := range n {
		for j := range 4 {
			u := math.Log(x.At(i, j))
			score.Set(i, j, score.At(i, j)*x.At(i, j)-(u-priorMean[j])/0.25)
			mean[j] += u / float64(n)
		}
	}
	for j := range 4 {
		if m, se := meanAndError(n, func(i int) float64 { return score.At(i, j) }); math.Abs(m) > 4.5*se {
			t.Errorf("mean of score %d is %g with a standard error of %g", j, m, se)
		}
		for k := range 4 {
			want := 0.0
			if j == k {
				want = -1
			}
			m, se := meanAndError(n, func(i int) float64 { return (math.Log(x.At(i, j)) - mean[j]) * score.At(i, k) })
			if math.Abs(m-want) > 4.5*se {
				t.Errorf("mean of u[%d] score[%d] is %g with a standard error of %g, want %g", j, k, m, se, want)
			}
		}
	}
}

func meanAndError(n int, v func(i int) float64) (mean, se float64) {
	var squares float64
	for i := range n {
		mean += v(i) / float64(n)
		squares += v(i) * v(i) / float64(n)
	}
	return mean, math.Sqrt((squares - mean*mean) / float64(n))
}

// readCSV returns the rows of a file of numbers without its header.
func readCSV(t *testing.T, name string) [][]float64 {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Skipf("no reference data: %v", err)
	}
	defer file.Close()
	var r io.Reader = file
	if filepath.Ext(name) == ".bz2" {
		r = bzip2.NewReader(file)
	}
	records, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float64
	for _, record := range records[1:] {
		row := make([]float64, len(record))
		for i, s := range record {
			if row[i], err = strconv.ParseFloat(s, 64); err != nil {
				t.Fatal(err)
			}
		}
		rows = append(rows, row)
	}
	return rows
}
