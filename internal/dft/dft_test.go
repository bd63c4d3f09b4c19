package dft

import (
	"fmt"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/go-inverse/inverse/internal/rng"
)

var shapes = [][2]int{
	{1, 1}, {1, 2}, {2, 1}, {1, 3}, {3, 1}, {2, 2}, {1, 8}, {8, 1}, {3, 5}, {4, 6},
	{7, 11}, {16, 9}, {9, 16}, {13, 17}, {1, 97}, {97, 1}, {15, 20}, {20, 23}, {17, 40}, {25, 24}, {37, 9}, {1, 101}, {1, 100}, {41, 1},
}

func randomGrid(n int) []float64 {
	x := make([]float64, n)
	rng.FillNormal(x, rng.New(1, uint64(n)))
	return x
}

func TestFFTIsTheDefinition(t *testing.T) {
	for _, s := range shapes {
		rows, cols := s[0], s[1]
		fft := NewFFT(rows, cols)
		_, half := fft.SpectrumDims()
		x := randomGrid(rows * cols)
		c := make([]complex128, rows*half)
		fft.Forward(c, x)
		for k := range rows {
			for l := range half {
				var want complex128
				for i := range rows {
					for j := range cols {
						phase := float64(k*i%rows)/float64(rows) + float64(l*j%cols)/float64(cols)
						want += complex(x[i*cols+j], 0) * cmplx.Exp(complex(0, -2*math.Pi*phase))
					}
				}
				if got := c[k*half+l]; cmplx.Abs(got-want) > 1e-12*float64(rows*cols) {
					t.Fatalf("%d×%d: c[%d,%d] = %v, want %v", rows, cols, k, l, got, want)
				}
			}
		}
		y := make([]float64, rows*cols)
		fft.Inverse(y, c)
		if d := floats.Distance(x, y, math.Inf(1)); d > 1e-12 {
			t.Errorf("%d×%d: round trip is off by %g", rows, cols, d)
		}
	}
}

// The transforms are tensor products of their defining matrices.
func TestTrigonometricTransformsAreTheDefinition(t *testing.T) {
	dct := func(k, i, n int) float64 {
		c := math.Sqrt(2 / float64(n))
		if k == 0 {
			c = math.Sqrt(1 / float64(n))
		}
		return c * math.Cos(math.Pi*float64(k*(2*i+1)%(4*n))/float64(2*n))
	}
	dst := func(k, i, n int) float64 {
		return math.Sqrt(2/float64(n+1)) * math.Sin(math.Pi*float64((k+1)*(i+1)%(2*n+2))/float64(n+1))
	}
	for _, s := range shapes {
		rows, cols := s[0], s[1]
		x := randomGrid(rows * cols)
		for _, tt := range []struct {
			name             string
			basis            func(k, i, n int) float64
			forward, inverse func(dst, src []float64)
		}{
			{"DCT", dct, NewDCT(rows, cols).Forward, NewDCT(rows, cols).Inverse},
			{"DST", dst, NewDST(rows, cols).Transform, NewDST(rows, cols).Transform},
		} {
			want := make([]float64, rows*cols)
			for k := range rows {
				for l := range cols {
					for i := range rows {
						for j := range cols {
							want[k*cols+l] += tt.basis(k, i, rows) * tt.basis(l, j, cols) * x[i*cols+j]
						}
					}
				}
			}
			got := make([]float64, rows*cols)
			tt.forward(got, x)
			if d := floats.Distance(got, want, math.Inf(1)); d > 1e-12 {
				t.Errorf("%s of %d×%d is off by %g", tt.name, rows, cols, d)
			}
			tt.inverse(got, got)
			if d := floats.Distance(got, x, math.Inf(1)); d > 1e-12 {
				t.Errorf("%s of %d×%d: round trip is off by %g", tt.name, rows, cols, d)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	const rows, cols = 24, 30
	fft, dct := NewFFT(rows, cols), NewDCT(rows, cols)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			x := randomGrid(rows * cols)
			floats.Scale(float64(g+1), x)
			c, y, z := make([]complex128, rows*(cols/2+1)), make([]float64, rows*cols), make([]float64, rows*cols)
			for range 20 {
				fft.Forward(c, x)
				fft.Inverse(y, c)
				dct.Forward(z, y)
				dct.Inverse(z, z)
				if d := floats.Distance(x, z, math.Inf(1)); d > 1e-12 {
					t.Errorf("round trip is off by %g", d)
					return
				}
			}
		}()
	}
	wg.Wait()
}

// Strips of a grid are transformed by several goroutines; the bits are those of
// one.
func TestBitsDoNotDependOnGOMAXPROCS(t *testing.T) {
	const rows, cols = 150, 74
	x := randomGrid(rows * cols)
	var want []float64
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(procs)
		fft, dct := NewFFT(rows, cols), NewDCT(rows, cols)
		c, got := make([]complex128, rows*(cols/2+1)), make([]float64, 2*rows*cols)
		fft.Forward(c, x)
		fft.Inverse(got[:rows*cols], c)
		dct.Forward(got[rows*cols:], x)
		if want == nil {
			want = got
		}
		if !floats.Equal(got, want) {
			t.Errorf("GOMAXPROCS %d gives other bits", procs)
		}
	}
}

func TestTransformsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop what it holds")
	}
	const rows, cols = 70, 66
	x, c := randomGrid(rows*cols), make([]complex128, rows*(cols/2+1))
	fft, dct, dst := NewFFT(rows, cols), NewDCT(rows, cols), NewDST(rows, cols)
	if allocs := testing.AllocsPerRun(20, func() {
		fft.Forward(c, x)
		fft.Inverse(x, c)
		dct.Forward(x, x)
		dct.Inverse(x, x)
		dst.Transform(x, x)
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestGoodSize(t *testing.T) {
	smooth := func(n int) bool {
		for _, p := range []int{2, 3, 5} {
			for n%p == 0 {
				n /= p
			}
		}
		return n == 1
	}
	want := 2
	for n := -1; n < 3000; n++ {
		for want < n || want%2 != 0 || !smooth(want) {
			want++
		}
		if got := GoodSize(n); got != want {
			t.Fatalf("GoodSize(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestWrongSizesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"NewFFT":  func() { NewFFT(0, 3) },
		"NewDCT":  func() { NewDCT(3, -1) },
		"Forward": func() { NewFFT(2, 3).Forward(make([]complex128, 4), make([]float64, 5)) },
		"DST":     func() { NewDST(2, 3).Transform(make([]float64, 6), make([]float64, 5)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkTransforms(b *testing.B) {
	for _, n := range []int{64, 128, 256, 512, 1000, 1024} {
		x := make([]float64, n*n)
		for i := range x {
			x[i] = rand.NormFloat64()
		}
		b.Run(fmt.Sprintf("FFT/%d", n), func(b *testing.B) {
			t := NewFFT(n, n)
			c := make([]complex128, n*(n/2+1))
			b.ReportAllocs()
			for b.Loop() {
				t.Forward(c, x)
				t.Inverse(x, c)
			}
		})
		b.Run(fmt.Sprintf("DST/%d", n), func(b *testing.B) {
			t := NewDST(n, n)
			b.ReportAllocs()
			for b.Loop() {
				t.Transform(x, x)
				t.Transform(x, x)
			}
		})
		b.Run(fmt.Sprintf("DCT/%d", n), func(b *testing.B) {
			t := NewDCT(n, n)
			b.ReportAllocs()
			for b.Loop() {
				t.Forward(x, x)
				t.Inverse(x, x)
			}
		})
	}
}
