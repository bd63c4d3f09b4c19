package optim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/rng"
)

// The benchmarks are training steps: forward, backward, Adam. The same steps
// in PyTorch are in testdata/torch_bench.py, which prints medians, too. On two
// cores of an AMD EPYC (Zen 4, AVX-512) with nothing else running, a step took,
// in microseconds and with one worker or thread and with two,
//
//	MLP     402 and  227    PyTorch 2.15    1153 and  1208
//	MAF     404 and  268    PyTorch 2.15    3508 and  3669
//
// in the median of eight turns, and in milliseconds on one core
//
//	UNet    134             PyTorch 2.15     315
//
// The clocks of that machine's cores came and went by a third; while both were
// fast, two workers took 205 and 213. Our steps gather their rows from the data,
// PyTorch's have them at hand.

func benchmarkStep(b *testing.B, p *nn.Params[float32], loss Loss[float32], rows int, s Settings) {
	if err := p.Err(); err != nil {
		b.Fatal(err)
	}
	train := make([]int, 4*rows)
	for i := range train {
		train[i] = i
	}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s.Batch, s.Workers, s.Src = rows, workers, rng.New(1, 0)
			t, err := NewTrainer(p.Values, loss, train, nil, &s)
			if err != nil {
				b.Fatal(err)
			}
			e := newEngine(loss, p.Len(), &t.s, 1)
			defer e.close()
			t.shuffle(0)
			b.ReportAllocs()
			times := make([]time.Duration, 0, 1<<16)
			for b.Loop() {
				t.state.Step %= 4
				start := time.Now()
				if _, err := t.step(e); err != nil {
					b.Fatal(err)
				}
				if len(times) < cap(times) {
					times = append(times, time.Since(start))
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2])/1e3, "µs-median")
			b.ReportMetric(float64(times[0])/1e3, "µs-least")
		})
	}
}

func normals(n int) []float32 {
	x := make([]float64, n)
	rng.FillNormal(x, rng.New(7, 0))
	y := make([]float32, n)
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// BenchmarkMLP is an MLP 32-128-128-32 with tanh, batch 256, mean squared error.
func BenchmarkMLP(b *testing.B) {
	p := nn.NewParams[float32](rng.New(1, 0))
	net := nn.NewMLP(p, "net", 32, 32, &nn.MLPOptions{Hidden: []int{128, 128}, Act: kernel.Tanh})
	const rows = 256
	xs, ys := normals(4*rows*32), normals(4*rows*32)
	benchmarkStep(b, p, func(t *autodiff.Tape[float32], bl *Block) autodiff.Var {
		x, y := t.InputRows(xs, 32, bl.Rows), t.InputRows(ys, 32, bl.Rows)
		return t.RowSums(t.Square(t.Sub(net.Forward(t, x), y)))
	}, rows, Settings{Blocks: 2})
}

// BenchmarkMAF is a masked autoregressive flow of 5 blocks of 2 hidden layers
// of 50 units with tanh, 5 variables and 10 conditions, batch 200, with the
// gradient clipped: the density estimator of neural posterior estimation.
func BenchmarkMAF(b *testing.B) {
	const rows, d, c = 200, 5, 10
	p := nn.NewParams[float32](rng.New(1, 0))
	var made []*nn.MADE[float32]
	for i := range 5 {
		made = append(made, nn.NewMADE(p, fmt.Sprint("made", i), d, &nn.MADEOptions{Hidden: []int{50, 50}, Act: kernel.Tanh, Context: c, Outputs: 2}))
	}
	scale := []int{0, 2, 4, 6, 8}
	shift := []int{1, 3, 5, 7, 9}
	flip := []int{4, 3, 2, 1, 0}
	xs, ys := normals(4*rows*d), normals(4*rows*c)
	benchmarkStep(b, p, func(t *autodiff.Tape[float32], bl *Block) autodiff.Var {
		z, y := t.InputRows(xs, d, bl.Rows), t.InputRows(ys, c, bl.Rows)
		var logDet autodiff.Var
		for _, m := range made {
			raw := m.Forward(t, z, y)
			s := t.AddConst(t.Softplus(t.GatherCols(raw, scale)), 1e-3)
			z = t.GatherCols(t.Add(t.Mul(s, z), t.GatherCols(raw, shift)), flip)
			l := t.RowSums(t.Log(s))
			if logDet != 0 {
				l = t.Add(logDet, l)
			}
			logDet = l
		}
		return t.Sub(t.Scale(0.5, t.RowSums(t.Square(z))), logDet)
	}, rows, Settings{Clip: 5, Blocks: 2})
}

// BenchmarkUNet is a U-Net of 32 and 64 channels on 28×28 images with an
// embedded time, batch 32, mean squared error.
func BenchmarkUNet(b *testing.B) {
	const rows = 32
	p := nn.NewParams[float32](rng.New(1, 0))
	net := nn.NewUNet(p, "unet", &nn.UNetOptions{H: 28, W: 28, In: 1, Context: 32})
	embed := nn.NewFourier[float32](32, 1, 100)
	xs, ts := normals(4*rows*784), normals(4*rows)
	benchmarkStep(b, p, func(t *autodiff.Tape[float32], bl *Block) autodiff.Var {
		x, tm := t.InputRows(xs, 784, bl.Rows), t.InputRows(ts, 1, bl.Rows)
		return t.RowSums(t.Square(t.Sub(net.Forward(t, x, embed.Forward(t, tm)), x)))
	}, rows, Settings{Blocks: 4})
}

// BenchmarkUNetInference is the network of BenchmarkUNet without gradients,
// on 32 images, 8 at a time.
func BenchmarkUNetInference(b *testing.B) {
	const rows, block = 32, 8
	p := nn.NewParams[float32](rng.New(1, 0))
	net := nn.NewUNet(p, "unet", &nn.UNetOptions{H: 28, W: 28, In: 1, Context: 32})
	embed := nn.NewFourier[float32](32, 1, 100)
	var t autodiff.Tape[float32]
	b.ReportAllocs()
	for b.Loop() {
		for range rows / block {
			t.Reset(p.Values, nil)
			net.Forward(&t, t.Fill(block, 784, 0.5), embed.Forward(&t, t.Fill(block, 1, 0.5)))
		}
	}
}
