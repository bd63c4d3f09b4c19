package sbi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

func testPrior(t testing.TB) Prior {
	t.Helper()
	p, err := prior.NewBox([]float64{-1, 0}, []float64{1, 2}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// noisySum has three data: theta1 + theta2 + noise, noise, and theta1.
var noisySum = NewSimulator(3, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
	r := rand.New(src)
	y[0] = theta[0] + theta[1] + r.NormFloat64()
	y[1] = r.NormFloat64()
	y[2] = theta[0]
	return nil
})

// tables returns the table as comparable text.
func text(t testing.TB, table *Table) string {
	t.Helper()
	var b strings.Builder
	if err := table.Write(&b, 1); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestSimulateIsReproducible(t *testing.T) {
	ctx, pri := context.Background(), testPrior(t)
	var want string
	for _, workers := range []int{1, 2, 5} {
		table, err := Simulate(ctx, pri, noisySum, 300, &SimulateOptions{Src: rng.New(1, 1), Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "run.sim")
		filed, err := Simulate(ctx, pri, noisySum, 300, &SimulateOptions{Src: rng.New(1, 1), Workers: workers, File: file})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = text(t, table)
		}
		if text(t, table) != want || text(t, filed) != want {
			t.Errorf("%d workers: another table", workers)
		}
	}
	// The rows are draws of the joint distribution.
	table, err := Simulate(ctx, pri, noisySum, 20000, &SimulateOptions{Src: rng.New(2, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var m0, m1, v float64
	for i := range table.Len() {
		r := table.Row(i)
		e := r.Y[0] - r.Theta[0] - r.Theta[1]
		m0 += e / 20000
		m1 += r.Theta[1] / 20000
		v += e * e / 20000
		if r.Y[2] != r.Theta[0] || r.Index != i {
			t.Fatalf("row %d: %v", i, r)
		}
	}
	if se := 1 / math.Sqrt(20000); math.Abs(m0) > 4*se || math.Abs(m1-1) > 4*se || math.Abs(v-1) > 6*se {
		t.Errorf("moments %g, %g, %g, want 0, 1, 1", m0, m1, v)
	}
	seed := rng.Seed(rng.New(2, 1))
	row, err := SimulateRow(ctx, pri, noisySum, seed, 17)
	if err != nil || !reflect.DeepEqual(row, table.Row(17)) {
		t.Errorf("SimulateRow gives %v, %v; the table has %v", row, err, table.Row(17))
	}
}

// TestFailures has a simulator that fails in each way, by its parameters.
func TestFailures(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	bad := errors.New("did not converge")
	sim := NewSimulator(1, 2, func(_ context.Context, y, theta []float64, _ rand.Source) error {
		switch x := theta[0]; {
		case x < -0.9:
			return bad
		case x < -0.8:
			panic("index")
		case x < -0.7:
			y[0] = math.Inf(1)
		case x < -0.6:
			// leaves y as it is
		case x < -0.58:
			<-release // does not heed its context
		default:
			y[0] = x
		}
		return nil
	})
	ctx, pri := context.Background(), testPrior(t)
	failures := 0
	opt := &SimulateOptions{Src: rng.New(3, 1), Policy: Record, Timeout: 2 * time.Second, Workers: 16,
		Failure: func(row Row, err error) {
			failures++
			if (err == nil) != (row.Status == NonFinite) {
				t.Errorf("status %v with error %v", row.Status, err)
			}
		}}
	table, err := Simulate(ctx, pri, sim, 1000, opt)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[Status]int)
	for i := range table.Len() {
		x := table.Theta.At(i, 0)
		s := OK
		switch {
		case x < -0.9:
			s = Failed
		case x < -0.8:
			s = Panicked
		case x < -0.6:
			s = NonFinite
		case x < -0.58:
			s = TimedOut
		}
		want[s]++
		if table.Status[i] != s || (s == OK) == math.IsNaN(table.Y.At(i, 0)) && !math.IsInf(table.Y.At(i, 0), 0) {
			t.Errorf("theta1 = %g: status %v, data %g", x, table.Status[i], table.Y.At(i, 0))
		}
	}
	for s := OK; s <= TimedOut; s++ {
		if table.Count(s) != want[s] || want[s] == 0 {
			t.Errorf("%d %v, want %d", table.Count(s), s, want[s])
		}
	}
	if failures != 1000-want[OK] {
		t.Errorf("%d failures reported, %d were", failures, 1000-want[OK])
	}
	valid := table.Valid()
	if valid.Len() != want[OK] || mat.Min(valid.Theta.ColView(0)) < -0.58 {
		t.Errorf("%d valid rows, theta1 from %g", valid.Len(), mat.Min(valid.Theta.ColView(0)))
	}
	opt.Policy = Fail
	_, err = Simulate(ctx, pri, sim, 1000, opt)
	if err == nil || !strings.Contains(err.Error(), "sbi: simulation ") {
		t.Errorf("Policy Fail: error %v", err)
	}

	// A simulator that ends with its context has timed out as well.
	polite := NewSimulator(1, 2, func(ctx context.Context, _, _ []float64, _ rand.Source) error {
		<-ctx.Done()
		return ctx.Err()
	})
	table, err = Simulate(ctx, pri, polite, 4, &SimulateOptions{Policy: Record, Timeout: time.Millisecond})
	if err != nil || table.Count(TimedOut) != 4 {
		t.Errorf("%v, %d timed out of 4", err, table.Count(TimedOut))
	}
	// And the end of the campaign's own context is nobody's failure.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	for _, timeout := range []time.Duration{0, time.Hour} {
		_, err = Simulate(ctx, pri, polite, 4, &SimulateOptions{Policy: Record, Timeout: timeout})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("end of ctx: error %v", err)
		}
	}
}

func TestBadArguments(t *testing.T) {
	ctx, pri := context.Background(), testPrior(t)
	one, err := prior.NewBox([]float64{0}, []float64{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]func() error{
		"prior is nil":                                func() error { _, err := Simulate(ctx, nil, noisySum, 1, nil); return err },
		"simulator is nil":                            func() error { _, err := Simulate(ctx, pri, nil, 1, nil); return err },
		"n is 0, want at least 1":                     func() error { _, err := Simulate(ctx, pri, noisySum, 0, nil); return err },
		"the prior has 1 parameters, the simulator 2": func() error { _, err := Simulate(ctx, one, noisySum, 1, nil); return err },
		"argv is empty":                               func() error { _, err := NewProgram(1, 1, nil, nil); return err },
		"executable file not found":                   func() error { _, err := NewProgram(1, 1, []string{"no-such-program"}, nil); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestResume cuts the file of a campaign at every third byte and resumes.
func TestResume(t *testing.T) {
	ctx, pri := context.Background(), testPrior(t)
	file := filepath.Join(t.TempDir(), "run.sim")
	var runs int
	counting := NewSimulator(3, 2, func(ctx context.Context, y, theta []float64, src rand.Source) error {
		runs++
		return noisySum.Simulate(ctx, y, theta, src)
	})
	opt := &SimulateOptions{File: file, Src: rng.New(4, 1), Workers: 1}
	table, err := Simulate(ctx, pri, counting, 5, opt)
	if err != nil {
		t.Fatal(err)
	}
	want := text(t, table)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut <= len(whole); cut += 3 {
		if err := os.WriteFile(file, whole[:cut], 0o666); err != nil {
			t.Fatal(err)
		}
		runs, opt.Src = 0, rng.New(4, 1)
		table, err := Simulate(ctx, pri, counting, 5, opt)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		lost := 5
		if k := bytes.Count(whole[:cut], []byte{'\n'}); k > 2 {
			lost = 7 - k
		}
		if text(t, table) != want || runs != lost {
			t.Fatalf("cut at %d: %d simulations run, want %d", cut, runs, lost)
		}
	}
	// Longer, and without a seed.
	opt.Src, runs = nil, 0
	longer, err := Simulate(ctx, pri, counting, 8, opt)
	if err != nil || longer.Len() != 8 || runs != 3 {
		t.Fatalf("longer: %d rows, %d run, %v", longer.Len(), runs, err)
	}
	if shorter, err := Simulate(ctx, pri, counting, 5, opt); err != nil || text(t, shorter) != want {
		t.Fatalf("shorter: %v", err)
	}
	// What is not this campaign.
	other, err := prior.NewBox([]float64{-1, 0}, []float64{1, 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	opt.Src = rng.New(5, 1)
	_, errSeed := Simulate(ctx, pri, counting, 8, opt)
	opt.Src = nil
	_, errPrior := Simulate(ctx, other, counting, 8, opt)
	_, errDims := Simulate(ctx, pri, NewSimulator(2, 2, nil), 8, opt)
	for want, err := range map[string]error{"another campaign (leave Src nil": errSeed, "the prior draws": errPrior, "3 data and 2 parameters, the simulator 2 and 2": errDims} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := os.WriteFile(file, []byte("a file of something else\n1,2,3\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Simulate(ctx, pri, counting, 8, opt); err == nil {
		t.Error("another file: no error")
	}
	if b, _ := os.ReadFile(file); len(b) != 31 {
		t.Error("another file has been changed")
	}
}

// TestKilled kills a campaign in another process, several times, and lets the
// last one finish: nothing is lost but what was in flight.
func TestKilled(t *testing.T) {
	const n = 4000
	slowed := NewSimulator(3, 2, func(ctx context.Context, y, theta []float64, src rand.Source) error {
		time.Sleep(50 * time.Microsecond)
		return noisySum.Simulate(ctx, y, theta, src)
	})
	if file := os.Getenv("SBI_TEST_KILLED"); file != "" {
		if err := SimulateFile(context.Background(), file, testPrior(t), slowed, n, &SimulateOptions{Src: rng.New(6, 1)}); err != nil {
			t.Fatal(err)
		}
		return
	}
	file := filepath.Join(t.TempDir(), "run.sim")
	kept := 0
	for range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "SBI_TEST_KILLED="+file)
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		for range 500 { // until it has written something
			time.Sleep(5 * time.Millisecond)
			if b, _ := os.ReadFile(file); bytes.Count(b, []byte{'\n'}) > 2+kept+50 {
				break
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		table, err := readTableFile(file, n)
		if err != nil {
			t.Fatal(err)
		}
		if table.Len() <= kept {
			t.Fatalf("%d rows after %d", table.Len(), kept)
		}
		kept = table.Len()
	}
	run := 0
	got, err := Simulate(context.Background(), testPrior(t), noisySum, n, &SimulateOptions{Src: rng.New(6, 1), File: file, Progress: func(int, int) { run++ }})
	if err != nil {
		t.Fatal(err)
	}
	if run != n-kept+1 { // the first report is of what the file holds
		t.Errorf("%d simulations run after %d of %d", run-1, kept, n)
	}
	want, err := Simulate(context.Background(), testPrior(t), noisySum, n, &SimulateOptions{Src: rng.New(6, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if text(t, got) != text(t, want) {
		t.Error("the resumed campaign has another table")
	}
}

func TestReadTableErrors(t *testing.T) {
	const head = "# inverse sbi table 1 seed 7\nindex,seed,status,theta1,y1\n"
	good := head + "1,5,ok,1,2\n0,6,nonfinite,3,NaN\n1,5,ok,8,9\n2,9,failed,1"
	table, err := ReadTable(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(table.Index, []int{0, 1}) || table.Theta.At(1, 0) != 1 || !math.IsNaN(table.Y.At(0, 0)) || table.Status[0] != NonFinite {
		t.Errorf("table %v", table)
	}
	for text, want := range map[string]string{
		"":                                "header of a table: unexpected EOF",
		"# inverse sbi table 2 seed 7\n":  "line 1",
		"# inverse sbi table 1 seed -7\n": "line 1",
		"# inverse sbi table 1 seed 7\nindex,seed,status,y1,theta1\n": "line 2",
		"# inverse sbi table 1 seed 7\nindex,seed,status,theta1\n":    "line 2",
		head + "1,5,ok,1,2\n1,5,ok,1\n":                               "line 4 of a table: 4 columns, want 5",
		head + "-1,5,ok,1,2\n":                                        "index",
		head + "1,x,ok,1,2\n":                                         "seed",
		head + "1,5,good,1,2\n":                                       `status is "good"`,
		head + "1,5,ok,1e,2\n":                                        "theta1",
		head + "1,5,ok,1,NaN\n":                                       "not finite",
		head + "1,5,ok,1,\x00\n":                                      "y1",
		head + "# inverse sbi table 1 seed 8\n":                       "campaign with seed 8 in a table with seed 7",
		head + "# inverse sbi table 1 seed 7\nindex,seed,status,y1\n": "the second line of a header",
	} {
		if _, err := ReadTable(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	// Files one after another, as from the shards of a cluster, some of them
	// cut off wherever it may be.
	for cut := 0; cut <= len(head); cut++ {
		table, err = ReadTable(strings.NewReader(head + "3,5,ok,1,2\n1,6,o" + head + "1,6,ok,3,4\n" + head[:cut] + head + "2,6,ok,3,4\n" + head[:cut]))
		if err != nil || !slices.Equal(table.Index, []int{1, 2, 3}) {
			t.Errorf("cut at %d: table %v, error %v", cut, table, err)
		}
	}
	// A scanner goes on after a bad line.
	s, err := NewScanner(strings.NewReader(head + "garbage\n4,5,ok,1,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	var row Row
	if err := s.Scan(&row); err == nil {
		t.Error("garbage: no error")
	}
	if err := s.Scan(&row); err != nil || row.Index != 4 {
		t.Errorf("after garbage: %v, %v", row, err)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add([]byte("# inverse sbi table 1 seed 7\nindex,seed,status,theta1,y1\n1,5,ok,1,2\n0,6,nonfinite,3,NaN\n"))
	f.Add([]byte("# inverse sbi table 1 seed 7\nindex,seed,status,theta1,theta2,y1\n1,5,ok,1,2"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := ReadTable(bytes.NewReader(b))
		if err != nil || table.Len() == 0 {
			return
		}
		again, err := ReadTable(strings.NewReader(text(t, table)))
		if err != nil || text(t, again) != text(t, table) {
			t.Errorf("reads back as %v, %v", again, err)
		}
	})
}

func TestFromLikelihood(t *testing.T) {
	op, err := forward.NewDense(mat.NewDense(1, 2, []float64{1, 2}))
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{0}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	table, err := Simulate(context.Background(), testPrior(t), FromLikelihood(lik), 4000, &SimulateOptions{Src: rng.New(7, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var v float64
	for i := range table.Len() {
		e := table.Y.At(i, 0) - table.Theta.At(i, 0) - 2*table.Theta.At(i, 1)
		v += e * e / 4000
	}
	if math.Abs(v-0.25) > 4*0.25*math.Sqrt(2./4000) {
		t.Errorf("variance of the noise %g, want 0.25", v)
	}
}

// TestProgram uses this test binary as the other program.
func TestProgram(t *testing.T) {
	if os.Getenv("SBI_TEST_PROGRAM") != "" {
		answerRequests()
		os.Exit(0)
	}
	p, err := NewProgram(2, 2, []string{os.Args[0], "-test.run=^TestProgram$"}, &ProgramOptions{Env: append(os.Environ(), "SBI_TEST_PROGRAM=1")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	messages := make(map[Status]string)
	opt := &SimulateOptions{Src: rng.New(8, 1), Policy: Record, Timeout: 5 * time.Second, Workers: 4, Failure: func(row Row, err error) {
		messages[row.Status] = fmt.Sprint(messages[row.Status], err)
	}}
	table, err := Simulate(context.Background(), testPrior(t), p, 60, opt)
	if err != nil {
		t.Fatal(err)
	}
	again := make(map[string]bool)
	for i := range table.Len() {
		x, y := table.Theta.At(i, 0), table.Y.RawRowView(i)
		want := OK
		switch {
		case x < -0.9:
			want = Failed // reports an error
		case x < -0.8:
			want = Failed // dies
		case x < -0.7:
			want = NonFinite
		case x < -0.65:
			want = TimedOut
		case y[0] != x || y[1] != math.Trunc(y[1]) || y[1] > 1<<53:
			t.Errorf("theta1 = %g: data %v", x, y)
		}
		if table.Status[i] != want {
			t.Errorf("theta1 = %g: status %v, want %v", x, table.Status[i], want)
		}
		if want == OK {
			again[fmt.Sprint(y[1])] = true
		}
	}
	if len(again) != table.Count(OK) {
		t.Errorf("%d different seeds in %d simulations", len(again), table.Count(OK))
	}
	for _, want := range []string{"no convergence", "ended without an answer", "last words"} {
		if !strings.Contains(messages[Failed], want) {
			t.Errorf("messages %q, want %q among them", messages[Failed], want)
		}
	}
	for s := OK; s <= TimedOut; s++ {
		if s != Panicked && table.Count(s) == 0 {
			t.Errorf("no simulation with status %v", s)
		}
	}
}

// TestCampaignMemory streams 10⁶ simulations to disk in less than 200 MB.
func TestCampaignMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a million simulations")
	}
	file := filepath.Join(t.TempDir(), "run.sim")
	err := SimulateFile(context.Background(), file, testPrior(t), noisySum, 1_000_000, &SimulateOptions{Src: rng.New(10, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.Sys > 200<<20 {
		t.Errorf("%d MB taken from the system", m.Sys>>20)
	}
	t.Logf("%d MB taken from the system", m.Sys>>20)
}

func BenchmarkSimulateFile(b *testing.B) {
	pri := testPrior(b)
	file := filepath.Join(b.TempDir(), "run.sim")
	b.ReportAllocs()
	if err := SimulateFile(context.Background(), file, pri, noisySum, b.N, &SimulateOptions{Src: rng.New(9, 1)}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSimulate(b *testing.B) {
	pri := testPrior(b)
	b.ReportAllocs()
	if _, err := Simulate(context.Background(), pri, noisySum, b.N, &SimulateOptions{Src: rng.New(9, 1)}); err != nil {
		b.Fatal(err)
	}
}
