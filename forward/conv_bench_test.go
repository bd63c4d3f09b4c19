package forward

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/rng"
)

// BenchmarkConvolution times Apply and Adjoint of the Fourier algorithms on
// one image, with a 31×31 point spread function. The metric ns/nlog2n is flat
// as far as time grows as n log n.
func BenchmarkConvolution(b *testing.B) {
	random := normalRows(31, 31, rng.New(1, 0))
	disk, err := DefocusPSF(15)
	if err != nil {
		b.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		boundary Boundary
		psf      mat.Matrix
	}{
		{"zero", Zero, random}, {"periodic", Periodic, random}, {"nearest", Nearest, random},
		{"reflect even", Reflect, disk},
	} {
		for _, side := range []int{64, 128, 256, 512, 1024} {
			op, err := NewConv2D(side, side, tt.psf, &Conv2DOptions{Boundary: tt.boundary})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkLinear(b, fmt.Sprintf("%s/%d", tt.name, side), op)
		}
	}
}

func benchmarkLinear(b *testing.B, name string, op inverse.Linear) {
	m, n := op.Dims()
	x, y := normalRows(1, n, rng.New(1, 1)), normalRows(1, m, rng.New(1, 2))
	for _, f := range []struct {
		name string
		run  func()
	}{
		{"Apply", func() { op.Apply(y, x) }},
		{"Adjoint", func() { op.Adjoint(x, y) }},
	} {
		b.Run(name+"/"+f.name, func(b *testing.B) {
			f.run()
			b.ReportAllocs()
			for b.Loop() {
				f.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(float64(n)*math.Log2(float64(n))), "ns/nlog2n")
		})
	}
}

// BenchmarkAlgorithms compares summing over the point spread function with
// Fourier transforms; directTaps is where they cross.
func BenchmarkAlgorithms(b *testing.B) {
	for _, side := range []int{64, 256, 1024} {
		x, y := normalRows(1, side*side, rng.New(1, 1)).RawRowView(0), make([]float64, side*side)
		for _, p := range []int{3, 5, 7, 9, 11, 21, 31, 41, 61} {
			s := stencil{rows: side, cols: side, rowStride: 1, colStride: 1, rowShift: p / 2, colShift: p / 2, boundary: Nearest}
			s.h = mat.NewDense(p, p, nil)
			ones := mat.NewVecDense(p, nil)
			for i := range p {
				ones.SetVec(i, 1/float64(p+i))
			}
			s.h.Outer(1, ones, ones)
			for name, a := range s.algorithms() {
				if name == "direct" && p > 11 {
					continue
				}
				b.Run(fmt.Sprintf("%d/%d/%s", side, p, name), func(b *testing.B) {
					for b.Loop() {
						a.apply(y, x)
						a.adjoint(x, y)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(side*side), "ns/pixel")
				})
			}
		}
	}
}
