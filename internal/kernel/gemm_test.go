package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// guard is the value written around matrices; it must never change, nor
// enter a result.
const guard = -12345

// cut returns a copy of a matrix's elements in a slice that ends with the
// last one, inside an array whose other elements are poison.
func cut[T Float](x []T) []T {
	const margin = 40
	buf := make([]T, margin+len(x)+margin)
	for i := range buf {
		buf[i] = T(math.NaN())
	}
	copy(buf[margin:], x)
	return buf[margin : margin+len(x) : margin+len(x)]
}

// random returns an r×c matrix with leading dimension ld. The elements
// between the rows are NaN.
func random[T Float](rnd *rand.Rand, r, c, ld int) []T {
	if r == 0 || c == 0 {
		return nil
	}
	x := make([]T, (r-1)*ld+c)
	for i := range x {
		if i%ld < c {
			x[i] = T(rnd.NormFloat64())
		} else {
			x[i] = T(math.NaN())
		}
	}
	return cut(x)
}

type gemmCase struct {
	transA, transB bool
	m, n, k        int
	da, db, dc     int // leading dimension less the number of columns
	alpha, beta    float64
	bias           bool
	act            Activation
	pre            bool
}

func (g gemmCase) String() string {
	return fmt.Sprintf("%+v", struct{ gemmCase any }{struct {
		transA, transB bool
		m, n, k        int
		da, db, dc     int
		alpha, beta    float64
		bias           bool
		act            string
		pre            bool
	}{g.transA, g.transB, g.m, g.n, g.k, g.da, g.db, g.dc, g.alpha, g.beta, g.bias, g.act.String(), g.pre}})
}

// checkGemm compares one product with a triple loop in float64.
func checkGemm[T Float](t *testing.T, g gemmCase, rnd *rand.Rand) {
	t.Helper()
	m, n, k := g.m, g.n, g.k
	ra, ca, rb, cb := m, k, k, n
	if g.transA {
		ra, ca = k, m
	}
	if g.transB {
		rb, cb = n, k
	}
	lda, ldb, ldc := ca+g.da, cb+g.db, n+g.dc
	a, b := random[T](rnd, ra, ca, lda), random[T](rnd, rb, cb, ldb)
	const margin = 40
	out := make([]T, margin+m*ldc+margin)
	for i := range out {
		out[i] = guard
	}
	var c []T
	if m > 0 && n > 0 {
		c = out[margin : margin+(m-1)*ldc+n : margin+(m-1)*ldc+n]
	}
	for i := range m {
		for j := range n {
			if g.beta == 0 {
				c[i*ldc+j] = T(math.NaN())
			} else {
				c[i*ldc+j] = T(rnd.NormFloat64())
			}
		}
	}
	old := append([]T(nil), c...)
	ep := Epilogue[T]{Act: g.act}
	if g.bias {
		ep.Bias = random[T](rnd, 1, n, n)
		if ep.Bias == nil {
			ep.Bias = []T{}
		}
	}
	if g.pre {
		ep.Pre = make([]T, len(c))
		for i := range ep.Pre {
			ep.Pre[i] = guard
		}
	}
	GemmEpilogue(g.transA, g.transB, m, n, k, T(g.alpha), a, lda, b, ldb, T(g.beta), c, ldc, ep)

	eps := 0x1p-24
	if isDouble[T]() {
		eps = 0x1p-53
	}
	for i := range m {
		for j := range n {
			var sum, size float64
			for l := range k {
				ia, ib := i*lda+l, l*ldb+j
				if g.transA {
					ia = l*lda + i
				}
				if g.transB {
					ib = j*ldb + l
				}
				p := float64(a[ia]) * float64(b[ib])
				sum += p
				size += math.Abs(p)
			}
			want := float64(T(g.alpha)) * sum
			size *= math.Abs(g.alpha)
			if g.beta != 0 {
				p := float64(T(g.beta)) * float64(old[i*ldc+j])
				want += p
				size += math.Abs(p)
			}
			if g.bias {
				want += float64(ep.Bias[j])
				size += math.Abs(float64(ep.Bias[j]))
			}
			tol := (float64(k) + 8) * eps * size
			if g.pre {
				if got := float64(ep.Pre[i*ldc+j]); !(math.Abs(got-want) <= tol) {
					t.Fatalf("%v: Pre(%d, %d) = %v, want %v", g, i, j, got, want)
				}
			}
			y := []float64{want}
			Activate(g.act, y, y)
			want = y[0]
			if got := float64(c[i*ldc+j]); !(math.Abs(got-want) <= 1.2*tol+8*eps*math.Abs(want)) {
				t.Fatalf("%v: C(%d, %d) = %v, want %v", g, i, j, got, want)
			}
			c[i*ldc+j] = guard
			if g.pre {
				ep.Pre[i*ldc+j] = guard
			}
		}
	}
	for i, v := range out {
		if v != guard {
			t.Fatalf("%v: wrote outside C, at %d of %d", g, i-margin, len(c))
		}
	}
	for i, v := range ep.Pre {
		if v != guard {
			t.Fatalf("%v: wrote outside Pre, at %d of %d", g, i, len(c))
		}
	}
}

func TestGemm(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		check := func(g gemmCase) {
			checkGemm[float32](t, g, rnd)
			checkGemm[float64](t, g, rnd)
		}
		// Every edge of the tiles.
		sizes := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 70}
		if testing.Short() {
			sizes = []int{1, 5, 13, 17, 33, 65}
		}
		for _, m := range sizes {
			for _, n := range sizes {
				for trans := range 4 {
					check(gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: m, n: n, k: 1 + rnd.IntN(70), alpha: 1})
				}
			}
		}
		// Everything else at random.
		pick := func(v ...float64) float64 { return v[rnd.IntN(len(v))] }
		count := 3000
		if testing.Short() {
			count = 100
		}
		for range count {
			check(gemmCase{
				transA: rnd.IntN(2) == 0, transB: rnd.IntN(2) == 0,
				m: rnd.IntN(71), n: rnd.IntN(71), k: rnd.IntN(71),
				da: rnd.IntN(3), db: rnd.IntN(20) / 5, dc: rnd.IntN(20) / 5,
				alpha: pick(1, 1, 0, -1, 0.7), beta: pick(0, 0, 1, -0.3),
				bias: rnd.IntN(2) == 0, act: Activation(rnd.IntN(int(LogCosh) + 1)), pre: rnd.IntN(3) == 0,
			})
		}
		// More than one block in each direction.
		for _, d := range [][3]int{{3, 5, 1000}, {20, 1100, 10}, {1, 700, 513}, {500, 1, 257}, {400, 40, 30}, {70, 600, 600}} {
			if testing.Short() && d[0]*d[1]*d[2] > 5e5 {
				continue
			}
			for trans := range 4 {
				check(gemmCase{transA: trans&1 != 0, transB: trans&2 != 0, m: d[0], n: d[1], k: d[2], da: 3, db: 1, alpha: 1, beta: 0.5, bias: true, act: SiLU, pre: true})
			}
		}
	})
}

// A row of a product does not depend on the rows around it.
func TestGemmRowsAreIndependent(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testRowsAreIndependent[float32](t)
		testRowsAreIndependent[float64](t)
	})
}

func testRowsAreIndependent[T Float](t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	count := 40
	if testing.Short() {
		count = 10
	}
	for range count {
		m, n, k := 1+rnd.IntN(300), 1+rnd.IntN(100), 1+rnd.IntN(600)
		transA, transB := rnd.IntN(2) == 0, rnd.IntN(2) == 0
		beta := T(rnd.IntN(2)) * 0.3
		a, b, c := random[T](rnd, m, k, k), random[T](rnd, k, n, n), random[T](rnd, m, n, n)
		ep := Epilogue[T]{Bias: random[T](rnd, 1, n, n), Act: Tanh}
		lda, ldb := k, n
		if transA {
			lda = m
		}
		if transB {
			ldb = k
		}
		whole := append([]T(nil), c...)
		GemmEpilogue(transA, transB, m, n, k, 0.9, a, lda, b, ldb, beta, whole, n, ep)
		for lo := 0; lo < m; {
			hi := min(m, lo+1+rnd.IntN(50))
			rows := a[lo*k:]
			if transA {
				rows = a[lo:]
			}
			GemmEpilogue(transA, transB, hi-lo, n, k, 0.9, rows, lda, b, ldb, beta, c[lo*n:], n, ep)
			lo = hi
		}
		for i, v := range c {
			if v != whole[i] {
				t.Fatalf("%T %d×%d×%d: row %d depends on the split", v, m, n, k, i/n)
			}
		}
	}
}

// Windows that slide over a sequence give the products of their copies.
func TestGemmWindows(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(7, 8))
		const m, n, k, ld = 37, 19, 12, 5
		x, w, y := random[float64](rnd, 1, (m-1)*ld+k, (m-1)*ld+k), random[float64](rnd, n, k, k), random[float64](rnd, m, n, n)
		copies := make([]float64, m*k)
		for i := range m {
			copy(copies[i*k:(i+1)*k], x[i*ld:])
		}
		equal := func(what string, got, want []float64) {
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%s: element %d is %g with windows, %g with copies", what, i, got[i], want[i])
				}
			}
		}
		got, want := make([]float64, m*n), make([]float64, m*n)
		Gemm(false, true, m, n, k, 1, x, ld, w, k, 0, got, n)
		Gemm(false, true, m, n, k, 1, copies, k, w, k, 0, want, n)
		equal("A", got, want)
		got, want = make([]float64, n*k), make([]float64, n*k)
		Gemm(true, false, n, k, m, 1, y, n, x, ld, 0, got, k)
		Gemm(true, false, n, k, m, 1, y, n, copies, k, 0, want, k)
		equal("B", got, want)
	})
}

func TestGemmPanics(t *testing.T) {
	x := make([]float64, 12)
	for name, f := range map[string]func(){
		"short a":   func() { Gemm(false, false, 3, 2, 4, 1, x[:11], 4, x, 2, 0, x, 2) },
		"small lda": func() { Gemm(false, false, 3, 2, 4, 1, x, 0, x, 2, 0, x, 2) },
		"windows":   func() { Gemm(false, false, 3, 2, 4, 1, x[:9], 3, x, 2, 0, x, 2) },
		"short b":   func() { Gemm(false, true, 3, 3, 4, 1, x, 4, x[:11], 4, 0, x, 3) },
		"short c":   func() { Gemm(false, false, 3, 3, 1, 1, x, 1, x, 3, 0, x[:8], 3) },
		"negative":  func() { Gemm(false, false, -1, 3, 1, 1, x, 1, x, 3, 0, x, 3) },
		"bias": func() {
			GemmEpilogue(false, false, 2, 3, 1, 1, x, 1, x, 3, 0, x, 3, Epilogue[float64]{Bias: x[:2]})
		},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestGemmDoesNotAllocate(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(5, 6))
		const m, n, k = 200, 50, 60
		a, b, c := random[float32](rnd, m, k, k), random[float32](rnd, k, n, n), random[float32](rnd, m, n, n)
		bias := random[float32](rnd, 1, n, n)
		for trans := range 4 {
			ta, tb := trans&1 != 0, trans&2 != 0
			lda, ldb := k, n
			if ta {
				lda = m
			}
			if tb {
				ldb = k
			}
			if allocs := testing.AllocsPerRun(20, func() {
				GemmEpilogue(ta, tb, m, n, k, 1, a, lda, b, ldb, 1, c, n, Epilogue[float32]{Bias: bias, Act: Tanh})
			}); allocs > 0 {
				t.Errorf("transposes %v %v: %v allocations", ta, tb, allocs)
			}
		}
	})
}
