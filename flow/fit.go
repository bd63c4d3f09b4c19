package flow

import (
	"context"
	"errors"
	"fmt"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
	"github.com/go-inverse/inverse/internal/rng"
)

// Fit trains a conditional density q(x|y) of the architecture a on the pairs
// of rows of x (n×dx) and y (n×dy); y is nil for a density q(x) without
// conditions. Both are standardised by the means and standard deviations of
// the training rows, but for the x of mass functions, [MADE] and [Counts], which
// are left as they are. For an architecture that is a density the loss is the
// mean of -log q(x|y), minimised by Adam with early stopping.
//
// Options nil means the defaults. The same Src gives the same flow, bit for
// bit, for any number of workers.
//
// The error names a column without spread, a row with NaN, infinite numbers,
// what is no bit for MADE or no count for Counts, or outside of
// Options.Transform's set, or an option that is wrong. If training ends early,
// by ctx, by a [NonFiniteError] or by an error of Checkpoint, Fit returns that
// error together with the best flow so far.
func Fit(ctx context.Context, a Architecture, x, y *mat.Dense, options *FitOptions) (*Flow, error) {
	if options == nil {
		options = &FitOptions{}
	}
	if a == nil || x == nil {
		return nil, errors.New("flow: Fit needs an architecture and x")
	}
	f, err := newFlow(a, x, y, options)
	if err != nil {
		return nil, err
	}
	o := options.withDefaults(f.arch.training())
	run := &run{flow: f, options: &o, seed: rng.Seed(o.Src)}
	if o.Resume != nil || o.Checkpoint != nil {
		if err := run.fingerprint(x, y); err != nil {
			return nil, err
		}
	}
	if o.Resume != nil {
		if err := run.readHeader(); err != nil {
			return nil, err
		}
	}
	n, _ := x.Dims()
	if run.train, run.valid, err = o.split(n, rng.New(run.seed, streamSplit)); err != nil {
		return nil, err
	}
	u, err := f.unconstrained(x)
	if err != nil {
		return nil, err
	}
	if err := run.checkObjective(n); err != nil {
		return nil, err
	}
	if o.Start != nil {
		f.xs, f.ys, f.trend, f.logScale = o.Start.xs, o.Start.ys, o.Start.trend, o.Start.logScale
	} else if err := f.scale(u, y, run.train, o.Regress); err != nil {
		return nil, err
	}
	if o.Float64 {
		err = fit[float64](ctx, run, u, y)
	} else {
		err = fit[float32](ctx, run, u, y)
	}
	if f.net == nil {
		return nil, err
	}
	run.evaluate(x, y)
	return f, err
}

// run is a training under way.
type run struct {
	flow         *Flow
	options      *FitOptions
	seed         uint64
	print        string // fingerprint of the data and the model
	train, valid []int
}

// newFlow checks the data and returns a flow without scaling and network.
func newFlow(a Architecture, x, y *mat.Dense, o *FitOptions) (*Flow, error) {
	n, dx := x.Dims()
	f := &Flow{dx: dx, du: dx, transform: o.Transform, embedding: o.Embedding, float64s: o.Float64}
	if err := checkFinite("x", x); err != nil {
		return nil, err
	}
	if y != nil && !y.IsEmpty() {
		var rows int
		if rows, f.dy = y.Dims(); rows != n {
			return nil, fmt.Errorf("flow: x has %d rows and y has %d", n, rows)
		}
		if err := checkFinite("y", y); err != nil {
			return nil, err
		}
	}
	if d, ok := a.(discrete); ok {
		if err := d.check(x, o); err != nil {
			return nil, err
		}
	}
	if o.Transform != nil {
		var tx int
		if tx, f.du = o.Transform.Dims(); tx != dx {
			return nil, fmt.Errorf("flow: x has %d columns and Transform is of %d variables", dx, tx)
		}
	}
	return f, f.resolve(a)
}

// resolve sets the architecture and the embedding, with defaults.
func (f *Flow) resolve(a Architecture) (err error) {
	if f.embedding != nil {
		if f.dy == 0 {
			return errors.New("flow: there is an Embedding but no y")
		}
		if f.embedding, err = f.embedding.resolve(f.dy); err != nil {
			return err
		}
	}
	f.arch, err = a.resolve(f.du, f.contexts())
	return err
}

// contexts returns the number of features that the network gets.
func (f *Flow) contexts() int {
	if f.embedding == nil {
		return f.dy
	}
	c, _ := f.embedding.dims(f.dy)
	return c
}

func checkFinite(name string, x *mat.Dense) error {
	rows, _ := x.Dims()
	for i := range rows {
		if j := notFinite(x.RawRowView(i)); j >= 0 {
			return fmt.Errorf("flow: row %d of %s has %g in column %d", i, name, x.At(i, j), j)
		}
	}
	return nil
}

// unconstrained returns x in unconstrained coordinates.
func (f *Flow) unconstrained(x *mat.Dense) (*mat.Dense, error) {
	if f.transform == nil {
		return x, nil
	}
	rows, _ := x.Dims()
	u := mat.NewDense(rows, f.du, nil)
	for i := range rows {
		if err := f.transform.Unconstrain(u.RawRowView(i), x.RawRowView(i)); err != nil {
			return nil, fmt.Errorf("flow: row %d of x is outside of Transform's set: %w", i, err)
		}
	}
	return u, nil
}

// scale sets the scalings and the trend from the training rows.
func (f *Flow) scale(u, y *mat.Dense, train []int, regress bool) (err error) {
	name := "x"
	if f.transform != nil {
		name = "the unconstrained x"
	}
	if _, ok := f.arch.(discrete); ok {
		f.xs = identity(f.du)
	} else if f.xs, err = newScaling(name, u, train, f.du); err != nil {
		return err
	}
	f.logScale = f.xs.logDet()
	if f.dy > 0 {
		period := f.dy
		if f.embedding != nil {
			_, period = f.embedding.dims(f.dy)
		}
		if f.ys, err = newScaling("y", y, train, period); err != nil {
			return err
		}
	}
	if regress && f.dy > 0 {
		if f.trend, err = newTrend(u, y, f.xs, f.ys, train); err != nil {
			return err
		}
		f.logScale += f.trend.logDet()
	}
	return nil
}

// build adds the network and the embedding, if there is one, to p.
func build[T kernel.Float](f *Flow, p *nn.Params[T]) (net network[T], embed encoder[T]) {
	switch p := any(p).(type) {
	case *nn.Params[float32]:
		net = any(f.arch.build32(p, f.du, f.contexts())).(network[T])
		if f.embedding != nil {
			embed = any(f.embedding.build32(p, f.dy)).(encoder[T])
		}
	case *nn.Params[float64]:
		net = any(f.arch.build64(p, f.du, f.contexts())).(network[T])
		if f.embedding != nil {
			embed = any(f.embedding.build64(p, f.dy)).(encoder[T])
		}
	}
	return net, embed
}

// fit trains the network and sets f.net, unless training could not begin.
func fit[T kernel.Float](ctx context.Context, r *run, u, y *mat.Dense) error {
	f := r.flow
	p := nn.NewParams[T](rng.New(r.seed, streamInit))
	net, embed := build(f, p)
	if err := p.Err(); err != nil {
		return err
	}
	if i, ok := net.(initializer[T]); ok {
		i.initialize(p)
	}
	if m, ok := net.(measurer[T]); ok {
		m.measure(p, u, r.train)
	}
	if start := r.options.Start; start != nil {
		copy(p.Values, start.net.(*evaluator[T]).params.Values)
	}
	xs, ys := standardized[T](f, u, y)
	objective := newObjective(r, net, xs)
	loss := func(t *autodiff.Tape[T], b *optim.Block) autodiff.Var {
		var c autodiff.Var
		if f.dy > 0 {
			c = t.InputRows(ys, f.dy, b.Rows)
		}
		if embed != nil {
			c = embed.encode(t, c)
		}
		return objective(t, b, c)
	}
	s, err := r.options.settings(len(r.train), len(r.valid), f.arch.training(), r.seed)
	if err != nil {
		return err
	}
	r.checkpoint(s)
	tr, err := optim.NewTrainer(p.Values, loss, r.train, r.valid, s)
	if err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	if c, ok := net.(projector[T]); ok {
		tr.AfterStep = c.project
	}
	if r.options.Resume != nil {
		if err := tr.Load(r.options.Resume); err != nil {
			return fmt.Errorf("flow: Resume: %w", err)
		}
	}
	report, err := tr.Run(ctx)
	var bad *optim.NonFiniteError
	switch {
	case errors.As(err, &bad):
		err = &NonFiniteError{bad.What, bad.Step, bad.Loss}
	case err != nil:
		err = fmt.Errorf("flow: %w", err)
	}
	f.report = newReport(report)
	f.net = newEvaluator(p, net, embed, f.du, f.dy)
	return err
}

// standardized returns the rows of u and y, which may be nil, in the
// coordinates of the network.
func standardized[T kernel.Float](f *Flow, u, y *mat.Dense) (xs, ys []T) {
	rows, _ := u.Dims()
	xs, ys = make([]T, rows*f.du), make([]T, rows*f.dy)
	x, c := make([]float64, f.du), make([]float64, f.dy)
	for i := range rows {
		f.xs.apply(x, u.RawRowView(i))
		if f.dy > 0 {
			f.ys.apply(c, y.RawRowView(i))
			convert(ys[i*f.dy:(i+1)*f.dy], c)
		}
		f.trend.remove(x, c)
		convert(xs[i*f.du:(i+1)*f.du], x)
	}
	return xs, ys
}

// evaluate completes the report with what the trained flow gives.
func (r *run) evaluate(x, y *mat.Dense) {
	f := r.flow
	f.report.TrainRows, f.report.ValidRows = len(r.train), len(r.valid)
	f.report.Parameters = f.net.parameters()
	if len(r.valid) == 0 {
		return
	}
	vx := selectRows(x, r.valid)
	var vy *mat.Dense
	if f.dy > 0 {
		vy = selectRows(y, r.valid)
	}
	l := make([]float64, len(r.valid))
	f.LogProb(l, vx, vy)
	f.report.ValidNLL = -floats.Sum(l) / float64(len(l))
}

func selectRows(x *mat.Dense, rows []int) *mat.Dense {
	_, d := x.Dims()
	out := mat.NewDense(len(rows), d, nil)
	for i, r := range rows {
		out.SetRow(i, x.RawRowView(r))
	}
	return out
}
