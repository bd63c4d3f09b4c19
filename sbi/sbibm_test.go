package sbi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/go-inverse/inverse/flow"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/internal/tasks"
	"github.com/go-inverse/inverse/sbi"
)

var (
	benchTasks   = flag.String("sbibm.tasks", "", "tasks of TestSBIBM, separated by commas, or all")
	benchBudgets = flag.String("sbibm.budgets", "1000", "numbers of simulations")
	benchMethods = flag.String("sbibm.methods", "NPE,NPSE", "methods")
	benchNumbers = flag.String("sbibm.observations", "1,2,3", "numbers of the observations, from 1 to 10")
	benchFile    = flag.String("sbibm.file", "", "file of results: what is in it is not run again")
	benchPrint   = flag.Bool("sbibm.print", false, "print the table of the file and run nothing")
)

// score is one line of the file of results.
type score struct {
	Task        string
	Simulations int
	Method      string
	Observation int
	C2ST        float64
	Loss        float64 // on the rows for validation
	Seconds     float64 // of learning, for the first observation if that serves all
	// Spread is the largest ratio of a parameter's standard deviation in the
	// draws to that in the prior.
	Spread float64
}

func (s score) cell() string { return fmt.Sprintf("%s %d %s", s.Task, s.Simulations, s.Method) }

// budgetOptions are the options of a method for a number of simulations: with
// few of them networks are small next to their uncertainty, and are averaged.
// Posteriors and likelihoods are learned by the best of MAF, NSF and MDN on the
// rows for validation, or posteriors by Diffusion.
func budgetOptions(method string, n int, seed uint64) sbi.Options {
	o := sbi.Options{Fit: &flow.FitOptions{Drops: 1}, Src: rng.New(2, seed)}
	if n <= 2000 {
		o.Ensemble = 3
	}
	switch {
	case strings.HasSuffix(method, "NPSE"):
		o.Flow, o.Fit = flow.Diffusion{}, nil
	case method == "NPE" && n <= 2000:
		o.Ensemble = 5
	case method == "TSNPE" || method == "SNPE":
		o.Ensemble = 1
	}
	return o
}

// learners are the methods by name. Those that are amortised learn once for all
// observations.
var learners = map[string]struct {
	amortised bool
	learn     func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (given func(y []float64) sbi.SourceSampler, loss float64, err error)
}{
	"NPE":  {true, learnNPE},
	"NPSE": {true, learnNPE},
	"NLE": {true, func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
		q, err := sbi.NLE(ctx, task.Prior, simulate(t, task, n), &o)
		if err != nil {
			return nil, 0, err
		}
		return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidNLL, nil
	}},
	"NRE": {true, func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
		q, err := sbi.NRE(ctx, task.Prior, simulate(t, task, n), &o)
		if err != nil {
			return nil, 0, err
		}
		return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidLoss, nil
	}},
	"TSNPE":  {false, learnTSNPE},
	"TSNPSE": {false, learnTSNPE},
	"SNPE": {false, func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
		q, _, err := sbi.SNPE(ctx, task.Prior, task, y, n, &sbi.Sequential{Options: o})
		if err != nil {
			return nil, 0, err
		}
		return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidNLL, nil
	}},
	"SNLE": {false, func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
		q, _, err := sbi.SNLE(ctx, task.Prior, task, y, n, &sbi.Sequential{Options: o})
		if err != nil {
			return nil, 0, err
		}
		return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidNLL, nil
	}},
	"SNRE": {false, func(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
		q, _, err := sbi.SNRE(ctx, task.Prior, task, y, n, &sbi.Sequential{Options: o})
		if err != nil {
			return nil, 0, err
		}
		return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidLoss, nil
	}},
}

func learnNPE(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
	q, err := sbi.NPE(ctx, task.Prior, simulate(t, task, n), &o)
	if err != nil {
		return nil, 0, err
	}
	return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidNLL, nil
}

func learnTSNPE(ctx context.Context, t testing.TB, task *tasks.Task, y []float64, n int, o sbi.Options) (func(y []float64) sbi.SourceSampler, float64, error) {
	q, _, err := sbi.TSNPE(ctx, task.Prior, task, y, n, &sbi.Sequential{Options: o})
	if err != nil {
		return nil, 0, err
	}
	return func(y []float64) sbi.SourceSampler { return q.Given(y) }, q.ValidNLL, nil
}

// TestSBIBM scores methods on the tasks of the benchmark by the C2ST between
// their draws and the reference's, for observations 1 to 3 unless others are
// asked for, and prints a table of the means:
//
//	go test -run TestSBIBM -v -timeout 0 ./sbi -args -sbibm.tasks all -sbibm.budgets 1000,10000 -sbibm.file sbibm.jsonl
//
// A run that was interrupted goes on where it was.
func TestSBIBM(t *testing.T) {
	if *benchTasks == "" && !*benchPrint {
		t.Skip("takes minutes to hours; set -sbibm.tasks")
	}
	scores := readScores(t)
	if *benchPrint {
		printScores(t, scores)
		return
	}
	names := strings.Split(*benchTasks, ",")
	if *benchTasks == "all" {
		names = tasks.Names()
	}
	observations := numbers(t, *benchNumbers)
	for _, n := range numbers(t, *benchBudgets) {
		for _, name := range names {
			for _, method := range strings.Split(*benchMethods, ",") {
				if _, ok := learners[method]; !ok {
					t.Fatalf("no method %q", method)
				}
				scores = append(scores, runCell(t, scores, name, n, method, observations)...)
			}
		}
	}
	printScores(t, scores)
}

// numbers returns those of a list that commas separate.
func numbers(t *testing.T, list string) (n []int) {
	for _, text := range strings.Split(list, ",") {
		v, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, v)
	}
	return n
}

// runCell scores a method on the observations that the scores do not have.
func runCell(t *testing.T, have []score, name string, n int, method string, observations []int) (scores []score) {
	ctx := context.Background()
	task := newTask(t, name)
	var given func(y []float64) sbi.SourceSampler
	var loss, seconds float64
	for _, number := range observations {
		s := score{Task: name, Simulations: n, Method: method, Observation: number}
		if slices.ContainsFunc(have, func(h score) bool { return h.cell() == s.cell() && h.Observation == number }) {
			continue
		}
		y, want := benchmarkObservation(t, name, number)
		l := learners[method]
		if given == nil || !l.amortised {
			start := time.Now()
			var err error
			given, loss, err = l.learn(ctx, t, task, y, n, budgetOptions(method, n, uint64(number)))
			if err != nil {
				t.Errorf("%s, observation %d: %v", s.cell(), number, err)
				return scores
			}
			seconds = time.Since(start).Seconds()
		}
		rows, d := want.Dims()
		draws := mat.NewDense(rows, d, nil)
		if err := given(y).SampleFrom(ctx, draws, rng.New(3, uint64(number))); err != nil {
			t.Errorf("%s, observation %d: %v", s.cell(), number, err)
			continue
		}
		res, err := sbi.C2ST(ctx, want, draws, &sbi.C2STOptions{Src: rng.New(4, uint64(number))})
		if err != nil {
			t.Fatal(err)
		}
		s.C2ST, s.Loss, s.Seconds, s.Spread = res.Accuracy, loss, seconds, spread(task, draws)
		t.Logf("%s, observation %d: C2ST %.3f, loss %.3f, %.0f s", s.cell(), number, s.C2ST, s.Loss, s.Seconds)
		scores = append(scores, s)
		writeScore(t, s)
	}
	return scores
}

// spread returns the largest ratio of the standard deviations of a column of
// draws and of the prior's.
func spread(task *tasks.Task, draws *mat.Dense) (largest float64) {
	rows, d := draws.Dims()
	pri := mat.NewDense(rows, d, nil)
	task.Prior.Draw(pri, rng.New(5, 0))
	for j := range d {
		largest = max(largest, stat.StdDev(mat.Col(nil, j, draws), nil)/stat.StdDev(mat.Col(nil, j, pri), nil))
	}
	return largest
}

func readScores(t *testing.T) (scores []score) {
	if *benchFile == "" {
		return nil
	}
	f, err := os.Open(*benchFile)
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var s score
		if err := json.Unmarshal(lines.Bytes(), &s); err == nil { // not the torn last line
			scores = append(scores, s)
		}
	}
	return scores
}

func writeScore(t *testing.T, s score) {
	if *benchFile == "" {
		return
	}
	f, err := os.OpenFile(*benchFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(s); err != nil {
		t.Fatal(err)
	}
}
