package sbi_test

import (
	"compress/bzip2"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/sbi"
)

// benchmark returns an observation of a task of the sbibm benchmark and its
// reference draws.
func benchmark(t testing.TB, task string, number int) (y []float64, draws *mat.Dense) {
	t.Helper()
	dir := filepath.Join("..", "..", "shared", "data", "sbibm", task, fmt.Sprint(number))
	return readNumbers(t, filepath.Join(dir, "observation.csv"), 1).RawRowView(0), readNumbers(t, filepath.Join(dir, "reference_posterior_samples.csv.bz2"), 1)
}

// readNumbers reads the rows of a CSV file after the first skip.
func readNumbers(t testing.TB, name string, skip int) *mat.Dense {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Skipf("the reference data are not here: %v", err)
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
	m := mat.NewDense(len(rows)-skip, len(rows[0]), nil)
	for i, row := range rows[skip:] {
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

// TestReferencesOfTasks: the benchmark's 10,000 reference draws and the
// library's cannot be told apart. The accuracy of its classifier is between
// 0.50 and 0.52, and not much below 0.5, which it can be by chance.
func TestReferencesOfTasks(t *testing.T) {
	if !slow() {
		t.Skip("minutes for each task; set INVERSE_SLOW=1")
	}
	for _, name := range tasks.Names() {
		if name == "slcp_distractors" || name == "bernoulli_glm_raw" {
			continue // the posteriors of slcp and bernoulli_glm
		}
		t.Run(name, func(t *testing.T) {
			task, err := tasks.New(name)
			if err != nil {
				t.Fatal(err)
			}
			for number := 1; number <= 3; number++ {
				y, want := benchmark(t, name, number)
				n, d := want.Dims()
				draws := mat.NewDense(n, d, nil)
				if err := task.Reference(context.Background(), draws, y, rng.New(7, uint64(number))); err != nil {
					t.Fatal(err)
				}
				res, err := sbi.C2ST(context.Background(), want, draws, &sbi.C2STOptions{Src: rng.New(8, uint64(number))})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("observation %d: %v", number, res)
				if res.Accuracy > 0.52 || res.Accuracy < 0.485 {
					t.Errorf("observation %d: %v, want 0.50 to 0.52", number, res)
				}
			}
		})
	}
}
