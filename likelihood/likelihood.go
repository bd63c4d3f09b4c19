package likelihood

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
)

// Likelihood is p(y|x) for data y that a noise law puts around A(x), as a
// function of x. Its methods are safe for concurrent use if those of the
// operator and of the noise law are, and do not allocate once warm.
type Likelihood struct {
	op    inverse.Operator
	noise Noise
	y     []float64
	m, n  int // of the operator; len(y) is a multiple of m

	law      kernel      // what the loop evaluates:
	stat     [][]float64 // the data, or one vector of sufficient statistics
	logConst float64

	notDiff error // why there is no score
	pool    sync.Pool
}

var (
	_ inverse.DifferentiableDensity = (*Likelihood)(nil)
	_ inverse.LogProbScorer         = (*Likelihood)(nil)
)

// New returns the likelihood of x given data y = A(x) + noise, where y has
// the length m of the operator's output. The data are copied.
func New(op inverse.Operator, y []float64, noise Noise) (*Likelihood, error) {
	if op == nil {
		return nil, errors.New("likelihood: operator is nil")
	}
	m, _ := op.Dims()
	if len(y) != m {
		return nil, fmt.Errorf("likelihood: y has length %d, the operator's output %d", len(y), m)
	}
	return newLikelihood(op, [][]float64{slices.Clone(y)}, noise)
}

// NewRepeated returns the likelihood of x given independent repeats of the
// same experiment, one a row of y (k×m). Laws with sufficient statistics
// (all but [StudentT], [Laplace] and [Huber] here) cost as much as one experiment.
//
// [Likelihood.Data] is the k repeats one after another, and so is a row that
// [Likelihood.Simulate] draws.
func NewRepeated(op inverse.Operator, y *mat.Dense, noise Noise) (*Likelihood, error) {
	if op == nil {
		return nil, errors.New("likelihood: operator is nil")
	}
	if y == nil || y.IsEmpty() {
		return nil, errors.New("likelihood: y is empty")
	}
	m, _ := op.Dims()
	k, c := y.Dims()
	if c != m {
		return nil, fmt.Errorf("likelihood: y is %d×%d, the operator's output has length %d", k, c, m)
	}
	rows := make([][]float64, k)
	for i := range rows {
		rows[i] = slices.Clone(y.RawRowView(i))
	}
	return newLikelihood(op, rows, noise)
}

func newLikelihood(op inverse.Operator, y [][]float64, noise Noise) (*Likelihood, error) {
	if noise == nil {
		return nil, errors.New("likelihood: noise is nil")
	}
	m, n := op.Dims()
	if m <= 0 || n <= 0 {
		return nil, fmt.Errorf("likelihood: the operator is %d×%d", m, n)
	}
	for k, row := range y {
		for i, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, repeatError(k, len(y), fmt.Errorf("likelihood: y[%d] is %g", i, v))
			}
		}
		if err := noise.Check(row); err != nil {
			return nil, repeatError(k, len(y), err)
		}
	}
	l := &Likelihood{op: op, noise: noise, y: slices.Concat(y...), m: m, n: n, law: noise, stat: y}
	if s, ok := noise.(sufficient); ok {
		var stat []float64
		l.law, stat, l.logConst = s.reduce(y)
		l.stat = [][]float64{stat}
	}
	lin, err := forward.Linearize(op)
	if err != nil {
		l.notDiff = fmt.Errorf("likelihood: no score: %w", err)
	} else {
		l.pool.Put(&workspace{lin: lin})
	}
	return l, nil
}

func repeatError(k, of int, err error) error {
	if of == 1 {
		return err
	}
	return fmt.Errorf("%w (in row %d of the repeats)", err, k)
}

// Dim returns the dimension n of x.
func (l *Likelihood) Dim() int { return l.n }

// Operator returns the forward operator A.
func (l *Likelihood) Operator() inverse.Operator { return l.op }

// Noise returns the law of the noise.
func (l *Likelihood) Noise() Noise { return l.noise }

// Data returns the data y. The caller must not modify the slice.
func (l *Likelihood) Data() []float64 { return l.y }

// Differentiable returns nil if the likelihood has a score, and otherwise an
// error that says what the operator lacks.
func (l *Likelihood) Differentiable() error { return l.notDiff }

// LogProb returns log p(y|x), normalised as a density in y. It is -Inf, never
// NaN, where the data cannot be explained or A(x) cannot be evaluated.
func (l *Likelihood) LogProb(x []float64) float64 {
	checkLen("x", x, l.n)
	w := l.workspace(1)
	defer l.pool.Put(w)
	wrap(&w.x, x, 1, l.n)
	l.op.Apply(&w.f, &w.x)
	return l.logProbScore(w, w.g.RawRowView(0), w.f.RawRowView(0))
}

// ScoreInput stores the gradient of log p(y|x) with respect to x in score and
// returns it; a nil score is allocated. It is zero where LogProb is -Inf.
//
// It panics if the operator is not differentiable; see
// [Likelihood.Differentiable].
func (l *Likelihood) ScoreInput(score, x []float64) []float64 {
	if score == nil {
		score = make([]float64, l.n)
	}
	l.LogProbScore(score, x)
	return score
}

// LogProbScore stores the gradient of log p(y|x) in score, which is not nil,
// and returns log p(y|x). The operator is evaluated once.
//
// Where the operator can be evaluated but not differentiated (its VJP is not
// finite) it returns -Inf and a score of zero, although LogProb is finite.
// It panics if the operator is not differentiable; see
// [Likelihood.Differentiable].
func (l *Likelihood) LogProbScore(score, x []float64) float64 {
	checkLen("score", score, l.n)
	checkLen("x", x, l.n)
	w := l.linearized(1)
	defer l.pool.Put(w)
	wrap(&w.x, x, 1, l.n)
	wrap(&w.score, score, 1, l.n)
	w.lin.Apply(&w.f, &w.x)
	g := w.g.RawRowView(0)
	p := l.logProbScore(w, g, w.f.RawRowView(0))
	if math.IsInf(p, -1) {
		clear(score)
		return p
	}
	w.lin.VJP(&w.score, &w.g)
	return admit(score, p)
}

// LogProbs sets dst[i] to log p(y|x_i) for the rows x_i of x (r×n).
func (l *Likelihood) LogProbs(dst []float64, x *mat.Dense) {
	r := l.checkBatch(x)
	checkLen("dst", dst, r)
	w := l.workspace(r)
	defer l.pool.Put(w)
	l.op.Apply(&w.f, x)
	for i := range r {
		dst[i] = l.logProbScore(w, w.g.RawRowView(i), w.f.RawRowView(i))
	}
}

// Scores sets row i of dst (r×n) to the gradient of log p(y|x) at row i of x
// (r×n), and logProb[i] to log p(y|x_i); a nil logProb is not computed. It
// follows the rules of LogProbScore, row by row.
func (l *Likelihood) Scores(dst *mat.Dense, logProb []float64, x *mat.Dense) {
	r := l.checkBatch(x)
	if dr, dc := dst.Dims(); dr != r || dc != l.n {
		panic(fmt.Sprintf("likelihood: dst is %d×%d, x %d×%d", dr, dc, r, l.n))
	}
	w := l.linearized(r)
	defer l.pool.Put(w)
	if logProb == nil {
		logProb = w.p[:r]
	}
	checkLen("logProb", logProb, r)
	w.lin.Apply(&w.f, x)
	for i := range r {
		g := w.g.RawRowView(i)
		logProb[i] = l.logProbScore(w, g, w.f.RawRowView(i))
		if math.IsInf(logProb[i], -1) {
			clear(g)
		}
	}
	w.lin.VJP(dst, &w.g)
	for i, p := range logProb {
		score := dst.RawRowView(i)
		if math.IsInf(p, -1) {
			clear(score)
			continue
		}
		logProb[i] = admit(score, p)
	}
}

// Simulate draws new data for each row of x (r×n): row i of dst, which has
// the length of Data, is a draw of y given x_i. Each row has its own random
// stream, derived from one number of src (nil means a fresh seed), so that a
// row does not depend on what the others drew.
//
// Where the law has no draw, because A(x_i) could not be evaluated or is
// outside of its range, the row is NaN and the error names the first such
// row. The other rows are valid.
func (l *Likelihood) Simulate(dst, x *mat.Dense, src rand.Source) error {
	r := l.checkBatch(x)
	if dr, dc := dst.Dims(); dr != r || dc != len(l.y) {
		panic(fmt.Sprintf("likelihood: dst is %d×%d, want %d×%d", dr, dc, r, len(l.y)))
	}
	w := l.workspace(r)
	defer l.pool.Put(w)
	l.op.Apply(&w.f, x)
	seed := rng.Seed(src)
	var err error
	for i := range r {
		stream := rng.New(seed, uint64(i))
		row, f := dst.RawRowView(i), w.f.RawRowView(i)
		for k := 0; k < len(row); k += l.m {
			l.noise.Rand(row[k:k+l.m], f, stream)
		}
		if j := slices.IndexFunc(row, math.IsNaN); j >= 0 {
			if err == nil {
				err = fmt.Errorf("likelihood: row %d of x: no data can be drawn: component %d of A(x) is %g", i, j%l.m, f[j%l.m])
			}
			for j := range row {
				row[j] = math.NaN()
			}
		}
	}
	return err
}

// logProbScore stores the gradient with respect to f in g and returns
// log p(y|f), with -Inf for NaN.
func (l *Likelihood) logProbScore(w *workspace, g, f []float64) float64 {
	p := l.logConst + l.law.LogProbScore(g, l.stat[0], f)
	for _, y := range l.stat[1:] {
		p += l.law.LogProbScore(w.tmp, y, f)
		for i, v := range w.tmp {
			g[i] += v
		}
	}
	if math.IsNaN(p) {
		return math.Inf(-1)
	}
	return p
}

// admit returns p, or -Inf if the score is not finite, which it clears.
func admit(score []float64, p float64) float64 {
	if sum := floats.Sum(score); sum-sum == 0 { // nothing in it is infinite or NaN
		return p
	}
	for _, v := range score {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			clear(score)
			return math.Inf(-1)
		}
	}
	return p
}

// workspace is the scratch of one call.
type workspace struct {
	lin      inverse.Linearization // nil until a score is wanted
	x, score mat.Dense             // headers on the caller's vectors
	f, g     mat.Dense             // A(x) and the gradient with respect to it
	buf      []float64             // behind f and g
	p, tmp   []float64
}

func (l *Likelihood) workspace(r int) *workspace {
	w, _ := l.pool.Get().(*workspace)
	if w == nil {
		w = new(workspace)
	}
	if len(w.p) < r {
		w.buf = make([]float64, 2*r*l.m)
		w.p = make([]float64, r)
	}
	if w.tmp == nil && len(l.stat) > 1 {
		w.tmp = make([]float64, l.m)
	}
	wrap(&w.f, w.buf[:r*l.m], r, l.m)
	wrap(&w.g, w.buf[r*l.m:2*r*l.m], r, l.m)
	return w
}

func (l *Likelihood) linearized(r int) *workspace {
	if l.notDiff != nil {
		panic(l.notDiff.Error())
	}
	w := l.workspace(r)
	if w.lin == nil {
		w.lin, _ = forward.Linearize(l.op) // New has tried it
	}
	return w
}

// wrap makes d an r×c matrix on data, without a copy.
func wrap(d *mat.Dense, data []float64, r, c int) {
	d.SetRawMatrix(blas64.General{Rows: r, Cols: c, Stride: c, Data: data})
}

func (l *Likelihood) checkBatch(x *mat.Dense) (r int) {
	r, c := x.Dims()
	if c != l.n {
		panic(fmt.Sprintf("likelihood: x is %d×%d, the operator takes vectors of length %d", r, c, l.n))
	}
	return r
}

func checkLen(name string, s []float64, want int) {
	if len(s) != want {
		panic(fmt.Sprintf("likelihood: %s has length %d, want %d", name, len(s), want))
	}
}
