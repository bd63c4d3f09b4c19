package optim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// problem is a small regression with noise drawn in the loss, so that the
// random streams of the blocks matter.
type problem struct {
	p      *nn.Params[float32]
	net    *nn.MLP[float32]
	xs, ys []float32
	train  []int
	valid  []int
}

func newProblem() *problem {
	const n = 300
	q := &problem{p: nn.NewParams[float32](rng.New(1, 0))}
	q.net = nn.NewMLP(q.p, "net", 3, 2, &nn.MLPOptions{Hidden: []int{32, 32}, Act: kernel.Tanh})
	data := make([]float64, 3*n)
	rng.FillNormal(data, rng.New(2, 0))
	for i := range n {
		x := data[3*i : 3*i+3]
		for _, v := range x {
			q.xs = append(q.xs, float32(v))
		}
		q.ys = append(q.ys, float32(math.Sin(2*x[0])), float32(x[1]*x[2]))
	}
	q.train, q.valid = Split(n, 0.2, rng.New(3, 0))
	return q
}

func (q *problem) loss(t *autodiff.Tape[float32], b *Block) autodiff.Var {
	x, y := t.InputRows(q.xs, 3, b.Rows), t.InputRows(q.ys, 2, b.Rows)
	for i := range t.Value(x) {
		t.Value(x)[i] += 0.01 * (float32(b.Src.Uint64()>>40)/(1<<24) - 0.5)
	}
	return t.RowSums(t.Square(t.Sub(q.net.Forward(t, x), y)))
}

func (q *problem) trainer(t *testing.T, s Settings) *Trainer[float32] {
	t.Helper()
	s.Src = rng.New(4, 0)
	if s.Batch == 0 {
		s.Batch = 96
	}
	tr, err := NewTrainer(q.p.Values, q.loss, q.train, q.valid, &s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTrainingLearns(t *testing.T) {
	q := newProblem()
	var calls int
	tr := q.trainer(t, Settings{Epochs: 100, Adam: Adam{Rate: 1e-2}, EMA: 0.99, Schedule: Cosine{Warmup: 10}, Progress: func(Progress) { calls++ }})
	r, err := tr.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// 240 rows are 3 steps of 80. The variance of the data is 1.5.
	if r.Steps != 300 || len(r.Curve) != 100 || calls != 100 || r.Reason != "all steps are done" {
		t.Errorf("%d steps, %d points, %d calls, %q", r.Steps, len(r.Curve), calls, r.Reason)
	}
	first, last := r.Curve[0], r.Curve[99]
	if !(first.Train > 1 && last.Train < 0.1 && last.Best < 0.3) {
		t.Errorf("losses %+v, then %+v", first, last)
	}
	// The result has the best validation loss.
	e := newEngine(q.loss, q.p.Len(), &tr.s, tr.state.Seed)
	defer e.close()
	if l, _ := e.meanLoss(q.p.Values, q.valid, 0); l != last.Best {
		t.Errorf("the result has loss %v, the best was %v", l, last.Best)
	}
}

// On each instruction set; the sets may differ from each other.
func TestSameBitsForEveryGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	kernel.ForEachPath(func(path string) {
		var want []float32
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			q := newProblem()
			tr := q.trainer(t, Settings{Steps: 100, Clip: 1, EMA: 0.9})
			if _, err := tr.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = tr.w.weights
			}
			if !slices.Equal(tr.w.weights, want) {
				t.Errorf("%s: GOMAXPROCS %d gives other weights", path, procs)
			}
		}
	})
}

func TestResumeIsExact(t *testing.T) {
	settings := Settings{Steps: 100, Clip: 1, EMA: 0.9, ValidEvery: 7, Schedule: Cosine{}, Patience: 3, Drops: 100}
	q := newProblem()
	whole := q.trainer(t, settings)
	wholeReport, err := whole.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(q.p.Values)

	// Interrupted at step 50, which is in the middle of an epoch, by the end
	// of its context.
	var file bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	interrupted := settings
	interrupted.CheckpointEvery = 50
	interrupted.Checkpoint = func(save func(io.Writer) error) error {
		cancel()
		return save(&file)
	}
	q = newProblem()
	if r, err := q.trainer(t, interrupted).Run(ctx); !errors.Is(err, context.Canceled) || r.Steps != 50 {
		t.Fatalf("%d steps, %v", r.Steps, err)
	}

	q = newProblem()
	clear(q.p.Values) // all comes from the file, even the seed
	settings.Src = nil
	tr := q.trainer(t, settings)
	if err := tr.Load(bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	r, err := tr.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(q.p.Values, want) || !slices.Equal(tr.w.weights, whole.w.weights) {
		t.Error("resumed run ends with other weights")
	}
	for i, p := range r.Curve {
		w := wholeReport.Curve[i]
		if p.Elapsed, w.Elapsed = 0, 0; p != w {
			t.Errorf("point %d: %+v, uninterrupted %+v", i, p, w)
		}
	}
	if len(r.Curve) != len(wholeReport.Curve) || r.Best != wholeReport.Best {
		t.Errorf("%d points and best at %d, uninterrupted %d and %d", len(r.Curve), r.Best, len(wholeReport.Curve), wholeReport.Best)
	}
}

func TestLoadErrors(t *testing.T) {
	q := newProblem()
	tr := q.trainer(t, Settings{Steps: 10})
	if _, err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := tr.Save(&file); err != nil {
		t.Fatal(err)
	}
	load := func(s Settings, train []int, file []byte) error {
		s.Batch = max(s.Batch, 96)
		tr, err := NewTrainer(q.p.Values, q.loss, train, q.valid, &s)
		if err != nil {
			t.Fatal(err)
		}
		return tr.Load(bytes.NewReader(file))
	}
	if err := load(Settings{}, q.train, file.Bytes()); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"batch size was 96 and is 97": load(Settings{Batch: 97}, q.train, file.Bytes()),
		"training rows are other":     load(Settings{}, q.train[1:], file.Bytes()),
		`no tensor "ema"`:             load(Settings{EMA: 0.5}, q.train, file.Bytes()),
		"EOF":                         load(Settings{}, q.train, file.Bytes()[:1000]),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// A file with any byte changed is refused or loaded, and the run goes on or
// ends with an error; nothing panics.
func TestLoadSurvivesCorruption(t *testing.T) {
	loss := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
		return t.Square(t.Add(t.Fill(len(b.Rows), 1, 1), t.Param(autodiff.Param{Rows: 1, Cols: 1})))
	}
	run := func() *Trainer[float64] {
		tr, err := NewTrainer([]float64{3}, loss, []int{0, 1}, []int{2}, &Settings{Epochs: 10, Patience: 3, EMA: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	tr := run()
	if _, err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := tr.Save(&file); err != nil {
		t.Fatal(err)
	}
	loaded := 0
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for i := 0; i < file.Len(); i += stride {
		b := slices.Clone(file.Bytes())
		b[i] ^= 1 << (i % 8)
		tr := run()
		if err := tr.Load(bytes.NewReader(b)); err == nil {
			loaded++
			if _, err := tr.Run(context.Background()); err != nil && !strings.HasPrefix(err.Error(), "optim: ") {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	}
	if loaded == 0 || loaded == file.Len()/stride {
		t.Errorf("%d of %d loaded", loaded, file.Len())
	}
}

func TestEarlyStopping(t *testing.T) {
	// The only weight moves away from the best one of the validation row.
	loss := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
		w := t.Param(autodiff.Param{Rows: 1, Cols: 1})
		target := t.Input(len(b.Rows), 1)
		for i, r := range b.Rows {
			t.Value(target)[i] = float64(r)
		}
		return t.Square(t.Sub(target, w))
	}
	values := []float64{0}
	tr, err := NewTrainer(values, loss, []int{10}, []int{1}, &Settings{Adam: Adam{Rate: 0.1}, Patience: 5, Drops: 2})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tr.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// Adam's first ten steps are 0.1 each, so the best is at step 10; then 15
	// validations without improvement in three groups of halved rates.
	if r.Best != 10 || r.Steps != 25 || math.Abs(values[0]-1) > 0.01 {
		t.Errorf("best at %d of %d, weight %g", r.Best, r.Steps, values[0])
	}
	if rate := r.Curve[24].Rate; rate != 0.025 {
		t.Errorf("last rate %g", rate)
	}
	if r.Reason != "no improvement in 5 validations" {
		t.Errorf("reason %q", r.Reason)
	}
}

func TestNonFinite(t *testing.T) {
	for _, valid := range [][]int{nil, {1}} {
		values := []float64{1}
		loss := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
			v := t.Add(t.Fill(len(b.Rows), 1, 0), t.Param(autodiff.Param{Rows: 1, Cols: 1}))
			if b.Step == 6 {
				return t.Log(t.Sub(v, v))
			}
			return v
		}
		tr, err := NewTrainer(values, loss, []int{0}, valid, &Settings{Adam: Adam{Rate: 0.1}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := tr.Run(context.Background())
		var e *NonFiniteError
		if !errors.As(err, &e) || e.Step != 7 && e.Step != 6 || !strings.Contains(err.Error(), fmt.Sprintf("step %d", e.Step)) {
			t.Fatalf("got %v", err)
		}
		if want := 0.5; math.Abs(values[0]-want) > 1e-6 {
			t.Errorf("weight %g, want that before the last update, %g", values[0], want)
		}
		if r.Reason != err.Error() {
			t.Errorf("reason %q", r.Reason)
		}
	}
}

var (
	torchLosses  = [][2]float64{{1.842612365554613, 0.8079704176799615}, {1.7870173625432964, 0.6153786299385627}, {1.7512057855103675, 0.5297404675035968}, {1.7291172356784483, 0.498070579976992}, {1.7161871361960839, 0.4808110738843937}}
	torchWeights = []float64{0.4014193707121866, -0.9470052537115496, 0.25695324558063665}
)

// One batch, cosine schedule, AdamW and clipping, against PyTorch 2.15:
// torch.optim.AdamW(lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
// CosineAnnealingLR(5, eta_min=0.005), gradients scaled to norm 0.52 where larger
// (clip_grad_norm_ does so up to a term of 1e-6).
func TestAgainstPyTorch(t *testing.T) {
	xs, ys := []float64{0.5, -1, 1.5, 2, -0.3, 0.7, 2, -0.5}, []float64{1, -2, 0.5, 3}
	values := []float64{0.3, -0.8, 0.1}
	loss := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
		x, y := t.InputRows(xs, 2, b.Rows), t.InputRows(ys, 1, b.Rows)
		w, bias := t.Param(autodiff.Param{Rows: 1, Cols: 2}), t.Param(autodiff.Param{ID: 1, Offset: 2, Rows: 1, Cols: 1})
		return t.Square(t.Sub(t.Linear(x, w, bias, kernel.Tanh), y))
	}
	tr, err := NewTrainer(values, loss, []int{0, 1, 2, 3}, nil, &Settings{
		Epochs: 5, Clip: 0.52, Schedule: Cosine{Floor: 0.1},
		Adam: Adam{Rate: 0.05, Beta1: 0.8, Beta2: 0.95, Eps: 1e-6, Decay: 0.1},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tr.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		if !(math.Abs(got-want) <= 1e-12*math.Abs(want)) {
			t.Errorf("%s is %.15g, want %.15g", what, got, want)
		}
	}
	for i, want := range torchLosses {
		near("loss", r.Curve[i].Train, want[0])
		near("norm", r.Curve[i].GradNorm, want[1])
	}
	for i, want := range torchWeights {
		near("weight", values[i], want)
	}
}

func TestStepDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what they hold")
	}
	for _, workers := range []int{1, 2} {
		q := newProblem()
		tr := q.trainer(t, Settings{Clip: 1, EMA: 0.9, Workers: workers})
		e := newEngine(q.loss, q.p.Len(), &tr.s, 1)
		tr.shuffle(0)
		step := func() {
			tr.state.Step %= 3
			if _, err := tr.step(e); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 { // each worker has seen the largest block
			step()
		}
		if n := testing.AllocsPerRun(50, step); n > 0 {
			t.Errorf("%d workers: %v allocations per step", workers, n)
		}
		e.close()
	}
}

func TestSettingsErrors(t *testing.T) {
	for want, s := range map[string]Settings{
		"Batch is -1":      {Batch: -1},
		"EMA is 1":         {EMA: 1},
		"Clip is NaN":      {Clip: math.NaN()},
		"Adam.Rate is -1":  {Adam: Adam{Rate: -1}},
		"no rows for vali": {Patience: 3},
	} {
		if _, err := NewTrainer([]float64{1}, nil, []int{0}, nil, &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := NewTrainer[float64]([]float64{1}, nil, nil, nil, nil); err == nil {
		t.Error("no error without rows")
	}
	bad := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
		return t.Param(autodiff.Param{Rows: 1, Cols: 1})
	}
	tr, err := NewTrainer([]float64{1}, bad, []int{0, 1}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "1×1, want 2×1") {
		t.Errorf("got %v", err)
	}
}

func TestSplit(t *testing.T) {
	train, valid := Split(10, 0.25, rng.New(1, 0))
	all := append(slices.Clone(train), valid...)
	slices.Sort(all)
	if len(valid) != 3 || !slices.Equal(all, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v and %v", train, valid)
	}
	if train, valid := Split(1, 0.5, nil); len(train) != 1 || len(valid) != 0 {
		t.Errorf("of one row: %v and %v", train, valid)
	}
}

func TestAfterStepAndEvenBatches(t *testing.T) {
	var sizes []int
	loss := func(t *autodiff.Tape[float64], b *Block) autodiff.Var {
		sizes = append(sizes, len(b.Rows))
		return t.Square(t.Add(t.Fill(len(b.Rows), 1, 1), t.Param(autodiff.Param{Rows: 1, Cols: 1})))
	}
	values := []float64{3}
	tr, err := NewTrainer(values, loss, make([]int, 31), nil, &Settings{Batch: 10, Epochs: 1, Workers: 1, Adam: Adam{Rate: 10}})
	if err != nil {
		t.Fatal(err)
	}
	tr.AfterStep = func(w []float64) { w[0] = max(w[0], 0.5) }
	if _, err := tr.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if values[0] != 0.5 {
		t.Errorf("weight %g", values[0])
	}
	if !slices.Equal(sizes, []int{7, 8, 8, 8}) {
		t.Errorf("batches %v", sizes)
	}
}
