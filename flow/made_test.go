package flow

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/prior"
)

func sigmoid(l float64) float64 { return 1 / (1 + math.Exp(-l)) }

// logisticBits are d bits of logits that are linear in y ~ N(0, I), with
// coefficients from N(0, 1); p returns the probabilities of ones.
func logisticBits(n, d, dy int, seed uint64) (x, y *mat.Dense, p func(y []float64) []float64) {
	w := make([]float64, d*(dy+1))
	rng.FillNormal(w, rng.New(1, 0))
	p = func(y []float64) []float64 {
		out := make([]float64, d)
		for j := range out {
			row := w[j*(dy+1) : (j+1)*(dy+1)]
			out[j] = sigmoid(row[dy] + floats.Dot(row[:dy], y))
		}
		return out
	}
	r := rand.New(rng.New(seed, 1))
	x, y = mat.NewDense(n, d, nil), mat.NewDense(n, dy, nil)
	rng.FillNormal(y.RawMatrix().Data, r)
	for i := range n {
		for j, v := range p(y.RawRowView(i)) {
			if r.Float64() < v {
				x.Set(i, j, 1)
			}
		}
	}
	return x, y, p
}

// parityBits are three bits, each dependent on those before: x₁ of probability
// σ(y), x₂ = x₁ but for a tenth, x₃ the parity of both but for a fifth. Its p
// returns the masses of the states.
func parityBits(n int, seed uint64) (x, y *mat.Dense, p func(y float64) []float64) {
	r := rand.New(rng.New(seed, 0))
	x, y = mat.NewDense(n, 3, nil), mat.NewDense(n, 1, nil)
	draw := func(p float64) int {
		if r.Float64() < p {
			return 1
		}
		return 0
	}
	for i := range n {
		v := 1.5 * r.NormFloat64()
		a := draw(sigmoid(v))
		b := a ^ draw(0.1)
		c := a ^ b ^ draw(0.2)
		y.Set(i, 0, v)
		x.SetRow(i, []float64{float64(a), float64(b), float64(c)})
	}
	return x, y, func(y float64) []float64 {
		out := make([]float64, 8)
		pick := func(bit int, p float64) float64 { return float64(bit)*p + float64(1-bit)*(1-p) }
		for s := range out {
			a, b, c := s&1, s>>1&1, s>>2&1
			out[s] = pick(a, sigmoid(y)) * pick(a^b, 0.1) * pick(a^b^c, 0.2)
		}
		return out
	}
}

// states are all states of d bits: row s has the binary digits of s, the lowest
// first.
func states(d int) *mat.Dense {
	out := mat.NewDense(1<<d, d, nil)
	for s := range 1 << d {
		for j := range d {
			out.Set(s, j, float64(s>>j&1))
		}
	}
	return out
}

// masses returns q(x|y) of all states x.
func masses(q Conditional, y []float64) []float64 {
	d, _ := q.Dims()
	out := make([]float64, 1<<d)
	Given(q, y).LogProbs(out, states(d))
	for s, l := range out {
		out[s] = math.Exp(l)
	}
	return out
}

// product returns the masses of independent bits of probabilities p.
func product(p []float64) []float64 {
	out := []float64{1}
	for _, v := range p {
		n := len(out)
		out = append(out, out...)
		floats.Scale(1-v, out[:n])
		floats.Scale(v, out[n:])
	}
	return out
}

func divergenceOf(p, q []float64) (kl float64) {
	for s, v := range p {
		kl += v * math.Log(v/q[s])
	}
	return kl
}

// TestMADELogistic: of bits with linear logits, the architecture contains the
// truth. The maximum of the likelihood is half a nat for each weight away from
// it, for all training rows together; early stopping comes closer.
func TestMADELogistic(t *testing.T) {
	ctx := context.Background()
	const n, d, m = 4000, 8, 4000
	x, y, p := logisticBits(n, d, 3, 1)
	_, given, _ := logisticBits(m, d, 3, 2)
	for _, independent := range []bool{false, true} {
		f, err := Fit(ctx, MADE{Hidden: []int{16}, Independent: independent}, x, y, &FitOptions{Rate: 2e-3, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		var kl float64
		for i := range 100 {
			row := given.RawRowView(i)
			q := masses(f, row)
			if sum := floats.Sum(q); !(math.Abs(sum-1) < 1e-5) {
				t.Fatalf("independent %v: the masses sum to %g", independent, sum)
			}
			kl += divergenceOf(product(p(row)), q) / 100
			if !independent {
				continue
			}
			marginal := make([]float64, d)
			for s, v := range q {
				for j := range marginal {
					marginal[j] += v * float64(s>>j&1)
				}
			}
			if worst := floats.Distance(product(marginal), q, math.Inf(1)); !(worst < 1e-5) {
				t.Fatalf("independent bits: the masses are %g from those of independent bits", worst)
			}
		}
		r := f.Report()
		bound := float64(r.Parameters) / float64(2*r.TrainRows)
		t.Logf("independent %v: KL(p|q) = %.4f, bound %.4f, %d steps, %v", independent, kl, bound, r.Steps, r.Elapsed)
		if !(kl < bound) {
			t.Errorf("independent %v: KL(p|q) = %.4f, want below %.4f", independent, kl, bound)
		}
		// The sums of x_j - p_j with the weights y_k and 1, over draws for new
		// rows: at the maximum of the likelihood those of the training rows are
		// 0, so that the variance is that of both.
		draws := mat.NewDense(m, d, nil)
		if err := f.Draw(ctx, draws, given, rng.New(3, 0)); err != nil {
			t.Fatal(err)
		}
		for j := range d {
			var sum, variance [4]float64
			for i := range m {
				row := given.RawRowView(i)
				v := p(row)[j]
				for k, w := range []float64{row[0], row[1], row[2], 1} {
					sum[k] += w * (draws.At(i, j) - v)
					variance[k] += w * w * v * (1 - v) * (1 + m/float64(r.TrainRows))
				}
			}
			for k, s := range sum {
				if z := s / math.Sqrt(variance[k]); !(math.Abs(z) < 4.5) {
					t.Errorf("independent %v, bit %d: the draws' sum with weight %d is %.1f standard errors from the truth", independent, j, k, z)
				}
			}
		}
	}
}

// TestMADEDependent: the parity of bits before, which no linear logit has, is
// learned, and draws have the masses that LogProb gives.
func TestMADEDependent(t *testing.T) {
	ctx := context.Background()
	x, y, p := parityBits(4000, 1)
	fit := func(a MADE, n int) *Ensemble {
		e, err := FitEnsemble(ctx, a, n, x, y, &FitOptions{Rate: 5e-3, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, e := range map[string]*Ensemble{
		"one": fit(MADE{Hidden: []int{16}}, 1), "ensemble": fit(MADE{Hidden: []int{12}}, 2), "independent": fit(MADE{Hidden: []int{8}, Independent: true}, 1),
	} {
		for _, v := range []float64{-2, 0, 1} {
			q := masses(e, []float64{v})
			if sum := floats.Sum(q); !(math.Abs(sum-1) < 1e-5) {
				t.Fatalf("%s: the masses sum to %g", name, sum)
			}
			kl := divergenceOf(p(v), q)
			t.Logf("%s, y = %g: KL(p|q) = %.4f, %.3f, want %.3f", name, v, kl, q, p(v))
			if name == "independent" {
				// No product comes closer than the mutual information of x₁
				// and x₂, 0.368 nats at y = 0, and what x₃ has besides.
				if v == 0 && kl < 0.36 {
					t.Errorf("independent bits have a divergence of %.4f", kl)
				}
			} else if !(kl < 0.01) {
				t.Errorf("%s, y = %g: masses %.3f, want %.3f, divergence %.4f", name, v, q, p(v), kl)
			}
			const n = 20_000
			draws := mat.NewDense(n, 3, nil)
			if err := e.Draw(ctx, draws, mat.NewDense(1, 1, []float64{v}), rng.New(3, 0)); err != nil {
				t.Fatal(err)
			}
			frequency := make([]float64, 8)
			for i := range n {
				row := draws.RawRowView(i)
				if j := (MADE{}).stray(row); j >= 0 {
					t.Fatalf("%s: draw %d is %v", name, i, row)
				}
				frequency[int(row[0]+2*row[1]+4*row[2])] += 1. / n
			}
			for s, f := range frequency {
				if z := (f - q[s]) / math.Sqrt(q[s]*(1-q[s])/n); !(math.Abs(z) < 4.5) {
					t.Errorf("%s, y = %g, state %d: frequency %.4f, mass %.4f, %.1f standard errors", name, v, s, f, q[s], z)
				}
			}
		}
	}
}

// TestMADEWithoutConditions: the masses are the frequencies of the rows, one of
// the columns is the same in all of them, and a single bit is a Bernoulli draw.
func TestMADEWithoutConditions(t *testing.T) {
	all, _, _ := parityBits(1000, 1)
	for i := range 1000 {
		all.Set(i, 2, 1)
	}
	for _, d := range []int{1, 3} {
		x := all.Slice(0, 1000, 0, d).(*mat.Dense)
		want := make([]float64, d)
		for j := range want {
			want[j] = floats.Sum(mat.Col(nil, j, x)) / 1000
		}
		for _, independent := range []bool{false, true} {
			f, err := Fit(context.Background(), MADE{Hidden: []int{8}, Independent: independent}, x, nil, &FitOptions{Rate: 1e-2, Validation: -1, Epochs: 200, Src: rng.New(2, 0)})
			if err != nil {
				t.Fatal(err)
			}
			got := make([]float64, d)
			for s, v := range masses(f, nil) {
				for j := range got {
					got[j] += v * float64(s>>j&1)
				}
			}
			if worst := floats.Distance(got, want, math.Inf(1)); !(worst < 0.01) {
				t.Errorf("independent %v: probabilities %.4f, frequencies %.4f", independent, got, want)
			}
			draws := mat.NewDense(10_000, d, nil)
			if err := f.Draw(context.Background(), draws, nil, rng.New(3, 0)); err != nil {
				t.Fatal(err)
			}
			for j, p := range got {
				if v := floats.Sum(mat.Col(nil, j, draws)) / 10_000; !(math.Abs(v-p) < 4.5*math.Sqrt(p*(1-p)/10_000)+1e-6) {
					t.Errorf("independent %v: frequency %.4f of bit %d in draws, want %.4f", independent, v, j, p)
				}
			}
		}
	}
}

// Gradients in the condition are those of central differences.
func TestMADEConditionScore(t *testing.T) {
	const n, d = 200, 5
	x, y, _ := logisticBits(n, d, 3, 1)
	for name, c := range map[string]struct {
		arch  MADE
		embed Embedding
		n     int
	}{
		"one":         {MADE{Hidden: []int{8}}, nil, 1},
		"independent": {MADE{Hidden: []int{8}, Independent: true}, nil, 1},
		"ensemble":    {MADE{}, nil, 2},
		"embedding":   {MADE{}, MLP{Hidden: []int{6}, Features: 2}, 1},
	} {
		e, err := FitEnsemble(context.Background(), c.arch, c.n, x, y, &FitOptions{Epochs: 20, Rate: 1e-2, Float64: true, Embedding: c.embed, Src: rng.New(2, 0)})
		if err != nil {
			t.Fatal(name, err)
		}
		l, want, score := make([]float64, n), make([]float64, n), mat.NewDense(n, 3, nil)
		if err := e.ConditionScore(l, score, x, y); err != nil {
			t.Fatal(name, err)
		}
		e.LogProb(want, x, y)
		for i := range 20 {
			if !(math.Abs(l[i]-want[i]) < 1e-9) {
				t.Errorf("%s, row %d: log mass %g, want %g", name, i, l[i], want[i])
			}
			at := x.Slice(i, i+1, 0, d).(*mat.Dense)
			var v [1]float64
			g := fd.Gradient(nil, func(y []float64) float64 {
				e.LogProb(v[:], at, mat.NewDense(1, 3, y))
				return v[0]
			}, y.RawRowView(i), &fd.Settings{Formula: fd.Central, Step: 1e-5})
			for j := range g {
				if s := score.At(i, j); !(math.Abs(s-g[j]) < 1e-7*(1+math.Abs(g[j]))) {
					t.Errorf("%s, row %d: ∂/∂y_%d is %g, by differences %g", name, i, j+1, s, g[j])
				}
			}
		}
		off := mat.DenseCopyOf(x)
		off.Set(0, 1, 0.5)
		if err := e.ConditionScore(l, score, off, y); err != nil || !math.IsInf(l[0], -1) || mat.Norm(score.RowView(0), 2) != 0 {
			t.Errorf("%s, not a bit: log mass %g, gradient %v, %v", name, l[0], score.RawRowView(0), err)
		}
	}
}

// The same bits for any number of workers, and after Save and Load, and no file
// of a mass function with a scaling.
func TestMassFunctionsSameBits(t *testing.T) {
	bits, givenBits, _ := logisticBits(500, 6, 3, 1)
	counts, givenCounts := thinned(500, 1)
	for _, c := range []struct {
		a    Architecture
		x, y *mat.Dense
	}{
		{MADE{}, bits, givenBits}, {MADE{Hidden: []int{9, 7}, Independent: true}, bits, givenBits},
		{Counts{}, counts, givenCounts}, {Counts{Hidden: []int{9, 7}, Independent: true}, counts, givenCounts},
	} {
		var first []byte
		var f *Flow
		for _, workers := range []int{1, 2} {
			f = trained(t, c.a, c.x, c.y, FitOptions{Epochs: 3, Workers: workers})
			if b := file(t, f); first == nil {
				first = b
			} else if !bytes.Equal(b, first) {
				t.Errorf("%+v: another flow with %d workers", c.a, workers)
			}
		}
		g, err := Load(bytes.NewReader(first), nil)
		if err != nil {
			t.Fatal(err)
		}
		n, d := c.x.Dims()
		u, v := make([]float64, n), make([]float64, n)
		f.LogProb(u, c.x, c.y)
		g.LogProb(v, c.x, c.y)
		p, q := mat.NewDense(n, d, nil), mat.NewDense(n, d, nil)
		ctx := context.Background()
		for _, err := range []error{f.Draw(ctx, p, c.y, rng.New(1, 0)), g.Draw(ctx, q, c.y, rng.New(1, 0))} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if !floats.Equal(u, v) || !mat.Equal(p, q) || !bytes.Equal(file(t, g), first) {
			t.Errorf("%+v: other masses, draws or file after Load", c.a)
		}
		f.xs.Mean[0] = 1
		if _, err := Load(bytes.NewReader(file(t, f)), nil); err == nil || !strings.Contains(err.Error(), "scaling") {
			t.Errorf("%+v: error of a file with a scaling is %v", c.a, err)
		}
	}
}

func TestMADEErrors(t *testing.T) {
	ctx := context.Background()
	x, y, _ := logisticBits(100, 3, 2, 1)
	with := func(v float64) *mat.Dense {
		out := mat.DenseCopyOf(x)
		out.Set(3, 2, v)
		return out
	}
	atoms := &Proposal{Atoms: 2, LogPrior: make([]float64, 100)}
	for _, c := range []struct {
		x    *mat.Dense
		a    MADE
		o    FitOptions
		want string
	}{
		{with(0.5), MADE{}, FitOptions{}, "row 3 of x has 0.5 in column 2, MADE wants bits, 0 or 1"},
		{with(2), MADE{Independent: true}, FitOptions{}, "row 3 of x has 2 in column 2, MADE wants bits"},
		{with(math.NaN()), MADE{}, FitOptions{}, "row 3 of x has NaN in column 2"},
		{x, MADE{}, FitOptions{Transform: prior.Positive(3)}, "MADE cannot have a Transform"},
		{x, MADE{}, FitOptions{Regress: true}, "MADE cannot have Regress"},
		{x, MADE{}, FitOptions{Proposal: atoms}, "not a flow.MADE"},
		{x, MADE{Hidden: []int{4, 0}}, FitOptions{}, "MADE: Hidden[1] is 0"},
	} {
		if f, err := Fit(ctx, c.a, c.x, y, &c.o); f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q", err, c.want)
		}
	}
	for _, a := range []MADE{{}, {Independent: true}} {
		f := trained(t, a, x, y, FitOptions{Epochs: 1})
		l, z := make([]float64, 100), mat.NewDense(100, 3, nil)
		for _, v := range []float64{0.5, -1, math.NaN(), math.Inf(1)} {
			f.LogProb(l, with(v), y)
			for i, p := range l {
				if (i == 3) != math.IsInf(p, -1) || !(p <= 0) {
					t.Fatalf("x[3,2] = %g: LogProb of row %d is %g", v, i, p)
				}
			}
		}
		f.Invert(z, l, x, y)
		for i, v := range z.RawMatrix().Data {
			if !math.IsNaN(v) || !math.IsInf(l[i/3], -1) {
				t.Fatalf("Invert gives %g, log determinant %g", v, l[i/3])
			}
		}
		if err := f.Draw(ctx, z, mat.NewDense(1, 2, []float64{0, math.NaN()}), rng.New(1, 0)); err == nil || !strings.Contains(err.Error(), "cannot be computed") {
			t.Errorf("Draw given NaN: error %v", err)
		}
	}
}

// bit draws ones with the probability σ(l), in both tails, and is NaN where it
// cannot be told.
func TestMADEBit(t *testing.T) {
	for _, l := range []float64{-40, -30, -3, -0.1, 0, 2, 30, 36} {
		// Φ(z) = 1 - σ(l), by the smaller tail.
		z := -quantile(-math.Log1p(math.Exp(math.Abs(l))))
		if l > 0 {
			z = -z
		}
		if below, above := bit(z-1e-9, l), bit(z+1e-9, l); below != 0 || above != 1 {
			t.Errorf("l = %g: bits %g and %g beside z = %g", l, below, above, z)
		}
	}
	inf := math.Inf(1)
	for _, c := range [][3]float64{{0, inf, 1}, {0, -inf, 0}, {inf, -50, 1}, {-inf, 50, 0}} {
		if v := bit(c[0], c[1]); v != c[2] {
			t.Errorf("bit(%g, %g) = %g, want %g", c[0], c[1], v, c[2])
		}
	}
	if v, w := bit(math.NaN(), 0), bit(0, math.NaN()); !math.IsNaN(v) || !math.IsNaN(w) {
		t.Errorf("bits of NaN are %g and %g", v, w)
	}
}

// By default the network is wide enough to see all bits.
func TestMADEWidths(t *testing.T) {
	for _, c := range []struct {
		a    MADE
		d    int
		want []int
	}{
		{MADE{}, 8, []int{50, 50}}, {MADE{}, 60, []int{60, 60}}, {MADE{Independent: true}, 60, []int{50, 50}}, {MADE{Hidden: []int{5}}, 60, []int{5}},
	} {
		a, err := c.a.resolve(c.d, 1)
		if err != nil || !slices.Equal(a.(MADE).Hidden, c.want) {
			t.Errorf("%+v of %d bits: %+v, want %v; %v", c.a, c.d, a, c.want, err)
		}
	}
}

func TestMADEDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x, y, _ := logisticBits(1000, 6, 2, 1)
	l, z := make([]float64, 1000), mat.NewDense(1000, 6, nil)
	for _, a := range []MADE{{}, {Independent: true}} {
		f := trained(t, a, x, y, FitOptions{Epochs: 1})
		for what, call := range map[string]func(){
			"LogProb":  func() { f.LogProb(l, x, y) },
			"Generate": func() { f.Generate(z, x, y) },
		} {
			call()
			if n := testing.AllocsPerRun(3, call); n > 3 {
				t.Errorf("independent %v: %s of 1000 rows allocates %g times", a.Independent, what, n)
			}
		}
	}
}

// BenchmarkMADE trains for an epoch on 10,000 rows of 100 bits with 10
// conditions, and evaluates and draws as many.
func BenchmarkMADE(b *testing.B) {
	const n, d = 10_000, 100
	x, y, _ := logisticBits(n, d, 10, 1)
	for name, a := range map[string]MADE{"dependent": {}, "independent": {Independent: true}} {
		var f *Flow
		b.Run(name+"/epoch", func(b *testing.B) {
			for b.Loop() {
				var err error
				if f, err = Fit(context.Background(), a, x, y, &FitOptions{Validation: -1, Epochs: 1, Src: rng.New(1, 0)}); err != nil {
					b.Fatal(err)
				}
			}
		})
		l, draws := make([]float64, n), mat.NewDense(n, d, nil)
		b.Run(name+"/LogProb", func(b *testing.B) {
			for b.Loop() {
				f.LogProb(l, x, y)
			}
		})
		b.Run(name+"/Draw", func(b *testing.B) {
			for b.Loop() {
				if err := f.Draw(context.Background(), draws, y, rng.New(1, 0)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
