package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// RegressionOptions are the options of [Regression]. A nil pointer means the
// defaults.
type RegressionOptions struct {
	// Hidden are the widths of the hidden layers of a perceptron, added to a
	// linear map. If Hidden is nil, it will be defaulted to two layers of 128;
	// if it is empty, the map is linear.
	Hidden []int
	// Quantile is the level of the conditional quantile of each parameter that
	// is learned, between 0 and 1: 0.5 is the median. If it is 0, the squared
	// loss is minimised, whose solution is the posterior mean.
	Quantile float64
	// Noise are standard deviations of Gaussian noise that is added to the data
	// of the table, anew each time: one for all data or one for each. So a
	// table of exact data A(θ) serves for every level of noise. If Noise is
	// nil, the data are taken as they are.
	Noise []float64

	// Validation is the fraction of the rows on which early stopping judges.
	// If it is 0, it will be defaulted to 0.1; if it is negative, there is no
	// validation and the last weights are the result.
	Validation float64
	Batch      int     // rows of a step; if 0, 128
	Epochs     int     // if 0, 200
	Rate       float64 // learning rate of Adam, which falls along half a cosine to 0; if 0, 1e-3
	Patience   int     // validations without improvement that end the training; if 0, 20

	Src      rand.Source // nil means a freshly seeded one
	Workers  int         // 0 means GOMAXPROCS; the result does not depend on it
	Progress func(epoch int, train, valid float64)
}

// PointEstimator is a learned map from data to parameters. It is an operator
// with a derivative, so that forward.Stability can be asked what it does to
// perturbations of the data. It gives no uncertainty, and is only as good as
// the data are like those that it was trained on; see [NewDomain].
type PointEstimator struct {
	m, n   int
	in     whitening
	mean   []float64 // of the parameters
	sd     []float64
	params *nn.Params[float64]
	linear *nn.Linear[float64]
	hidden *nn.MLP[float64] // nil for a linear map
	pool   sync.Pool        // *estimate
}

var (
	_ inverse.Differentiable = (*PointEstimator)(nil)
	_ inverse.Linearizer     = (*PointEstimator)(nil)
)

// Regression learns to invert a simulator directly: a function of the data,
// trained on the pairs of a table to have the smallest error in the
// parameters. The function is a linear map of the whitened data plus a
// perceptron of their principal components.
//
// Trained on exact data, y = A(θ), it approaches an inverse of A, and inherits
// whatever that does to noise: for a linear map and a white prior it tends to
// the pseudo-inverse, whose norm is 1/σ_min. Trained on noisy data, by the
// table or by Noise, it approaches the posterior mean E[θ|y]; for a linear map
// that is C Aᵀ(A C Aᵀ + σ²I)⁻¹, with a norm of at most 1/(2σ) where C = I.
//
// Rows of failed simulations are left out. The network works in float64.
// If training ends early, Regression returns the best map so far with the error.
func Regression(ctx context.Context, table *Table, opt *RegressionOptions) (*PointEstimator, error) {
	if opt == nil {
		opt = new(RegressionOptions)
	}
	if table == nil || table.Len() == 0 {
		return nil, errors.New("sbi: Regression: the table is empty")
	}
	valid := table.Valid()
	if valid.Len() < 10 {
		return nil, fmt.Errorf("sbi: Regression: %d of %d simulations are valid, want at least 10", valid.Len(), table.Len())
	}
	_, n := valid.Theta.Dims()
	_, m := valid.Y.Dims()
	if err := opt.check(m); err != nil {
		return nil, fmt.Errorf("sbi: Regression: %w", err)
	}
	seed := rng.Seed(opt.Src)
	fraction := opt.Validation
	switch {
	case fraction == 0:
		fraction = 0.1
	case fraction < 0:
		fraction = 0
	}
	train, held := optim.Split(valid.Len(), fraction, rng.New(seed, 0))
	e := &PointEstimator{m: m, n: n}
	if err := e.standardize(valid, train, opt.Noise); err != nil {
		return nil, fmt.Errorf("sbi: Regression: %w", err)
	}
	e.build(opt, rng.New(seed, 1))
	if err := e.params.Err(); err != nil {
		return nil, fmt.Errorf("sbi: Regression: %w", err)
	}
	err := e.train(ctx, valid, train, held, opt, seed)
	if err != nil {
		err = fmt.Errorf("sbi: Regression: %w", err)
	}
	return e, err
}

func (o *RegressionOptions) check(m int) error {
	for i, h := range o.Hidden {
		if h < 1 || h > 1<<16 {
			return fmt.Errorf("RegressionOptions.Hidden[%d] is %d, want a positive number", i, h)
		}
	}
	if !(o.Quantile >= 0 && o.Quantile < 1) {
		return fmt.Errorf("RegressionOptions.Quantile is %g, want a number between 0 and 1", o.Quantile)
	}
	if l := len(o.Noise); l > 1 && l != m {
		return fmt.Errorf("RegressionOptions.Noise has length %d, want 1 or %d, the number of data", l, m)
	}
	for i, v := range o.Noise {
		if !(v >= 0) || math.IsInf(v, 1) {
			return fmt.Errorf("RegressionOptions.Noise[%d] is %g, want a number that is not negative", i, v)
		}
	}
	if !(o.Validation < 1) {
		return fmt.Errorf("RegressionOptions.Validation is %g, want it below 1", o.Validation)
	}
	return nil
}

// standardize sets the scales of data and parameters to those of the rows.
func (e *PointEstimator) standardize(t *Table, rows []int, noise []float64) error {
	variance := make([]float64, e.m)
	if len(noise) > 0 {
		for j := range variance {
			s := noise[min(j, len(noise)-1)]
			variance[j] = s * s
		}
	}
	var err error
	if e.in, err = newWhitening(t.Y, rows, variance); err != nil {
		return err
	}
	e.mean, e.sd = make([]float64, e.n), make([]float64, e.n)
	for j := range e.n {
		for _, i := range rows {
			e.mean[j] += t.Theta.At(i, j) / float64(len(rows))
		}
		for _, i := range rows {
			d := t.Theta.At(i, j) - e.mean[j]
			e.sd[j] += d * d / float64(len(rows))
		}
		if e.sd[j] = math.Sqrt(e.sd[j]); !(e.sd[j] > 1e-14*math.Abs(e.mean[j])) || math.IsInf(e.sd[j], 1) {
			return fmt.Errorf("parameter %d does not vary in the training rows: its standard deviation is %g", j, e.sd[j])
		}
	}
	return nil
}

func (e *PointEstimator) build(o *RegressionOptions, src rand.Source) {
	hidden := o.Hidden
	if hidden == nil {
		hidden = []int{128, 128}
	}
	e.params = nn.NewParams[float64](src)
	e.linear = nn.NewZeroLinear(e.params, "linear", e.in.dim(), e.n, kernel.Identity)
	if len(hidden) > 0 {
		e.hidden = nn.NewMLP(e.params, "hidden", e.in.dim(), e.n, &nn.MLPOptions{Hidden: hidden, Act: kernel.SiLU, ZeroLast: true})
	}
}

// forward returns the standardised parameters for whitened data. The perceptron
// sees them in their own proportions: directions in which the data hardly vary
// are for the linear map, which can be right about them, not for it.
func (e *PointEstimator) forward(t *autodiff.Tape[float64], z autodiff.Var) autodiff.Var {
	out := e.linear.Forward(t, z)
	if e.hidden != nil {
		_, k := t.Dims(z)
		proportions := t.Input(1, k)
		copy(t.Value(proportions), e.in.size)
		out = t.Add(out, e.hidden.Forward(t, t.Mul(z, proportions)))
	}
	return out
}

func (e *PointEstimator) train(ctx context.Context, table *Table, train, held []int, o *RegressionOptions, seed uint64) error {
	k := e.in.dim()
	z, theta := make([]float64, table.Len()*k), make([]float64, table.Len()*e.n)
	e.in.apply(z, table.Y, make([]float64, table.Len()*e.m))
	for i := range table.Len() {
		for j, v := range table.Theta.RawRowView(i) {
			theta[i*e.n+j] = (v - e.mean[j]) / e.sd[j]
		}
	}
	loss := func(t *autodiff.Tape[float64], b *optim.Block) autodiff.Var {
		in := t.InputRows(z, k, b.Rows)
		if o.Noise != nil {
			e.addNoise(t.Value(in), len(b.Rows), o.Noise, b.Src)
		}
		d := t.Sub(t.InputRows(theta, e.n, b.Rows), e.forward(t, in))
		if o.Quantile == 0 {
			return t.RowSums(t.Square(d))
		}
		// The pinball loss max(τd, (τ-1)d) = |d|/2 + (τ - 1/2)d.
		return t.RowSums(t.Add(t.Scale(0.5, t.Abs(d)), t.Scale(o.Quantile-0.5, d)))
	}
	s := &optim.Settings{
		Batch: o.Batch, Epochs: o.Epochs, Patience: o.Patience, Workers: o.Workers,
		Adam: optim.Adam{Rate: o.Rate}, Schedule: optim.Cosine{}, Src: rng.New(seed, 2),
	}
	if s.Epochs == 0 {
		s.Epochs = 200
	}
	if s.Patience == 0 {
		s.Patience = 20
	}
	if len(held) == 0 {
		s.Patience = 0
	}
	if o.Progress != nil {
		s.Progress = func(p optim.Progress) { o.Progress(p.Epoch, p.Train, p.Valid) }
	}
	tr, err := optim.NewTrainer(e.params.Values, loss, train, held, s)
	if err != nil {
		return err
	}
	_, err = tr.Run(ctx)
	return err
}

// addNoise adds to the whitened rows the image of noise of the data.
func (e *PointEstimator) addNoise(z []float64, rows int, sigma []float64, src rand.Source) {
	k := e.in.dim()
	noise, image := make([]float64, rows*e.m), make([]float64, rows*k)
	rng.FillNormal(noise, src)
	for i := range noise {
		noise[i] *= sigma[min(i%e.m, len(sigma)-1)]
	}
	e.in.scale(image, noise, rows)
	floats.Add(z, image)
}

// Dims returns the number of parameters and that of data: of the map from data
// to parameters.
func (e *PointEstimator) Dims() (params, data int) { return e.n, e.m }

// Estimate returns the estimate for one vector of data.
func (e *PointEstimator) Estimate(y []float64) []float64 {
	if len(y) != e.m {
		panic(fmt.Sprintf("sbi: y has length %d, want %d", len(y), e.m))
	}
	dst := mat.NewDense(1, e.n, nil)
	e.Apply(dst, mat.NewDense(1, e.m, append([]float64(nil), y...)))
	return dst.RawRowView(0)
}

// Apply sets the rows of dst to the estimates for the rows of y.
func (e *PointEstimator) Apply(dst, y *mat.Dense) {
	w := e.workspace()
	w.apply(dst, y, false)
	e.pool.Put(w)
}

// VJP sets the rows of dst to J(y_i)ᵀu_i for the rows of y and u.
func (e *PointEstimator) VJP(dst, y, u *mat.Dense) {
	w := e.workspace()
	r, _ := y.Dims()
	w.apply(mat.NewDense(r, e.n, nil), y, true)
	w.VJP(dst, u)
	e.pool.Put(w)
}

// Linearize returns a workspace for estimates and their derivative.
func (e *PointEstimator) Linearize() inverse.Linearization { return &estimate{e: e} }

func (e *PointEstimator) workspace() *estimate {
	if w, ok := e.pool.Get().(*estimate); ok {
		return w
	}
	return &estimate{e: e}
}

// estimate is the map at the rows of its last input.
type estimate struct {
	e       *PointEstimator
	tape    autodiff.Tape[float64]
	in, out autodiff.Var
	cot     []float64
	scratch []float64
}

// Apply implements inverse.Linearization.
func (w *estimate) Apply(dst, y *mat.Dense) { w.apply(dst, y, true) }

func (w *estimate) apply(dst, y *mat.Dense, differentiable bool) {
	e := w.e
	r, m := y.Dims()
	if dr, dc := dst.Dims(); m != e.m || dr != r || dc != e.n {
		panic(fmt.Sprintf("sbi: dst is %d×%d and y %d×%d, want rows of %d and %d", dr, dc, r, m, e.n, e.m))
	}
	k := e.in.dim()
	w.tape.Reset(e.params.Values, nil)
	if differentiable {
		w.in = w.tape.Variable(r, k)
	} else {
		w.in = w.tape.Input(r, k)
	}
	e.in.apply(w.tape.Value(w.in), y, w.data(r))
	w.out = e.forward(&w.tape, w.in)
	v := w.tape.Value(w.out)
	for i := range r {
		row := dst.RawRowView(i)
		for j := range row {
			row[j] = e.mean[j] + e.sd[j]*v[i*e.n+j]
		}
	}
}

// VJP implements inverse.Linearization.
func (w *estimate) VJP(dst, u *mat.Dense) {
	e := w.e
	r, _ := u.Dims()
	if cap(w.cot) < r*e.n {
		w.cot = make([]float64, r*e.n)
	}
	cot, data := w.cot[:r*e.n], w.data(r)
	for i := range r {
		for j, v := range u.RawRowView(i) {
			cot[i*e.n+j] = e.sd[j] * v
		}
	}
	w.tape.Pullback(w.out, cot)
	g := w.tape.Grad(w.in)
	if g == nil {
		clear(data)
	} else {
		e.in.scaleT(data, g, r)
	}
	for i := range r {
		dst.SetRow(i, data[i*e.m:(i+1)*e.m])
	}
}

// data returns scratch for r rows of data.
func (w *estimate) data(r int) []float64 {
	if cap(w.scratch) < r*w.e.m {
		w.scratch = make([]float64, r*w.e.m)
	}
	return w.scratch[:r*w.e.m]
}
