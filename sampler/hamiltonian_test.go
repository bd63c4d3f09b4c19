package sampler

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-inverse/inverse/internal/rng"
	"gonum.org/v1/gonum/diff/fd"
	"gonum.org/v1/gonum/mat"
)

// quartic is a density that is not normal: log π = -Σ (x_i⁴/4 + x_i x_{i+1}/2).
type quartic struct{ d int }

func (q quartic) Dim() int { return q.d }

func (q quartic) LogProb(x []float64) float64 {
	var s float64
	for i, v := range x {
		s -= v * v * v * v / 4
		if i > 0 {
			s -= v * x[i-1] / 2
		}
	}
	return s
}

func (q quartic) ScoreInput(g, x []float64) []float64 {
	if g == nil {
		g = make([]float64, len(x))
	}
	for i, v := range x {
		g[i] = -v * v * v
		if i > 0 {
			g[i] -= x[i-1] / 2
		}
		if i+1 < len(x) {
			g[i] -= x[i+1] / 2
		}
	}
	return g
}

func metricsOf(d int) map[string]metric {
	diag := newDiagonal(d)
	low := newLowRank(d)
	full := newDense(d)
	rnd := rand.New(rng.New(3, 0))
	for i := range d {
		diag.Sigma[i] = 0.5 + rnd.Float64()
		low.Sigma[i] = 0.5 + rnd.Float64()
		for j := range i + 1 {
			full.L[i*d+j] = rnd.NormFloat64() / 2
		}
		full.L[i*d+i] = 0.5 + rnd.Float64()
	}
	// One direction of unit length, and a second at right angles to it.
	u, v := make([]float64, d), make([]float64, d)
	for i := range u {
		u[i] = 1 / math.Sqrt(float64(d))
	}
	v[0], v[1] = math.Sqrt(0.5), -math.Sqrt(0.5)
	low.U = append(append(low.U, u...), v...)
	low.Root = []float64{1.5, -0.6}
	return map[string]metric{"diagonal": diag, "low rank": low, "dense": full}
}

func testHamiltonian(t *testing.T, d int, m metric) *hamiltonian {
	target, err := NewTarget(quartic{d}, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hamiltonian{target: target, X: make([]float64, d), G: make([]float64, d), Metric: m, StepSize: 0.1}
	x := make([]float64, d)
	for i := range x {
		x[i] = 0.4*float64(i) - 0.7
	}
	if err := h.Set(x); err != nil {
		t.Fatal(err)
	}
	return h
}

// The error of the Hamiltonian over a fixed time is of second order.
func TestLeapfrogOrder(t *testing.T) {
	for name, m := range metricsOf(4) {
		h := testHamiltonian(t, 4, m)
		energyError := func(steps int) float64 {
			defer h.pool.reset()
			q, next := h.pool.get(4), h.pool.get(4)
			h.start(q, rand.New(rng.New(1, 0)))
			e := q.energy
			for range steps {
				h.leapfrog(next, q, 1/float64(steps))
				q, next = next, q
			}
			return math.Abs(q.energy - e)
		}
		e1, e2 := energyError(200), energyError(400)
		if order := math.Log2(e1 / e2); math.Abs(order-2) > 0.05 {
			t.Errorf("%s: order %.3f (errors %g, %g), want 2", name, order, e1, e2)
		}
	}
}

func TestLeapfrogIsReversible(t *testing.T) {
	for name, m := range metricsOf(5) {
		h := testHamiltonian(t, 5, m)
		q, next := h.pool.get(5), h.pool.get(5)
		h.start(q, rand.New(rng.New(2, 0)))
		x, p := slices.Clone(q.x), slices.Clone(q.p)
		for _, eps := range []float64{0.1, -0.1} {
			for range 20 {
				h.leapfrog(next, q, eps)
				q, next = next, q
			}
			if eps > 0 && q.index != 20 {
				t.Errorf("%s: index %d after 20 steps", name, q.index)
			}
		}
		for i := range x {
			if math.Abs(q.x[i]-x[i]) > 1e-12 || math.Abs(q.p[i]-p[i]) > 1e-12 {
				t.Errorf("%s: coordinate %d comes back as (%g, %g), not (%g, %g)", name, i, q.x[i], q.p[i], x[i], p[i])
			}
		}
		if q.index != 0 {
			t.Errorf("%s: index %d at the start", name, q.index)
		}
	}
}

// The Jacobian determinant of a step in (x, p) is 1.
func TestLeapfrogPreservesVolume(t *testing.T) {
	const d = 3
	for name, m := range metricsOf(d) {
		h := testHamiltonian(t, d, m)
		from, to := h.pool.get(d), h.pool.get(d)
		step := func(dst, z []float64) {
			copy(from.x, z[:d])
			copy(from.p, z[d:])
			h.target.LogProbScore(from.g, from.x)
			h.Metric.pull(from.w, from.g)
			h.leapfrog(to, from, 0.3)
			copy(dst, to.x)
			copy(dst[d:], to.p)
		}
		jac := mat.NewDense(2*d, 2*d, nil)
		fd.Jacobian(jac, step, []float64{0.3, -0.5, 0.9, 1, -0.4, 0.2}, &fd.JacobianSettings{Formula: fd.Central})
		if det := mat.Det(jac); math.Abs(det-1) > 1e-7 {
			t.Errorf("%s: the determinant is %v", name, det)
		}
	}
}

// drift applies L and pull its transpose: (L p)·g = p·(Lᵀ g).
func TestMetricTransposes(t *testing.T) {
	const d = 6
	for name, m := range metricsOf(d) {
		rnd := rand.New(rng.New(4, 0))
		var pool pool
		from, to := pool.get(d), pool.get(d)
		for i := range d {
			from.x[i], from.w[i], from.g[i], from.p[i], to.g[i] = 0, 0, 0, rnd.NormFloat64(), rnd.NormFloat64()
		}
		m.drift(to, from, 1)
		w := make([]float64, d)
		m.pull(w, to.g)
		var lhs, rhs float64
		for i := range d {
			lhs += to.x[i] * to.g[i]
			rhs += from.p[i] * w[i]
		}
		if math.Abs(lhs-rhs) > 1e-12*(1+math.Abs(lhs)) {
			t.Errorf("%s: (L p)·g = %v, p·(Lᵀg) = %v", name, lhs, rhs)
		}
		if k, want := m.kick(to, 0), dot(from.p, from.p); math.Abs(k-want) > 1e-12 {
			t.Errorf("%s: |p|² = %v, want %v", name, k, want)
		}
	}
}

func dot(a, b []float64) float64 {
	var s float64
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// covarianceOf returns L Lᵀ.
func covarianceOf(m metric, d int) *mat.Dense {
	l := mat.NewDense(d, d, nil)
	var pool pool
	from, to := pool.get(d), pool.get(d)
	for j := range d {
		clear(from.x)
		clear(from.w)
		clear(from.g)
		clear(from.p)
		from.p[j] = 1
		m.drift(to, from, 1)
		l.SetCol(j, to.x)
	}
	var c mat.Dense
	c.Mul(l, l.T())
	return &c
}

// For a normal target the Fisher estimates are exact whatever the draws are:
// the diagonal one for independent coordinates from 3 draws, the low-rank one
// for any covariance from more draws than dimensions.
func TestFisherMetricIsExactForNormal(t *testing.T) {
	const d = 4
	rnd := rand.New(rng.New(5, 0))
	scale := []float64{0.01, 1, 3, 100}
	e, m := newFisherDiagonal(d), newDiagonal(d)
	x, g := make([]float64, d), make([]float64, d)
	for range 3 {
		for i, s := range scale {
			x[i] = 7 + 3*rnd.NormFloat64()
			g[i] = -x[i] / (s * s)
		}
		e.add(x, g)
	}
	if !e.set(m, false) {
		t.Fatal("no estimate from 3 draws")
	}
	for i, s := range scale {
		if math.Abs(m.Sigma[i]/s-1) > 1e-9 {
			t.Errorf("sigma[%d] = %g, want %g", i, m.Sigma[i], s)
		}
	}

	cov := mat.NewSymDense(d, []float64{4, 1.9, 0, 0, 1.9, 1, 0, 0, 0, 0, 9, -26, 0, 0, -26, 100})
	var chol mat.Cholesky
	if !chol.Factorize(cov) {
		t.Fatal("covariance")
	}
	low := newLowRank(d)
	draws, scores := mat.NewDense(30, d, nil), mat.NewDense(30, d, nil)
	for i := range 30 {
		for j := range d {
			draws.Set(i, j, 5+rnd.NormFloat64())
		}
		var s mat.VecDense
		if err := chol.SolveVecTo(&s, draws.RowView(i)); err != nil {
			t.Fatal(err)
		}
		for j := range d {
			scores.Set(i, j, -s.AtVec(j))
		}
	}
	if !low.estimate(draws, scores) {
		t.Fatal("no low-rank estimate")
	}
	// Variances within a factor of 2 of the diagonal are left alone, so the
	// whitened covariance is within that factor of I.
	got := covarianceOf(low, d)
	var ratio mat.Dense
	if err := chol.SolveTo(&ratio, got); err != nil {
		t.Fatal(err)
	}
	var eig mat.Eigen
	if !eig.Factorize(&ratio, mat.EigenNone) {
		t.Fatal("eigenvalues")
	}
	for _, v := range eig.Values(nil) {
		if real(v) < 1/lowRankCutoff-1e-6 || real(v) > lowRankCutoff+1e-6 {
			t.Errorf("an eigenvalue of C⁻¹LLᵀ is %v, want one in [1/2, 2]", v)
		}
	}
	for _, r := range low.Root {
		if v := (1 + r) * (1 + r); v < lowRankCutoff && v > 1.0/lowRankCutoff {
			t.Errorf("a direction of variance %g was kept", v)
		}
	}
}

func TestStanWindows(t *testing.T) {
	for _, c := range []struct {
		n    int
		ends []int
	}{
		{1000, []int{99, 149, 249, 449, 949}}, // Stan's manual
		{500, []int{99, 149, 249, 449}},
		{150, []int{99}},
		{100, []int{89}},
		{10, nil},
	} {
		var got []int
		w := &stanWindows{}
		for i := range c.n {
			if w.windowEnd(i, c.n) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, c.ends) {
			t.Errorf("%d iterations: windows end at %v, want %v", c.n, got, c.ends)
		}
	}
}

func TestStanRegularisation(t *testing.T) {
	// Draws 1, 2, 3, 6: variance 14/3, n = 4.
	want := 14./3*4/9 + 1e-3*5/9
	v := &varianceEstimate{newWelford(1)}
	c := &covarianceEstimate{newWelfordCov(1)}
	for _, x := range []float64{1, 2, 3, 6} {
		v.add([]float64{x})
		c.add([]float64{x})
	}
	diag, full := newDiagonal(1), newDense(1)
	if !v.set(diag) || !c.set(full) {
		t.Fatal("no estimate")
	}
	if got := diag.Sigma[0] * diag.Sigma[0]; math.Abs(got-want) > 1e-14 {
		t.Errorf("variance %v, want %v", got, want)
	}
	if got := full.L[0] * full.L[0]; math.Abs(got-want) > 1e-14 {
		t.Errorf("covariance %v, want %v", got, want)
	}
}

// The first two updates by hand, with γ = 0.05, t₀ = 10, κ = 0.75.
func TestDualAveragingConstants(t *testing.T) {
	var d dualAveraging
	d.restart(0.1)
	d.update(0.5, 0.8)
	s := 0.3 / 11
	x1 := math.Log(1) - s/0.05
	if math.Abs(d.LogE-x1) > 1e-15 || d.Bar != d.LogE {
		t.Errorf("first update: log ε = %v, averaged %v, want %v", d.LogE, d.Bar, x1)
	}
	d.update(1, 0.8)
	s = s*11/12 - 0.2/12
	x2 := -s * math.Sqrt2 / 0.05
	w := math.Pow(2, -0.75)
	if math.Abs(d.LogE-x2) > 1e-15 || math.Abs(d.Bar-(w*x2+(1-w)*x1)) > 1e-15 {
		t.Errorf("second update: log ε = %v, averaged %v, want %v, %v", d.LogE, d.Bar, x2, w*x2+(1-w)*x1)
	}
	// An acceptance of exp(-ε) is 0.8 at ε = -log 0.8.
	d.restart(1)
	for range 10000 {
		d.update(math.Exp(-d.step()), 0.8)
	}
	if got, want := d.final(), -math.Log(0.8); math.Abs(got/want-1) > 0.01 {
		t.Errorf("converged to ε = %v, want %v", got, want)
	}
}
