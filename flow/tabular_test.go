package flow

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// table returns n rows of dx and dy columns as tables have them: skewed,
// heavy-tailed, almost equal and almost discrete columns, and scales that are
// far apart. The columns of x depend on y and on each other.
func table(n, dx, dy int, seed uint64) (x, y *mat.Dense) {
	r := rand.New(rng.New(seed, 0))
	x, y = mat.NewDense(n, dx, nil), mat.NewDense(n, dy, nil)
	weights := mat.NewDense(dx, dy, nil)
	for i := range dx {
		for j := range dy {
			weights.Set(i, j, r.NormFloat64()/math.Sqrt(float64(dy)))
		}
	}
	for i := range n {
		a := make([]float64, dy)
		for j := range a {
			a[j] = r.NormFloat64()
			v := a[j]
			switch j % 5 {
			case 1: // skewed
				v = math.Exp(1.5 * v)
			case 2: // a few numbers
				v = math.Round(2*v) / 2
			case 3: // heavy tails, of 2 degrees of freedom
				v *= math.Sqrt(2 / (2 * r.ExpFloat64()))
			case 4: // almost the first one
				v = a[0] + 0.01*v
			}
			y.Set(i, j, 1000*v)
		}
		common := r.NormFloat64()
		for j := range dx {
			m := floats.Dot(weights.RawRowView(j), a)
			e := r.NormFloat64()
			v := math.Sin(2*m) + 0.5*m + 0.3*common + 0.3*e*(1+a[0]*a[0])
			switch j % 5 {
			case 1:
				v = math.Exp(v)
			case 2: // a tenth of the range apart
				v = math.Round(4*v) / 4
			case 3:
				v = m + 0.2*e*math.Sqrt(2/(2*r.ExpFloat64()))
			case 4: // almost the one before
				v = x.At(i, j-1) + 0.02*e
			}
			x.Set(i, j, v)
		}
	}
	return x, y
}

// linearNLL returns the mean of -log q(x|y) over the rows valid for a Gaussian
// linear regression of all columns of x on the other rows.
func linearNLL(t testing.TB, x, y *mat.Dense, valid []int) float64 {
	t.Helper()
	n, dx := x.Dims()
	_, dy := y.Dims()
	in := make(map[int]bool)
	for _, i := range valid {
		in[i] = true
	}
	var rows []int
	for i := range n {
		if !in[i] {
			rows = append(rows, i)
		}
	}
	design := func(rows []int) *mat.Dense {
		a := mat.NewDense(len(rows), dy+1, nil)
		for k, i := range rows {
			a.SetRow(k, append([]float64{1}, y.RawRowView(i)...))
		}
		return a
	}
	var w, res mat.Dense
	if err := w.Solve(design(rows), selectRows(x, rows)); err != nil {
		t.Fatal(err)
	}
	res.Mul(design(rows), &w)
	res.Sub(selectRows(x, rows), &res)
	cov := mat.NewSymDense(dx, nil)
	cov.SymOuterK(1/float64(len(rows)), res.T())
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		t.Fatal("residuals without spread")
	}
	res.Reset()
	res.Mul(design(valid), &w)
	res.Sub(selectRows(x, valid), &res)
	nll := chol.LogDet()/2 + float64(dx)*halfLog2Pi
	for i := range valid {
		var s mat.VecDense
		e := mat.NewVecDense(dx, res.RawRowView(i))
		if err := chol.SolveVecTo(&s, e); err != nil {
			t.Fatal(err)
		}
		nll += mat.Dot(e, &s) / 2 / float64(len(valid))
	}
	return nll
}

// The defaults of each architecture do better than linear regression on tables
// of all kinds, and no row is an infinite surprise:
//
//	INVERSE_SLOW=1 go test -v -timeout 1h -run TestTables ./flow
func TestTables(t *testing.T) {
	architectures := []Architecture{MAF{}, NSF{}, NSF{Autoregressive: true}, Coupling{}, MDN{}, COT{}, PCPMap{}, Matching{}, Diffusion{}}
	tables := []struct{ n, dx, dy int }{{1300, 6, 5}, {4700, 8, 7}}
	if os.Getenv("INVERSE_SLOW") == "" {
		if testing.Short() {
			t.Skip("trains a flow")
		}
		architectures, tables = []Architecture{NSF{Transforms: 3}}, tables[:1]
	}
	for _, c := range tables {
		x, y := table(c.n, c.dx, c.dy, uint64(c.n))
		var valid []int
		for i := 0; i < c.n; i += 8 {
			valid = append(valid, i)
		}
		baseline := linearNLL(t, x, y, valid)
		for _, a := range architectures {
			t.Run(fmt.Sprintf("%d/%s", c.n, name(a)), func(t *testing.T) {
				start := time.Now()
				f, err := Fit(context.Background(), a, x, y, &FitOptions{ValidationRows: valid, Src: rng.New(1, 0)})
				if err != nil {
					t.Fatal(err)
				}
				l := make([]float64, c.n)
				f.LogProb(l, x, y)
				r := f.Report()
				t.Logf("validation %.3f, linear regression %.3f; least log density %.1f; %d steps, %.1f s",
					r.ValidNLL, baseline, floats.Min(l), r.Steps, time.Since(start).Seconds())
				if !(r.ValidNLL < baseline) {
					t.Errorf("validation %.3f, linear regression %.3f", r.ValidNLL, baseline)
				}
				if i := notFinite(l); i >= 0 {
					t.Errorf("log density of row %d is %g", i, l[i])
				}
			})
		}
	}
}
