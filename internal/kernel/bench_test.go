package kernel

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// shapes are m×n×k of the layers that networks here have, and ragged ones.
var shapes = [][3]int{
	{256, 128, 128}, {1024, 128, 128}, {4096, 64, 64}, {64, 64, 64}, {200, 50, 50}, {50, 50, 200},
	{255, 127, 127}, {200, 100, 70}, {61, 67, 71}, {1, 128, 128},
}

// instructions is the set that benchmarks use: "go", "avx2", "avx512", or the
// processor's best. testdata/openblas_bench.py gives it.
var instructions = flag.String("instructions", "", "instruction set of the benchmarks: go, avx2 or avx512")

// useInstructions switches to the set that the flag names until b ends.
func useInstructions(b *testing.B) {
	b.Cleanup(resetPath)
	if *instructions != "" && !usePath(*instructions) {
		b.Fatalf("-instructions is %q, want one of those that the processor has", *instructions)
	}
}

func BenchmarkGemm(b *testing.B) {
	useInstructions(b)
	b.Run("float32", benchmarkGemm[float32])
	b.Run("float64", benchmarkGemm[float64])
}

func benchmarkGemm[T Float](b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, s := range shapes {
		m, n, k := s[0], s[1], s[2]
		x, y, z := random[T](rnd, m, k, k), random[T](rnd, k, n, n), make([]T, m*n)
		for trans, name := range []string{"NN", "TN", "NT"} {
			ta, tb, lda, ldb := trans == 1, trans == 2, k, n
			if ta {
				lda = m
			}
			if tb {
				ldb = k
			}
			b.Run(fmt.Sprintf("%dx%dx%d/%s", m, n, k, name), func(b *testing.B) {
				for range b.N {
					Gemm(ta, tb, m, n, k, 1, x, lda, y, ldb, 0, z, n)
				}
				reportFlops(b, m, n, k)
			})
		}
	}
}

// BenchmarkGonumGemm is what BenchmarkGemm is compared with. Run it with
// -cpu 1, since gonum's product uses all processors.
func BenchmarkGonumGemm(b *testing.B) {
	var g gonum.Implementation
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, s := range shapes[:5] {
		m, n, k := s[0], s[1], s[2]
		b.Run(fmt.Sprintf("float32/%dx%dx%d/NN", m, n, k), func(b *testing.B) {
			x, y, z := random[float32](rnd, m, k, k), random[float32](rnd, k, n, n), make([]float32, m*n)
			for range b.N {
				g.Sgemm(blas.NoTrans, blas.NoTrans, m, n, k, 1, x, k, y, n, 0, z, n)
			}
			reportFlops(b, m, n, k)
		})
		b.Run(fmt.Sprintf("float64/%dx%dx%d/NN", m, n, k), func(b *testing.B) {
			x, y, z := random[float64](rnd, m, k, k), random[float64](rnd, k, n, n), make([]float64, m*n)
			for range b.N {
				g.Dgemm(blas.NoTrans, blas.NoTrans, m, n, k, 1, x, k, y, n, 0, z, n)
			}
			reportFlops(b, m, n, k)
		})
	}
}

func reportFlops(b *testing.B, m, n, k int) {
	b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gflop/s")
}

// BenchmarkElementary times the functions per element, beside the standard
// library's.
func BenchmarkElementary(b *testing.B) {
	useInstructions(b)
	const n = 1024
	rnd := rand.New(rand.NewPCG(1, 1))
	x64, x32 := make([]float64, n), make([]float32, n)
	for i := range x64 {
		x64[i] = 0.01 + 4*rnd.Float64()
		x32[i] = float32(x64[i])
	}
	y64, y32 := make([]float64, n), make([]float32, n)
	perElement := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
	}
	for _, e := range elementary {
		std := e.std
		if e.name == "softplus" {
			std = func(x float64) float64 { return math.Log1p(math.Exp(x)) }
		}
		b.Run(e.name+"/math", func(b *testing.B) {
			for range b.N {
				for i, v := range x64 {
					y64[i] = std(v)
				}
			}
			perElement(b)
		})
		b.Run(e.name+"/float32", func(b *testing.B) {
			for range b.N {
				e.f32(y32, x32)
			}
			perElement(b)
		})
		b.Run(e.name+"/float64", func(b *testing.B) {
			for range b.N {
				e.f64(y64, x64)
			}
			perElement(b)
		})
	}
}
