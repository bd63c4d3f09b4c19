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
	dir   = flag.String("to", "examples/internal/digits", "write the network to this `folder`")
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
	var train, held *mat.Dense
	opt := &diffusion.TrainOptions{
		MeanLog: -.3, StdLog: 1.4, Batch: *batch, Rate: *rate, Src: rand.NewPCG(*seed, 0),
		Progress: progress, Checkpoint: checkpoint,
	}
	switch *name {
	case "optical":
		train, held = digits.Optical()
		opt.Net, opt.Steps = diffusion.UNet{Side: 8, Width: 32, Mult: []int{1, 2}}, 6000
	case "mnist":
		f, err := os.Open(*data)
		if err != nil {
			return fmt.Errorf("%w (command convert makes it)", err)
		}
		defer f.Close()
		images, err := digits.ReadGzip(f)
		if err != nil {
			return err
		}
		train, held = images.Rows(0, images.Len()), digits.Held()
		opt.Net, opt.Steps = diffusion.UNet{Side: 28, Patch: 2, Width: 32, Mult: []int{1, 2}}, 5000
	default:
		return fmt.Errorf("-net is %q, want optical, mnist or jump", *name)
	}
	if *steps != 0 {
		opt.Steps = *steps
	}
	if s, err := os.ReadFile(*state); err == nil {
		opt.Resume = bytes.NewReader(s)
	}
	start := time.Now()
	w, err := diffusion.Train(ctx, train, digits.Schedule, opt)
	if err != nil {
		return err
	}
	loss, err := digits.Loss(w, train, held, opt.MeanLog, opt.StdLog)
	if err != nil {
		return err
	}
	path := filepath.Join(*dir, *name+".safetensors")
	if err := write(path, w.Save); err != nil {
		return err
	}
	fmt.Printf("%s: %d weights, loss of held-out images %.4f, %.0f s\n", path, w.Parameters(), loss, time.Since(start).Seconds())
	return nil
}

func progress(p diffusion.TrainProgress) {
	fmt.Fprintf(os.Stderr, "step %d of %d: loss %.4f, %.0f s\n", p.Step, p.Steps, p.Loss, p.Elapsed.Seconds())
}

func checkpoint(save func(io.Writer) error) error { return write(*state, save) }

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
