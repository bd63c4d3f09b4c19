package kernel

import (
	"math"
	"testing"
)

// The backward pass agrees with central differences of the forward pass.
func TestMulDerivative(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		for act := Identity; act <= LogCosh; act++ {
			for z := -9.033; z < 9; z += 0.07 {
				const h = 1e-5
				p := []float64{z, z - h, z + h}
				y := make([]float64, 3)
				Activate(act, y, p)
				ref := y[:1]
				if !act.FromOutput() {
					ref = p[:1]
				}
				got := []float64{2}
				MulDerivative(act, got, got, ref)
				if want := 2 * (y[2] - y[1]) / (2 * h); math.Abs(got[0]-want) > 1e-9 {
					t.Errorf("%v'(%v) = %v, want %v", act, z, got[0]/2, want/2)
				}
			}
		}
	})
}

func TestReductions(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testReductions[float32](t)
		testReductions[float64](t)
	})
}

func testReductions[T Float](t *testing.T) {
	for n := range 70 {
		x, y := make([]T, n), make([]T, n)
		var dot, sum float64
		for i := range x {
			x[i], y[i] = T((i*7)%11-5), T((i*5)%13-6) // exact in float32
			dot += float64(x[i] * y[i])
			sum += float64(x[i])
		}
		x, y = cut(x), cut(y)
		if got := Dot(x, y); float64(got) != dot {
			t.Errorf("Dot of %d = %v, want %v", n, got, dot)
		}
		if got := Sum(x); float64(got) != sum {
			t.Errorf("Sum of %d = %v, want %v", n, got, sum)
		}
	}
}

func TestRows(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testRows[float32](t, 2e-6)
		testRows[float64](t, 4e-15)
	})
}

func testRows[T Float](t *testing.T, tol float64) {
	const m, ld = 3, 80
	for n := 1; n < 75; n += 3 {
		x, y, d := make([]T, (m-1)*ld+n), make([]T, (m-1)*ld+n), make([]T, (m-1)*ld+n)
		for i := range x {
			x[i] = T(100*i%37) - 500*T(i/ld)
			d[i] = T(i % 5)
		}
		var lse, rows [m]T
		cols := make([]T, n)
		LogSumExpRows(lse[:], m, n, x, ld)
		SoftmaxRows(m, n, y, ld, x, ld)
		RowSums(rows[:], m, n, x, ld)
		AddColSums(cols, m, n, x, ld)
		grad := append([]T(nil), d...)
		SoftmaxBackwardRows(m, n, grad, grad, y, ld)
		for i := range m {
			row := x[i*ld:][:n]
			var s, e, dy float64
			for _, v := range row {
				s += float64(v)
				e += math.Exp(float64(v) - float64(row[0]))
			}
			for j, v := range row {
				p := math.Exp(float64(v)-float64(row[0])) / e
				if math.Abs(float64(y[i*ld+j])-p) > tol {
					t.Errorf("n %d: softmax(%d, %d) = %v, want %v", n, i, j, y[i*ld+j], p)
				}
				dy += p * float64(d[i*ld+j])
			}
			for j := range row {
				want := float64(y[i*ld+j]) * (float64(d[i*ld+j]) - dy)
				if math.Abs(float64(grad[i*ld+j])-want) > 4*tol {
					t.Errorf("n %d: softmax gradient (%d, %d) = %v, want %v", n, i, j, grad[i*ld+j], want)
				}
			}
			if want := math.Log(e) + float64(row[0]); math.Abs(float64(lse[i])-want) > tol*math.Abs(want) {
				t.Errorf("n %d: logsumexp(%d) = %v, want %v", n, i, lse[i], want)
			}
			if float64(rows[i]) != s {
				t.Errorf("n %d: row sum %d = %v, want %v", n, i, rows[i], s)
			}
		}
		for j, c := range cols {
			if want := x[j] + x[ld+j] + x[2*ld+j]; c != want {
				t.Errorf("n %d: column sum %d = %v, want %v", n, j, c, want)
			}
		}
	}
	// Rows without a finite maximum.
	inf := T(math.Inf(1))
	nan := T(math.NaN())
	var got [5]T
	LogSumExpRows(got[:], 5, 2, []T{-inf, -inf, inf, 0, nan, 0, nan, inf, -inf, nan}, 2)
	if got[0] != -inf || got[1] != inf || got[2] == got[2] || got[3] == got[3] || got[4] == got[4] {
		t.Errorf("logsumexp of infinite rows = %v", got)
	}
	LogSumExpRows(got[:], 5, 0, nil, 0)
	if got != [5]T{-inf, -inf, -inf, -inf, -inf} {
		t.Errorf("logsumexp of empty rows = %v", got)
	}
}

// Two steps by hand: the formulas of the paper in float64.
func TestAdam(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		for _, n := range []int{1, 3, 8, 17, 33} {
			p, m, v, g := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
			p32, m32, v32, g32 := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
			want, wm, wv := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range p {
				p[i] = float64(i%7) - 2.5
				p32[i], want[i] = float32(p[i]), p[i]
			}
			for step := 1; step <= 2; step++ {
				s := AdamStep{Step: step, Rate: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1, GradScale: 0.5}
				for i := range g {
					g[i] = float64(step*(i+1)) / 16
					g32[i] = float32(g[i])
					gi := g[i] / 2
					wm[i] = 0.9*wm[i] + 0.1*gi
					wv[i] = 0.999*wv[i] + 0.001*gi*gi
					mHat, vHat := wm[i]/(1-math.Pow(0.9, float64(step))), wv[i]/(1-math.Pow(0.999, float64(step)))
					want[i] -= 0.01*0.1*want[i] + 0.01*mHat/(math.Sqrt(vHat)+1e-8)
				}
				Adam(p, m, v, g, s)
				Adam(p32, m32, v32, g32, s)
			}
			for i := range p {
				if math.Abs(p[i]-want[i]) > 1e-14 || math.Abs(float64(p32[i])-want[i]) > 1e-6 {
					t.Errorf("n %d: p[%d] = %v and %v, want %v", n, i, p[i], p32[i], want[i])
				}
			}
		}
	})
}

// isDouble reports whether T is float64.
func isDouble[T Float]() bool { return T(1)+0x1p-40 != 1 }

func TestReductionsDoNotAllocate(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		const m, n = 40, 30
		x, y, z := make([]float32, m*n), make([]float32, m*n), make([]float32, n)
		if allocs := testing.AllocsPerRun(20, func() {
			var lse [m]float32
			z[0] = Dot(x, y) + Sum(x)
			AddColSums(z, m, n, x, n)
			LogSumExpRows(lse[:], m, n, x, n)
			SoftmaxRows(m, n, y, n, x, n)
			SoftmaxBackwardRows(m, n, y, x, y, n)
			SoftmaxColumns(m, n, x, n, y[:m])
			SoftmaxBackwardColumns(m, n, x, y, n)
			Combine(x, lse[0], x, 2, y)
			MulDerivative(GELU, x, x, y)
			Axpy(x, lse[0], y)
			Adam(x, y, x, y, AdamStep{Step: 1, Beta1: 0.9, Beta2: 0.9})
		}); allocs > 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}
