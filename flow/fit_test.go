package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

// file returns the flow as a file, which has all its bits.
func file(t testing.TB, f *Flow) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameBitsForAnyGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	x, y := pairs(300, 3, 2, 1)
	for _, a := range small {
		var first []byte
		for _, procs := range []int{1, 2, 8} {
			runtime.GOMAXPROCS(procs)
			f := trained(t, a, x, y, FitOptions{Epochs: 3})
			draws := mat.NewDense(1000, 3, nil)
			if err := f.Draw(context.Background(), draws, y.Slice(0, 1, 0, 2).(*mat.Dense), rng.New(1, 0)); err != nil {
				t.Fatal(err)
			}
			b := fmt.Append(file(t, f), draws.RawMatrix().Data)
			if first == nil {
				first = b
			} else if !bytes.Equal(b, first) {
				t.Errorf("%s: another flow with GOMAXPROCS %d than with 1", name(a), procs)
			}
		}
	}
}

func TestResume(t *testing.T) {
	x, y := pairs(300, 2, 3, 1)
	for _, a := range small {
		o := FitOptions{Epochs: 12, ValidEvery: 6, Embedding: MLP{Hidden: []int{8}, Features: 4}}
		want := file(t, trained(t, a, x, y, o))
		// The run is stopped by its own checkpoint after half of the epochs.
		var state bytes.Buffer
		stop := errors.New("stop")
		n := 0
		half := o
		half.Src, half.Rate, half.Batch = rng.New(5, 0), 1e-2, 50
		half.Checkpoint = func(save func(io.Writer) error) error {
			if n++; n < 6 {
				return nil
			}
			if err := save(&state); err != nil {
				return err
			}
			return stop
		}
		f, err := Fit(context.Background(), a, x, y, &half)
		if !errors.Is(err, stop) || f == nil {
			t.Fatalf("%s: error is %v, flow %v", name(a), err, f)
		}
		saved := state.Bytes()
		o.Resume = bytes.NewReader(saved)
		o.Src = rng.New(77, 0) // the seed is in the checkpoint
		if got := file(t, trained(t, a, x, y, o)); !bytes.Equal(got, want) {
			t.Errorf("%s: a resumed training ends elsewhere", name(a))
		}
		o.Resume = bytes.NewReader(saved)
		x2 := mat.DenseCopyOf(x)
		x2.Set(0, 0, 1)
		o.Epochs, o.Rate, o.Batch = 10, 1e-2, 50
		if _, err := Fit(context.Background(), a, x2, y, &o); err == nil || !strings.Contains(err.Error(), "other data") {
			t.Errorf("%s: error is %v for other data", name(a), err)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	x, y := pairs(200, 3, 4, 1)
	box, err := prior.Interval([]float64{-50, -50, math.Inf(-1)}, []float64{50, 50, 200})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range small {
		o := FitOptions{Epochs: 2, Float64: i%2 == 0}
		if i%2 == 1 {
			o.Transform = box
		}
		switch i {
		case 0:
			o.Embedding = Set{Size: 2}
		case 1:
			o.Embedding = Conv{Layers: []int{3}}
		case 2:
			o.Embedding = MLP{}
		}
		f := trained(t, a, x, y, o)
		b := file(t, f)
		g, err := Load(bytes.NewReader(b), &LoadOptions{Transform: o.Transform})
		if err != nil {
			t.Fatalf("%s: %v", name(a), err)
		}
		if !bytes.Equal(file(t, g), b) {
			t.Errorf("%s: another file after Load", name(a))
		}
		u, v := make([]float64, 200), make([]float64, 200)
		f.LogProb(u, x, y)
		g.LogProb(v, x, y)
		for i := range u {
			if u[i] != v[i] {
				t.Fatalf("%s: LogProb of row %d is %g and after Load %g", name(a), i, u[i], v[i])
			}
		}
		other := prior.Positive(3)
		if o.Transform == nil {
			_, err = Load(bytes.NewReader(b), &LoadOptions{Transform: other})
		} else if _, err = Load(bytes.NewReader(b), nil); err != nil {
			_, err = Load(bytes.NewReader(b), &LoadOptions{Transform: other})
		}
		if err == nil {
			t.Errorf("%s: no error with another transform", name(a))
		}
	}
}

func FuzzLoad(f *testing.F) {
	x, y := pairs(60, 2, 2, 1)
	for _, a := range small {
		f.Add(file(f, trained(f, a, x, y, FitOptions{Epochs: 1, Embedding: MLP{Hidden: []int{2}, Features: 1}})))
	}
	bits, given, _ := logisticBits(60, 2, 2, 1)
	f.Add(file(f, trained(f, MADE{Hidden: []int{3}}, bits, given, FitOptions{Epochs: 1})))
	f.Add(file(f, trained(f, Counts{Hidden: []int{3}, Components: 2}, bits, given, FitOptions{Epochs: 1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		if g, err := Load(bytes.NewReader(b), nil); err == nil {
			dx, dy := g.Dims()
			if dy == 0 || dx > 100 || dy > 100 {
				return
			}
			g.LogProb(make([]float64, 1), mat.NewDense(1, dx, nil), mat.NewDense(1, dy, nil))
		}
	})
}

func TestErrors(t *testing.T) {
	with := func(x *mat.Dense, i, j int, v float64) *mat.Dense {
		x = mat.DenseCopyOf(x)
		if i < 0 {
			r, _ := x.Dims()
			for i := range r {
				x.Set(i, j, v)
			}
			return x
		}
		x.Set(i, j, v)
		return x
	}
	x, y := pairs(100, 2, 3, 1)
	for _, c := range []struct {
		name string
		a    Architecture
		x, y *mat.Dense
		o    FitOptions
		want string
	}{
		{"no architecture", nil, x, y, FitOptions{}, "needs an architecture"},
		{"no x", MAF{}, nil, y, FitOptions{}, "needs an architecture and x"},
		{"NaN in x", MAF{}, with(x, 17, 1, math.NaN()), y, FitOptions{}, "row 17 of x has NaN in column 1"},
		{"infinite y", MAF{}, x, with(y, 3, 2, math.Inf(1)), FitOptions{}, "row 3 of y has +Inf in column 2"},
		{"constant x", MAF{}, with(x, -1, 1, 0.3), y, FitOptions{}, "column 1 of x has no spread: it is 0.3 in all of the 90 training rows"},
		{"constant y", MAF{}, x, with(y, -1, 2, 7), FitOptions{}, "column 2 of y has no spread"},
		{"rows", MAF{}, x, y.Slice(0, 50, 0, 3).(*mat.Dense), FitOptions{}, "x has 100 rows and y has 50"},
		{"batch", MAF{}, x, y, FitOptions{Batch: 91}, "Batch is 91 and there are only 90 rows"},
		{"outside", MAF{}, x, y, FitOptions{Transform: unit(2)}, "row 0 of x is outside of Transform's set"},
		{"transform", MAF{}, x, y, FitOptions{Transform: prior.Positive(3)}, "x has 2 columns and Transform is of 3 variables"},
		{"embedding", MAF{}, x, nil, FitOptions{Embedding: MLP{}}, "no y"},
		{"set", MAF{}, x, y, FitOptions{Embedding: Set{Size: 2}}, "want a multiple of Size"},
		{"conv", MAF{}, x, y, FitOptions{Embedding: Conv{Height: 2, Width: 2}}, "want Height Width Channels"},
		{"validation rows", MAF{}, x, y, FitOptions{ValidationRows: []int{1, 1}}, "ValidationRows[1] is 1"},
		{"all validation", MAF{}, x, y, FitOptions{Validation: 0.99}, "1 rows are left for training"},
		{"hidden", MAF{Hidden: []int{5, 0}}, x, y, FitOptions{}, "MAF: Hidden[1] is 0"},
		{"bins", NSF{Bins: 1}, x, y, FitOptions{}, "NSF: Bins is 1"},
		{"bound", NSF{Bound: -1}, x, y, FitOptions{}, "NSF: Bound is -1"},
		{"both", NSF{Autoregressive: true, Independent: true}, x, y, FitOptions{}, "Autoregressive and Independent exclude each other"},
		{"rate", NSF{}, x, y, FitOptions{Rate: -1}, "Rate is -1"},
		{"resume", NSF{}, x, y, FitOptions{Resume: strings.NewReader("what?\n")}, "not a checkpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Fit(context.Background(), c.a, c.x, c.y, &c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if f != nil {
				t.Error("there is a flow")
			}
		})
	}
}

// unit returns the transform of the unit cube.
func unit(d int) prior.Transform {
	lo, hi := make([]float64, d), make([]float64, d)
	for i := range hi {
		hi[i] = 1
	}
	b, err := prior.Interval(lo, hi)
	if err != nil {
		panic(err)
	}
	return b
}

// A training that diverges says when, and leaves a flow that can be used.
func TestNonFinite(t *testing.T) {
	x, y := pairs(200, 2, 1, 1)
	f, err := Fit(context.Background(), MAF{}, x, y, &FitOptions{Rate: 1e30, Clip: -1, Batch: 50, Src: rng.New(1, 0)})
	var bad *NonFiniteError
	if !errors.As(err, &bad) || bad.Step < 1 {
		t.Fatalf("error is %v", err)
	}
	l := make([]float64, 200)
	f.LogProb(l, x, y)
	for i, v := range l {
		if math.IsNaN(v) || math.IsInf(v, 1) {
			t.Fatalf("LogProb of row %d is %g", i, v)
		}
	}
}

func TestCancelled(t *testing.T) {
	x, y := pairs(200, 2, 1, 1)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	f, err := Fit(ctx, MAF{}, x, y, &FitOptions{Progress: func(p Progress) {
		if n++; n == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || f == nil || len(f.Report().Curve) != 3 {
		t.Errorf("error is %v, flow %v", err, f)
	}
}
