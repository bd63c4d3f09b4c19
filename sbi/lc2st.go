package sbi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// LC2STOptions are the options of [LC2ST]. A nil pointer means the defaults.
type LC2STOptions struct {
	// Nulls is the number of classifiers trained on shuffled labels. If Nulls
	// is 0, it will be defaulted to 100.
	Nulls int
	// Draws is the number of posterior draws that the statistic is averaged
	// over. If Draws is 0, it will be defaulted to 1000.
	Draws    int
	Workers  int         // 0 means GOMAXPROCS
	Src      rand.Source // nil means a freshly seeded one
	Progress func(done, total int)
}

// LC2STResult is the outcome of [LC2ST].
type LC2STResult struct {
	// Statistic is the mean of (c(θ, y) - 1/2)² over posterior draws given y,
	// with the classifier c that tells learned from true pairs: 0 if the
	// posterior is right there, 1/4 at most.
	Statistic float64
	Null      []float64 // of classifiers trained on shuffled labels
	PValue    float64   // the share of Null, and of Statistic itself, that is at least Statistic
}

// String gives the statistic, its p-value and a verdict.
func (r *LC2STResult) String() string {
	verdict := "no sign of error for these data"
	if r.PValue < 0.05 {
		verdict = "the sampler is wrong for these data"
	}
	return fmt.Sprintf("local C2ST %.3g (p = %.2g): %s", r.Statistic, r.PValue, verdict)
}

// LC2ST is the local classifier two-sample test (Linhart, Gramfort and
// Rodrigues, 2023): a test of an amortised sampler for the data y at hand, where
// [SBC] is one on average. A classifier, that of [C2ST] but stopped early by a tenth of the rows, learns to tell the pairs
// (θ, y) of the table from pairs with θ drawn by the sampler given the same y; at
// the observed y it should then be undecided. The simulations must not be those
// that the sampler was trained on.
func LC2ST(ctx context.Context, table *Table, infer Infer, y []float64, opt *LC2STOptions) (*LC2STResult, error) {
	o := LC2STOptions{}
	if opt != nil {
		o = *opt
	}
	if o.Nulls == 0 {
		o.Nulls = 100
	}
	if o.Draws == 0 {
		o.Draws = 1000
	}
	if o.Nulls < 1 || o.Draws < 1 {
		return nil, fmt.Errorf("sbi: %d nulls and %d draws, want positive numbers", o.Nulls, o.Draws)
	}
	if table == nil || table.Len() == 0 || infer == nil {
		return nil, errors.New("sbi: the table is empty or infer is nil")
	}
	valid := table.Valid()
	n := valid.Len()
	if n < 100 {
		return nil, fmt.Errorf("sbi: %d valid simulations, want at least 100", n)
	}
	_, d := valid.Theta.Dims()
	_, m := valid.Y.Dims()
	if len(y) != m || !finite(y) {
		return nil, fmt.Errorf("sbi: y is %v, want %d finite numbers", y, m)
	}
	seed := rng.Seed(o.Src)

	// The pairs, learned ones below true ones, and the draws given y.
	drawn := mat.NewDense(n, d, nil)
	err := par.Each(ctx, o.Workers, n, func(i int) error {
		return drawGiven(ctx, infer, drawn.Slice(i, i+1, 0, d).(*mat.Dense), valid.Y.RawRowView(i), rng.New(seed, uint64(2+i)))
	})
	if err != nil {
		return nil, err
	}
	at := mat.NewDense(o.Draws, d, nil)
	if err := drawGiven(ctx, infer, at, y, rng.New(seed, 0)); err != nil {
		return nil, err
	}
	meanT, sdT := moments(valid.Theta)
	meanY, sdY := moments(valid.Y)
	w := d + m
	pairs, label := make([]float32, 2*n*w), make([]float32, 2*n)
	pair := func(dst []float32, theta, y []float64) {
		for j, v := range theta {
			dst[j] = float32((v - meanT[j]) / sdT[j])
		}
		for j, v := range y {
			dst[d+j] = float32((v - meanY[j]) / sdY[j])
		}
	}
	for i := range n {
		pair(pairs[i*w:(i+1)*w], valid.Theta.RawRowView(i), valid.Y.RawRowView(i))
		pair(pairs[(n+i)*w:(n+i+1)*w], drawn.RawRowView(i), valid.Y.RawRowView(i))
		label[n+i] = 1
	}
	observed := make([]float32, o.Draws*w)
	for i := range o.Draws {
		pair(observed[i*w:(i+1)*w], at.RawRowView(i), y)
	}

	stats := make([]float64, 1+o.Nulls)
	progress := par.NewProgress(len(stats), o.Progress)
	err = par.Each(ctx, o.Workers, len(stats), func(k int) error {
		r := rand.New(rng.New(seed^0x9e3779b97f4a7c15, uint64(k)))
		labels := label
		if k > 0 {
			// Under the null the two members of a pair of pairs can be
			// exchanged.
			labels = make([]float32, 2*n)
			for i := range n {
				labels[i] = float32(r.Uint64() & 1)
				labels[n+i] = 1 - labels[i]
			}
		}
		c := newClassifier(w, 10*w, r)
		if err := c.fit(ctx, pairs, labels, true, r); err != nil {
			return err
		}
		z := make([]float64, o.Draws)
		c.logits(z, observed)
		for _, v := range z {
			e := 1/(1+math.Exp(-v)) - 0.5
			stats[k] += e * e / float64(o.Draws)
		}
		progress.Add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	res := &LC2STResult{Statistic: stats[0], Null: stats[1:]}
	above := 1
	for _, v := range res.Null {
		if v >= res.Statistic {
			above++
		}
	}
	res.PValue = float64(above) / float64(o.Nulls+1)
	return res, nil
}

// drawGiven fills dst with draws given y.
func drawGiven(ctx context.Context, infer Infer, dst *mat.Dense, y []float64, src rand.Source) error {
	s, err := infer(y)
	if err != nil {
		return fmt.Errorf("sbi: infer: %w", err)
	}
	return sampleFrom(ctx, s, dst, src)
}

// sampleFrom draws with src where the sampler can.
func sampleFrom(ctx context.Context, s inverse.Sampler, dst *mat.Dense, src rand.Source) error {
	var err error
	if seeded, ok := s.(SourceSampler); ok {
		err = seeded.SampleFrom(ctx, dst, src)
	} else {
		err = s.Sample(ctx, dst)
	}
	if err != nil {
		return fmt.Errorf("sbi: sample: %w", err)
	}
	return nil
}
