package likelihood

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats/scalar"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
)

// softplusOp is A(x)_i = log(1 + exp(w_i·x)) + 0.1, which is positive. It
// fails, filling rows with NaN, where x[0] > 10.
type softplusOp struct{ w *mat.Dense }

func newSoftplusOp(m, n int) softplusOp {
	w := mat.NewDense(m, n, nil)
	rng.FillNormal(w.RawMatrix().Data, rng.New(1, 0))
	return softplusOp{w}
}

func (o softplusOp) Dims() (m, n int) { return o.w.Dims() }

func (o softplusOp) Apply(dst, x *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		xi, f := x.RawRowView(i), dst.RawRowView(i)
		for j := range f {
			f[j] = math.Log1p(math.Exp(dot(o.w.RawRowView(j), xi))) + 0.1
			if xi[0] > 10 {
				f[j] = math.NaN()
			}
		}
	}
}

func (o softplusOp) VJP(dst, x, y *mat.Dense) {
	r, _ := x.Dims()
	for i := range r {
		xi, out := x.RawRowView(i), dst.RawRowView(i)
		clear(out)
		for j, v := range y.RawRowView(i) {
			w := o.w.RawRowView(j)
			s := v / (1 + math.Exp(-dot(w, xi)))
			for k := range out {
				out[k] += s * w[k]
			}
		}
		if xi[0] > 9 {
			out[0] = math.NaN()
		}
	}
}

func dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// valueOnly hides every capability but Apply.
type valueOnly struct{ inverse.Operator }

const testM, testN = 5, 3

func covariance(m int) *mat.SymDense {
	c := mat.NewSymDense(m, nil)
	for i := range m {
		for j := i; j < m; j++ {
			c.SetSym(i, j, 0.3*math.Exp(-math.Abs(float64(i-j))/2)*float64(1+i)/float64(m)*float64(1+j)/float64(m))
		}
	}
	return c
}

// laws returns every law, with data for it from a draw at x = (0.3, -0.5, 0.2).
func laws(tb testing.TB) map[string]Noise {
	diag, err := NewNormal(0.1, 0.2, 0.3, 0.4, 0.5)
	if err != nil {
		tb.Fatal(err)
	}
	full, err := NewNormalCov(covariance(testM))
	if err != nil {
		tb.Fatal(err)
	}
	iid, err := NewNormal(0.7)
	if err != nil {
		tb.Fatal(err)
	}
	return map[string]Noise{
		"Normal":         iid,
		"NormalDiag":     diag,
		"NormalCov":      full,
		"StudentT":       StudentT{Nu: 3.5, Scale: 0.4},
		"Laplace":        Laplace{Scale: 0.3},
		"Huber":          Huber{Scale: 0.4},
		"HuberNarrow":    Huber{Scale: 0.5, Delta: 0.2},
		"Poisson":        Poisson{},
		"PoissonLog":     Poisson{Exposure: []float64{1, 2, 3, 4, 5}, Log: true},
		"BernoulliLogit": BernoulliLogit{},
		"LogNormal":      LogNormal{Sigma: 0.4},
	}
}

var xTrue = []float64{0.3, -0.5, 0.2}

func draw(noise Noise, op inverse.Operator, seed uint64) []float64 {
	m, n := op.Dims()
	f := mat.NewDense(1, m, nil)
	op.Apply(f, mat.NewDense(1, n, append([]float64(nil), xTrue...)))
	y := make([]float64, m)
	noise.Rand(y, f.RawRowView(0), rng.New(seed, 0))
	return y
}

func eachLaw(t *testing.T, f func(t *testing.T, noise Noise, l *Likelihood)) {
	op := newSoftplusOp(testM, testN)
	for name, noise := range laws(t) {
		t.Run(name, func(t *testing.T) {
			l, err := New(op, draw(noise, op, 3), noise)
			if err != nil {
				t.Fatal(err)
			}
			f(t, noise, l)
		})
	}
}

func TestScoreAgreesWithDifferences(t *testing.T) {
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		src := rng.New(5, 0)
		x, score := make([]float64, testN), make([]float64, testN)
		want := make([]float64, testN)
		for range 20 {
			rng.FillNormal(x, src)
			p := l.LogProbScore(score, x)
			if q := l.LogProb(x); !scalar.EqualWithinAbsOrRel(p, q, 1e-13, 1e-13) {
				t.Errorf("LogProbScore returns %g, LogProb %g", p, q)
			}
			fd.Gradient(want, l.LogProb, x, &fd.Settings{Formula: fd.Central, Step: 1e-5})
			for i, w := range want {
				if !scalar.EqualWithinAbsOrRel(score[i], w, 1e-6, 1e-6) {
					t.Errorf("score[%d] = %.10g, differences %.10g", i, score[i], w)
				}
			}
		}
	})
}

func TestBatchAgreesWithSingle(t *testing.T) {
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		const r = 7
		x := mat.NewDense(r, testN, nil)
		rng.FillNormal(x.RawMatrix().Data, rng.New(6, 0))
		x.Set(2, 0, 11)  // A(x) is NaN
		x.Set(4, 0, 9.5) // its VJP is NaN
		p, q := make([]float64, r), make([]float64, r)
		scores := mat.NewDense(r, testN, nil)
		l.LogProbs(p, x)
		l.Scores(scores, q, x)
		score := make([]float64, testN)
		for i := range r {
			if want := l.LogProb(x.RawRowView(i)); p[i] != want {
				t.Errorf("LogProbs[%d] = %g, LogProb %g", i, p[i], want)
			}
			if want := l.LogProbScore(score, x.RawRowView(i)); q[i] != want {
				t.Errorf("row %d: Scores gives log probability %g, LogProbScore %g", i, q[i], want)
			}
			for j, want := range score {
				if scores.At(i, j) != want {
					t.Errorf("row %d: Scores gives %g, LogProbScore %g", i, scores.RawRowView(i), score)
				}
			}
		}
		l.Scores(scores, nil, x)
	})
}

func TestFailingOperatorIsImpossible(t *testing.T) {
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		for _, tc := range []struct {
			x0    float64
			value bool // whether A(x) can be evaluated
		}{{11, false}, {math.NaN(), false}, {9.5, true}} {
			x := []float64{tc.x0, 0, 0}
			if p := l.LogProb(x); math.IsInf(p, -1) == tc.value || math.IsNaN(p) {
				t.Errorf("x[0] = %g: LogProb = %g", tc.x0, p)
			}
			score := []float64{1, 2, 3}
			if p := l.LogProbScore(score, x); !math.IsInf(p, -1) {
				t.Errorf("x[0] = %g: LogProbScore = %g", tc.x0, p)
			}
			for _, v := range score {
				if v != 0 {
					t.Errorf("x[0] = %g: score %g, want zeros", tc.x0, score)
				}
			}
		}
	})
}

func TestRepeats(t *testing.T) {
	op := newSoftplusOp(testM, testN)
	const k = 4
	for name, noise := range laws(t) {
		t.Run(name, func(t *testing.T) {
			y := mat.NewDense(k, testM, nil)
			var single [k]*Likelihood
			for i := range k {
				y.SetRow(i, draw(noise, op, uint64(i)))
				l, err := New(op, y.RawRowView(i), noise)
				if err != nil {
					t.Fatal(err)
				}
				single[i] = l
			}
			l, err := NewRepeated(op, y, noise)
			if err != nil {
				t.Fatal(err)
			}
			x, got, tmp := make([]float64, testN), make([]float64, testN), make([]float64, testN)
			rng.FillNormal(x, rng.New(8, 0))
			var want float64
			wantScore := make([]float64, testN)
			for _, s := range single {
				want += s.LogProbScore(tmp, x)
				for i, v := range tmp {
					wantScore[i] += v
				}
			}
			if p := l.LogProbScore(got, x); !scalar.EqualWithinRel(p, want, 1e-12) {
				t.Errorf("log probability of %d repeats %.15g, sum of single ones %.15g", k, p, want)
			}
			for i := range got {
				if !scalar.EqualWithinAbsOrRel(got[i], wantScore[i], 1e-11, 1e-11) {
					t.Errorf("score %g, sum of single ones %g", got, wantScore)
				}
			}
			if len(l.Data()) != k*testM {
				t.Errorf("Data has length %d", len(l.Data()))
			}
			dst := mat.NewDense(2, k*testM, nil)
			if err := l.Simulate(dst, mat.NewDense(2, testN, nil), rng.New(1, 1)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSimulateIsReproducible(t *testing.T) {
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		x := mat.NewDense(3, testN, nil)
		rng.FillNormal(x.RawMatrix().Data, rng.New(6, 0))
		a, b := mat.NewDense(3, testM, nil), mat.NewDense(3, testM, nil)
		if err := l.Simulate(a, x, rand.NewPCG(1, 2)); err != nil {
			t.Fatal(err)
		}
		x.Set(1, 0, 12) // fails, and must not change the other rows
		err := l.Simulate(b, x, rand.NewPCG(1, 2))
		if err == nil || !strings.Contains(err.Error(), "row 1 of x") {
			t.Errorf("error %v, want one that names row 1", err)
		}
		for j := range testM {
			if a.At(0, j) != b.At(0, j) || a.At(2, j) != b.At(2, j) {
				t.Fatalf("draws changed:\n%g\n%g", mat.Formatted(a), mat.Formatted(b))
			}
			if !math.IsNaN(b.At(1, j)) {
				t.Fatalf("failed row holds %g", b.RawRowView(1))
			}
		}
	})
}

func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops pooled workspaces")
	}
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		x := mat.NewDense(4, testN, nil)
		scores, p := mat.NewDense(4, testN, nil), make([]float64, 4)
		score := make([]float64, testN)
		for name, f := range map[string]func(){
			"LogProb":      func() { l.LogProb(xTrue) },
			"LogProbScore": func() { l.LogProbScore(score, xTrue) },
			"ScoreInput":   func() { l.ScoreInput(score, xTrue) },
			"LogProbs":     func() { l.LogProbs(p, x) },
			"Scores":       func() { l.Scores(scores, nil, x) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s allocates %g times", name, n)
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	eachLaw(t, func(t *testing.T, noise Noise, l *Likelihood) {
		want := l.LogProb(xTrue)
		var wg sync.WaitGroup
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				score := make([]float64, testN)
				p := make([]float64, 3)
				x := mat.NewDense(3, testN, nil)
				for range 50 {
					if got := l.LogProbScore(score, xTrue); got != want {
						t.Errorf("concurrent LogProbScore %g, alone %g", got, want)
						return
					}
					l.LogProbs(p, x)
				}
			}()
		}
		wg.Wait()
	})
}

// A failing integration is impossible, and so is data that cannot be drawn.
func TestODEThatBlowsUp(t *testing.T) {
	op, err := forward.NewODE(func(dydt []float64, _ float64, y, p []float64) { dydt[0] = p[0] * y[0] * y[0] }, 1,
		[]float64{1}, []float64{0.5, 2}, nil) // y = 1/(1 - p t)
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(op, []float64{1.1, 1.7}, LogNormal{Sigma: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	want := distuv.LogNormal{Mu: -math.Log(1 - 0.1), Sigma: 0.1}.LogProb(1.1) + distuv.LogNormal{Mu: -math.Log(1 - 0.4), Sigma: 0.1}.LogProb(1.7)
	if got := l.LogProb([]float64{0.2}); !scalar.EqualWithinAbs(got, want, 1e-6) {
		t.Errorf("LogProb = %g, want %g", got, want)
	}
	score := []float64{1}
	if p := l.LogProbScore(score, []float64{0.7}); !math.IsInf(p, -1) || score[0] != 0 {
		t.Errorf("beyond the pole: log probability %g, score %g", p, score)
	}
	x := mat.NewDense(2, 1, []float64{0.2, 0.7})
	if err := l.Simulate(mat.NewDense(2, 2, nil), x, nil); err == nil || !strings.Contains(err.Error(), "row 1 of x") {
		t.Errorf("Simulate beyond the pole: error %v", err)
	}
	if raceEnabled {
		return
	}
	at := []float64{0.2}
	if n := testing.AllocsPerRun(20, func() { l.LogProbScore(score, at) }); n != 0 {
		t.Errorf("LogProbScore allocates %g times", n)
	}
}

func BenchmarkLogProbScore(b *testing.B) {
	const m = 10000
	identity, err := forward.NewFunc(m, m, func(dst, x []float64) { copy(dst, x) },
		&forward.FuncOptions{VJP: func(dst, x, y []float64) { copy(dst, y) }})
	if err != nil {
		b.Fatal(err)
	}
	x, score := make([]float64, m), make([]float64, m)
	for i := range x {
		x[i] = 1 + float64(i%7)
	}
	normal, err := NewNormal(0.5)
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name  string
		noise Noise
	}{
		{"Normal", normal},
		{"StudentT", StudentT{Nu: 4, Scale: 1}},
		{"Laplace", Laplace{Scale: 1}},
		{"Huber", Huber{Scale: 1}},
		{"Poisson", Poisson{}},
		{"BernoulliLogit", BernoulliLogit{}},
		{"LogNormal", LogNormal{Sigma: 0.3}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			y := make([]float64, m)
			bc.noise.Rand(y, x, rng.New(1, 0))
			l, err := New(identity, y, bc.noise)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.LogProbScore(score, x)
			}
		})
	}
}
