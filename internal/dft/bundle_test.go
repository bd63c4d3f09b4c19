package dft

import (
	"fmt"
	"math"
	"math/cmplx"
	"testing"
)

// Each lane of a bundle is transformed by itself.
func TestPlanIsTheDefinition(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 15, 16, 20, 24, 25, 29, 30, 31, 37, 49, 60, 64, 74, 77, 97, 101, 120, 128, 202} {
		x := make([]block, n)
		r := randomGrid(2 * lanes * n)
		for j := range x {
			for i := range lanes {
				x[j].re[i], x[j].im[i] = r[2*(j*lanes+i)], r[2*(j*lanes+i)+1]
			}
		}
		in := append([]block(nil), x...)
		p := newPlan(n)
		y := p.transform(x, make([]block, p.scratchLen()))
		for k := range n {
			for i := range lanes {
				var want complex128
				for j := range n {
					want += complex(in[j].re[i], in[j].im[i]) * cmplx.Exp(complex(0, -2*math.Pi*float64(j*k%n)/float64(n)))
				}
				if d := cmplx.Abs(complex(y[k].re[i], y[k].im[i]) - want); d > 2e-14*float64(n+10) {
					t.Fatalf("n %d, lane %d: y[%d] is off by %g", n, i, k, d)
				}
			}
		}
	}
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{64, 256, 1000, 1024, 1080, 1021, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPlan(n)
			x, scratch := make([]block, n), make([]block, p.scratchLen())
			for b.Loop() {
				p.transform(x, scratch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/lanes, "ns/lane")
		})
	}
}
