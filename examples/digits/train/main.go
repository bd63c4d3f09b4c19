// Command train trains the networks of the digits and fewstep examples.
//
//	go run ./examples/digits/train -net optical
//	go run ./examples/digits/train -net mnist -data mnist.idx.gz
//	go run ./examples/digits/train -net jump -data mnist.idx.gz
//
// The first is the score of 8×8 digits, from the images in the repository. The
// second is the score of 28×28 digits, the third the consistency model that is
// distilled from it; they want the file that command convert makes. If it is
// interrupted, the same command goes on from the file -state.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/diffusion"
	"github.com/go-inverse/inverse/examples/internal/digits"
)

var (
	name  = flag.String("net", "optical", "`network` to train: optical, mnist or jump")
	data  = flag.String("data", "mnist.idx.gz", "`file` with the 28×28 images")
	dir   = flag.String("to", "examples/internal/digits", "`folder` of the networks")
	state = flag.String("state", "", "`file` for the state of the training, and to go on from if it is there; NET.state if empty")
	steps = flag.Int("steps", 0, "training steps, if not those of the networks in the repository")
	batch = flag.Int("batch", 64, "images a step")
	rate  = flag.Float64("rate", 3e-3, "largest learning rate")
	seed  = flag.Uint64("seed", 1, "seed of all random numbers")
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("train: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	flag.Parse()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *state == "" {
		*state = *name + ".state"
	}
	start := time.Now()
	var saved func(io.Writer) error
	var report string
	var err error
	switch *name {
	case "optical":
		train, held := digits.Optical()
		saved, report, err = score(ctx, train, held, diffusion.UNet{Side: 8, Width: 16}, or(*steps, 2500))
	case "mnist":
		var train *mat.Dense
		if train, err = read(); err == nil {
			saved, report, err = score(ctx, train, digits.Held(), diffusion.UNet{Side: 28, Patch: 2}, or(*steps, 2500))
		}
	case "jump":
		var train *mat.Dense
		if train, err = read(); err == nil {
			saved, report, err = distill(ctx, train, or(*steps, 1500))
		}
	default:
		err = fmt.Errorf("-net is %q, want optical, mnist or jump", *name)
	}
	if err != nil {
		return err
	}
	path := filepath.Join(*dir, *name+".safetensors")
	if err := write(path, saved); err != nil {
		return err
	}
	fmt.Printf("%s: %s, %.0f s\n", path, report, time.Since(start).Seconds())
	return nil
}

func or(given, otherwise int) int {
	if given != 0 {
		return given
	}
	return otherwise
}

func read() (*mat.Dense, error) {
	f, err := os.Open(*data)
	if err != nil {
		return nil, fmt.Errorf("%w (command convert makes it)", err)
	}
	defer f.Close()
	m, err := digits.ReadGzip(f)
	if err != nil {
		return nil, err
	}
	return m.Rows(0, m.Len()), nil
}

// score learns a score.
func score(ctx context.Context, train, held *mat.Dense, net diffusion.UNet, steps int) (func(io.Writer) error, string, error) {
	opt := &diffusion.TrainOptions{
		Net: net, MeanLog: -.3, StdLog: 1.4, Steps: steps, Batch: *batch, Rate: *rate, Src: rand.NewPCG(*seed, 0),
		Progress: progress, Checkpoint: func(save func(io.Writer) error) error { return write(*state, save) },
	}
	if s, err := os.ReadFile(*state); err == nil {
		opt.Resume = bytes.NewReader(s)
	}
	w, err := diffusion.Train(ctx, train, digits.Schedule, opt)
	if err != nil {
		return nil, "", err
	}
	loss, err := digits.Loss(w, train, held, opt.MeanLog, opt.StdLog)
	return w.Save, fmt.Sprintf("%d weights, loss of held-out images %.4f", w.Parameters(), loss), err
}

// distill makes the consistency model of the score in the folder.
func distill(ctx context.Context, train *mat.Dense, steps int) (func(io.Writer) error, string, error) {
	f, err := os.Open(filepath.Join(*dir, "mnist.safetensors"))
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	teacher, err := diffusion.Load(f, digits.Schedule)
	if err != nil {
		return nil, "", err
	}
	c, err := diffusion.Distill(ctx, teacher, train, &diffusion.DistillOptions{
		Steps: steps, Batch: *batch, Rate: *rate / 3, Src: rand.NewPCG(*seed, 0), Progress: progress,
	})
	if err != nil {
		return nil, "", err
	}
	return c.Save, "distilled", nil
}

func progress(p diffusion.TrainProgress) {
	fmt.Fprintf(os.Stderr, "step %d of %d: loss %.4f, %.0f s\n", p.Step, p.Steps, p.Loss, p.Elapsed.Seconds())
}

// write replaces a file, whole or not at all.
func write(path string, save func(io.Writer) error) error {
	var b bytes.Buffer
	if err := save(&b); err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
