package diffusion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// TrainOptions are the options of Train. Zero values mean the defaults.
type TrainOptions struct {
	Net Architecture // MLP{} if nil

	// MeanLog and StdLog are mean and standard deviation of the logarithm of
	// the noise level σ/α, in units of the standard deviation of the data,
	// that the network is trained at. If StdLog is 0, they are -0.5 and 1.2,
	// the values of Karras et al. (2022), whose data have 0.5. Data with
	// structure on several scales want a larger StdLog.
	MeanLog, StdLog float64

	Steps int     // of Adam, 10000 if 0
	Batch int     // rows of a step, 256 or all if 0
	Rate  float64 // largest learning rate, 1e-3 if 0; it falls to 0 along a cosine
	EMA   float64 // decay of the average of the weights that is the result, 0.999 if 0
	Clip  float64 // norm that gradients are cut down to, 1 if 0; negative means never

	// Src is the source of all randomness; nil means a freshly seeded one.
	Src     rand.Source
	Workers int // goroutines, GOMAXPROCS if 0; the result does not depend on it

	// Progress, if not nil, is called about a hundred times with the mean loss
	// since the last call, in which 1 is that of a network that knows nothing
	// but mean and variance.
	Progress func(TrainProgress)
	// Checkpoint, if not nil, is called every CheckpointEvery steps (as often
	// as Progress if 0) with a function that writes the state of the training.
	Checkpoint      func(save func(w io.Writer) error) error
	CheckpointEvery int
	// Resume, if not nil, has a state that Checkpoint wrote in a call of Train
	// with the same data and options. Training goes on as if it had not been
	// interrupted.
	Resume io.Reader
}

// TrainProgress is the state of a training.
type TrainProgress struct {
	Step, Steps int
	Loss        float64
	Elapsed     time.Duration
}

// Train learns the score of the density that the rows of data are draws of,
// by denoising score matching (Vincent 2011) with the preconditioning, noise
// levels and weights of Karras et al. (2022): in units of the standard
// deviation of the data,
//
//	E ‖F(c_in (x₀ + s z)) - (s x₀ - z)/√(s² + 1)‖²/n,  log s ~ N(MeanLog, StdLog²).
//
// Only mean and overall standard deviation of the data are removed, so scale
// columns of different units beforehand. The same Src gives the same network,
// bit for bit, for any number of workers.
//
// If training ends early, by ctx or an error, Train returns that error with
// the network so far.
func Train(ctx context.Context, data *mat.Dense, s Schedule, opt *TrainOptions) (*Network, error) {
	if err := checkSchedule(s); err != nil {
		return nil, err
	}
	if data == nil || data.IsEmpty() {
		return nil, errors.New("diffusion: Train: the data are empty")
	}
	if opt == nil {
		opt = &TrainOptions{}
	}
	rows, n := data.Dims()
	o, err := opt.withDefaults(rows, n)
	if err != nil {
		return nil, err
	}
	mean, sd, err := moments(data)
	if err != nil {
		return nil, err
	}
	seed := rng.Seed(o.Src)
	params := nn.NewParams[float32](rng.New(seed, 0))
	w, err := newNetwork(o.Net, s, params, mean, sd)
	if err != nil {
		return nil, fmt.Errorf("diffusion: Train: %w", err)
	}
	xs := make([]float32, rows*n)
	train := make([]int, rows)
	for i := range rows {
		train[i] = i
		for j, v := range data.RawRowView(i) {
			xs[i*n+j] = float32((v - mean[j]) / sd)
		}
	}
	settings := &optim.Settings{
		Batch: o.Batch, Steps: o.Steps, Epochs: math.MaxInt32, Adam: optim.Adam{Rate: o.Rate}, Schedule: optim.Cosine{Warmup: min(100, o.Steps/10)},
		EMA: o.EMA, Clip: math.Max(0, o.Clip), ValidEvery: max(1, o.Steps/100), Src: rng.New(seed, 1), Workers: o.Workers,
		Checkpoint: o.Checkpoint, CheckpointEvery: o.CheckpointEvery,
	}
	if o.Progress != nil {
		settings.Progress = func(p optim.Progress) {
			o.Progress(TrainProgress{Step: p.Step, Steps: o.Steps, Loss: p.Train, Elapsed: p.Elapsed})
		}
	}
	trainer, err := optim.NewTrainer(params.Values, func(t *autodiff.Tape[float32], b *optim.Block) autodiff.Var {
		return w.loss(t, xs, b, o.MeanLog, o.StdLog)
	}, train, nil, settings)
	if err != nil {
		return nil, fmt.Errorf("diffusion: Train: %w", err)
	}
	if o.Resume != nil {
		if err := trainer.Load(o.Resume); err != nil {
			return nil, fmt.Errorf("diffusion: Train: Resume: %w", err)
		}
	}
	if _, err := trainer.Run(ctx); err != nil {
		return w, fmt.Errorf("diffusion: Train: %w", err)
	}
	return w, nil
}

// loss records the losses of the rows of a block.
func (w *Network) loss(t *autodiff.Tape[float32], xs []float32, b *optim.Block, meanLog, stdLog float64) autodiff.Var {
	n, r := len(w.mean), len(b.Rows)
	in, target, level := t.Input(r, n), t.Input(r, n), t.Input(r, 1)
	x, y, l := t.Value(in), t.Value(target), t.Value(level)
	random := rand.New(b.Src)
	for i, row := range b.Rows {
		logS := meanLog + stdLog*random.NormFloat64()
		s := math.Exp(logS)
		norm := 1 / math.Sqrt(s*s+1)
		l[i] = float32(logS)
		for j, v := range xs[row*n : (row+1)*n] {
			z := random.NormFloat64()
			x[i*n+j] = float32((float64(v) + s*z) * norm)
			y[i*n+j] = float32((s*float64(v) - z) * norm)
		}
	}
	return t.Scale(1/float32(n), t.RowSums(t.Square(t.Sub(w.forward(t, in, level), target))))
}

// withDefaults checks the options.
func (o TrainOptions) withDefaults(rows, n int) (TrainOptions, error) {
	if o.Steps < 0 || o.Batch < 0 || o.CheckpointEvery < 0 {
		return o, fmt.Errorf("diffusion: Train: Steps is %d, Batch %d, CheckpointEvery %d: one is negative", o.Steps, o.Batch, o.CheckpointEvery)
	}
	if !(o.StdLog >= 0 && o.Rate >= 0 && o.EMA >= 0 && o.EMA < 1) || math.IsNaN(o.MeanLog+o.Clip) || math.IsInf(o.StdLog+o.Rate+o.MeanLog+o.Clip, 0) {
		return o, fmt.Errorf("diffusion: Train: MeanLog %g, StdLog %g, Rate %g, EMA %g, Clip %g: one is out of range", o.MeanLog, o.StdLog, o.Rate, o.EMA, o.Clip)
	}
	if o.StdLog == 0 {
		o.MeanLog, o.StdLog = -0.5, 1.2
	}
	if o.Steps == 0 {
		o.Steps = 10_000
	}
	if o.Batch == 0 {
		o.Batch = min(256, rows)
	}
	if o.Batch > rows {
		return o, fmt.Errorf("diffusion: Train: Batch is %d and there are %d rows", o.Batch, rows)
	}
	if o.Rate == 0 {
		o.Rate = 1e-3
	}
	if o.EMA == 0 {
		o.EMA = 0.999
	}
	if o.Clip == 0 {
		o.Clip = 1
	}
	if o.Net == nil {
		o.Net = MLP{}
	}
	var err error
	o.Net, err = o.Net.resolve(n)
	return o, err
}

// moments returns the means of the columns and the standard deviation of all
// elements about them.
func moments(data *mat.Dense) (mean []float64, sd float64, err error) {
	rows, n := data.Dims()
	mean = make([]float64, n)
	for i := range rows {
		for j, v := range data.RawRowView(i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, 0, fmt.Errorf("diffusion: Train: element (%d, %d) of the data is %g", i, j, v)
			}
			mean[j] += v / float64(rows)
		}
	}
	ss := 0.0
	for i := range rows {
		for j, v := range data.RawRowView(i) {
			ss += (v - mean[j]) * (v - mean[j])
		}
	}
	sd = math.Sqrt(ss / float64(rows*n))
	if !(sd > 0) || math.IsInf(sd, 1) {
		return nil, 0, fmt.Errorf("diffusion: Train: the standard deviation of the data is %g", sd)
	}
	return mean, sd, nil
}
