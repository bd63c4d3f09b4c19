package posterior

import (
	"context"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/forward"
	"github.com/go-inverse/inverse/internal/rng"
	"github.com/go-inverse/inverse/likelihood"
	"github.com/go-inverse/inverse/prior"
)

// plain returns the Gaussian N(mean, cov) as a posterior of hardly any data.
func plain(t *testing.T, mean []float64, cov *mat.SymDense) *Gaussian {
	t.Helper()
	pri, err := prior.NewGaussian(mean, cov, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := len(mean)
	op, err := forward.NewDense(mat.NewDense(1, n, append([]float64{1e-9}, make([]float64, n-1)...)))
	if err != nil {
		t.Fatal(err)
	}
	lik, err := likelihood.NewGaussian(op, []float64{0}, 1e3)
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGaussian(pri, lik)
	if err != nil {
		t.Fatal(err)
	}
	g.Src = rng.New(1, 0)
	return g
}

// One coordinate above a bound: the moments of the truncated normal
// distribution, far in the tail too.
func TestTruncatedNormal(t *testing.T) {
	const mu, sd, rows = 1.0, 2.0, 20000
	for _, bound := range []float64{-3, 1, 5, 15} {
		g := plain(t, []float64{mu}, mat.NewSymDense(1, []float64{sd * sd}))
		q, err := Truncate(g, mat.NewDense(1, 1, []float64{-1}), []float64{-bound})
		if err != nil {
			t.Fatal(err)
		}
		q.Src = rng.New(2, 0)
		draws := mat.NewDense(rows, 1, nil)
		if err := q.Sample(context.Background(), draws); err != nil {
			t.Fatal(err)
		}
		x := draws.RawMatrix().Data
		b := (bound - mu) / sd
		tail := distuv.UnitNormal.Survival(b)
		ratio := distuv.UnitNormal.Prob(b) / tail
		mean, variance := mu+sd*ratio, sd*sd*(1+b*ratio-ratio*ratio)
		gotMean, gotSD := stat.MeanStdDev(x, nil)
		lag := stat.Correlation(x[1:], x[:rows-1], nil)
		se := math.Sqrt(variance / rows * (1 + lag) / (1 - lag))
		if math.Abs(gotMean-mean) > 4*se {
			t.Errorf("above %g: mean %g, want %g ± %g", bound, gotMean, mean, se)
		}
		if math.Abs(gotSD/math.Sqrt(variance)-1) > 0.06 {
			t.Errorf("above %g: sd %g, want %g", bound, gotSD, math.Sqrt(variance))
		}
		for _, v := range x {
			if v < bound-1e-9 {
				t.Fatalf("a draw of %g, below %g", v, bound)
			}
		}
	}
}

// A correlated Gaussian in a box, against draws by rejection; with an equality
// as well.
func TestTruncatedByRejection(t *testing.T) {
	ctx := context.Background()
	cov := mat.NewSymDense(3, []float64{1, 0.6, 0.2, 0.6, 1, 0.5, 0.2, 0.5, 1})
	g := plain(t, []float64{0.3, -0.2, 0}, cov)
	a := mat.NewDense(5, 3, []float64{-1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, -1, 1, 1, 1})
	h := []float64{0.2, 0.5, 1, 0.5, 1}
	sum := mat.NewDense(1, 3, []float64{1, 1, 1})
	q, err := Constrain(g, sum, []float64{0.5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]inverse.Sampler{"free": g, "with an equality": q} {
		exact, err := Truncate(s, a, h)
		if err != nil {
			t.Fatal(err)
		}
		exact.Src = rng.New(3, 0)
		reject, err := Truncate(hidden{s}, a, h)
		if err != nil {
			t.Fatal(err)
		}
		if exact.walls == nil || reject.walls != nil {
			t.Fatal("the wrong method")
		}
		const rows = 20000
		x, y := mat.NewDense(rows, 3, nil), mat.NewDense(rows, 3, nil)
		if err := exact.Sample(ctx, x); err != nil {
			t.Fatal(err)
		}
		if err := reject.Sample(ctx, y); err != nil {
			t.Fatal(err)
		}
		for j := range 3 {
			xs, ys := mat.Col(nil, j, x), mat.Col(nil, j, y)
			mx, sx := stat.MeanStdDev(xs, nil)
			my, sy := stat.MeanStdDev(ys, nil)
			if math.Abs(mx-my) > 5*sy*math.Sqrt(2.5/rows) {
				t.Errorf("%s: mean[%d] %g, by rejection %g", name, j, mx, my)
			}
			if math.Abs(sx/sy-1) > 0.04 {
				t.Errorf("%s: sd[%d] %g, by rejection %g", name, j, sx, sy)
			}
		}
		for i := range rows {
			var ax mat.VecDense
			ax.MulVec(a, x.RowView(i))
			for j, b := range h {
				if ax.AtVec(j) > b+1e-9 {
					t.Fatalf("%s: draw %d violates inequality %d by %g", name, i, j, ax.AtVec(j)-b)
				}
			}
			if d := mat.Sum(x.RowView(i)) - 0.5; s == q && math.Abs(d) > 1e-10 {
				t.Fatalf("draw %d leaves the equality by %g", i, d)
			}
		}
	}
}

// hidden hides what a sampler is.
type hidden struct{ s inverse.Sampler }

func (h hidden) Dim() int { return h.s.Dim() }

func (h hidden) Sample(ctx context.Context, dst *mat.Dense) error { return h.s.Sample(ctx, dst) }

// A field of 40 values that are all to be positive, where the mean is not: no
// draw by rejection would ever be inside.
func TestTruncatedField(t *testing.T) {
	const n = 40
	mean, cov, a := make([]float64, n), mat.NewSymDense(n, nil), mat.NewDense(n, n, nil)
	for i := range n {
		mean[i] = -1
		a.Set(i, i, -1)
		for j := i; j < n; j++ {
			cov.SetSym(i, j, math.Exp(-float64(j-i)/4))
		}
	}
	g := plain(t, mean, cov)
	q, err := Truncate(g, a, make([]float64, n))
	if err != nil {
		t.Fatal(err)
	}
	run := func() *mat.Dense {
		q.Src = rng.New(4, 0)
		x := mat.NewDense(500, n, nil)
		if err := q.Sample(context.Background(), x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := run()
	if low := mat.Min(x); low < -1e-9 {
		t.Errorf("the least value is %g", low)
	}
	if !mat.Equal(x, run()) {
		t.Error("other draws for the same source")
	}
	r, err := Truncate(hidden{g}, a, make([]float64, n))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Sample(context.Background(), x); err == nil || !strings.Contains(err.Error(), "satisfy the inequalities") {
		t.Errorf("by rejection: %v", err)
	}
}

func TestTruncateOfBadInput(t *testing.T) {
	g := plain(t, []float64{0, 0}, mat.NewSymDense(2, []float64{1, 0, 0, 1}))
	one := mat.NewDense(1, 2, []float64{1, 0})
	both := mat.NewDense(2, 2, []float64{1, 0, -1, 0})
	for _, bad := range []struct {
		s    inverse.Sampler
		a    mat.Matrix
		h    []float64
		want string
	}{
		{nil, one, []float64{1}, "sampler is nil"},
		{g, nil, nil, "a is nil"},
		{g, mat.NewDense(1, 3, nil), []float64{1}, "a is 1×3, want 2 columns"},
		{g, one, nil, "h has length 0"},
		{g, one, []float64{math.NaN()}, "bound NaN"},
		{g, mat.NewDense(1, 2, nil), []float64{1}, "row of norm 0"},
		{g, both, []float64{-1, -1}, "contradict"},
	} {
		if _, err := Truncate(bad.s, bad.a, bad.h); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("error %v, want %q", err, bad.want)
		}
	}
}
