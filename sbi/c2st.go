package sbi

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse/internal/par"
	"github.com/go-inverse/inverse/internal/rng"
)

// C2STOptions are the options of [C2ST]. A nil pointer means the defaults.
type C2STOptions struct {
	Folds    int         // of the cross-validation; 5 if 0
	Src      rand.Source // nil means a freshly seeded one
	Workers  int         // folds trained at a time; 0 means GOMAXPROCS
	Progress func(done, total int)
}

// C2STResult is the outcome of [C2ST].
type C2STResult struct {
	Accuracy float64   // mean over the folds; 0.5 if the samples cannot be told apart, 1 if always
	SE       float64   // standard error of Accuracy, from the spread over the folds
	Folds    []float64 // the accuracy in each fold
	PValue   float64   // of so high an accuracy for samples of one distribution
}

// String gives the accuracy, its standard error and a verdict.
func (r *C2STResult) String() string {
	verdict := "the samples cannot be told apart"
	if r.PValue < 0.01 {
		verdict = "the samples differ"
	}
	return fmt.Sprintf("C2ST %.3f ± %.3f (p = %.2g): %s", r.Accuracy, r.SE, r.PValue, verdict)
}

// C2ST is the classifier two-sample test (Lopez-Paz and Oquab, 2017): the
// cross-validated accuracy with which a classifier tells rows of q from rows of
// the reference p.
//
// It is defined as in the sbibm benchmark (Lueckmann et al., 2021), whose
// published tables it can be compared with: both samples are standardised by
// the mean and standard deviation of p; the classifier is a perceptron with two
// hidden layers of 10 d ReLUs, trained with the defaults of scikit-learn's
// MLPClassifier; the accuracy is the mean over 5 folds. The tables are for
// 10,000 rows each, in the space of the parameters themselves; fewer rows give
// other numbers. Samples of different sizes are an error, as the accuracy would
// then not be 0.5 for equal distributions.
func C2ST(ctx context.Context, p, q *mat.Dense, opt *C2STOptions) (*C2STResult, error) {
	if opt == nil {
		opt = new(C2STOptions)
	}
	n, d, err := checkSamples(p, q)
	if err != nil {
		return nil, err
	}
	if rows, _ := q.Dims(); rows != n {
		return nil, fmt.Errorf("sbi: C2ST of samples of %d and %d rows, want as many", n, rows)
	}
	folds := opt.Folds
	if folds == 0 {
		folds = 5
	}
	if folds < 2 || folds > n {
		return nil, fmt.Errorf("sbi: %d folds of samples of %d rows", folds, n)
	}
	x := make([]float32, 2*n*d)
	mean, sd := moments(p)
	standardize(x[:n*d], p, mean, sd)
	standardize(x[n*d:], q, mean, sd)
	label := make([]float32, 2*n)
	for i := n; i < 2*n; i++ {
		label[i] = 1
	}
	seed := rng.Seed(opt.Src)
	order := rand.New(rng.New(seed, 0)).Perm(2 * n)
	progress := par.NewProgress(folds, opt.Progress)
	res := &C2STResult{Folds: make([]float64, folds)}
	err = par.Each(ctx, opt.Workers, folds, func(k int) error {
		var trainX, trainLabel, testX, testLabel []float32
		lo, hi := k*2*n/folds, (k+1)*2*n/folds
		for i, j := range order {
			if i >= lo && i < hi {
				testX, testLabel = append(testX, x[j*d:(j+1)*d]...), append(testLabel, label[j])
			} else {
				trainX, trainLabel = append(trainX, x[j*d:(j+1)*d]...), append(trainLabel, label[j])
			}
		}
		r := rand.New(rng.New(seed, uint64(1+k)))
		c := newClassifier(d, 10*d, r)
		if err := c.fit(ctx, trainX, trainLabel, false, r); err != nil {
			return err
		}
		z := make([]float64, len(testLabel))
		c.logits(z, testX)
		var right int
		for i, t := range testLabel {
			if (z[i] > 0) == (t == 1) {
				right++
			}
		}
		res.Folds[k] = float64(right) / float64(len(z))
		progress.Add(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	res.Accuracy, res.SE = stat.MeanStdDev(res.Folds, nil)
	res.SE /= math.Sqrt(float64(folds))
	res.PValue = distuv.UnitNormal.Survival((res.Accuracy - 0.5) * math.Sqrt(float64(8*n)))
	return res, nil
}

// checkSamples returns the dimensions of p, which q must share but for the
// number of rows.
func checkSamples(p, q *mat.Dense) (n, d int, err error) {
	if p == nil || q == nil || p.IsEmpty() || q.IsEmpty() {
		return 0, 0, fmt.Errorf("sbi: a sample is empty")
	}
	n, d = p.Dims()
	rows, c := q.Dims()
	if c != d {
		panic(fmt.Sprintf("sbi: samples of shapes %d×%d and %d×%d", n, d, rows, c))
	}
	if n < 2 || rows < 2 {
		return 0, 0, fmt.Errorf("sbi: samples of %d and %d rows, want at least 2", n, rows)
	}
	for _, s := range []*mat.Dense{p, q} {
		r, _ := s.Dims()
		for i := range r {
			if !finite(s.RawRowView(i)) {
				return 0, 0, fmt.Errorf("sbi: row %d of a sample is %v", i, s.RawRowView(i))
			}
		}
	}
	return n, d, nil
}

// moments returns the mean and standard deviation of the columns; that of a
// constant column is 1.
func moments(p *mat.Dense) (mean, sd []float64) {
	n, d := p.Dims()
	mean, sd = make([]float64, d), make([]float64, d)
	col := make([]float64, n)
	for j := range d {
		mat.Col(col, j, p)
		mean[j], sd[j] = stat.MeanStdDev(col, nil)
		if !(sd[j] > 1e-14*math.Abs(mean[j])) {
			sd[j] = 1
		}
	}
	return mean, sd
}

func standardize(dst []float32, p *mat.Dense, mean, sd []float64) {
	n, d := p.Dims()
	for i := range n {
		for j, v := range p.RawRowView(i) {
			dst[i*d+j] = float32((v - mean[j]) / sd[j])
		}
	}
}
