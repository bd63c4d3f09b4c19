//go:build linux

package kernel

import (
	"syscall"
	"testing"
	"unsafe"
)

// fenced returns n elements that end where memory that may not be touched
// begins, or begin where it ends.
func fenced[T Float](t *testing.T, n int, atEnd bool) []T {
	t.Helper()
	page := syscall.Getpagesize()
	size := n * int(unsafe.Sizeof(T(0)))
	pages := (size + page - 1) / page
	m, err := syscall.Mmap(-1, 0, (pages+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { syscall.Munmap(m) })
	for _, fence := range [][]byte{m[:page], m[(pages+1)*page:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Skip(err)
		}
	}
	at := page
	if atEnd {
		at = (pages+1)*page - size
	}
	x := unsafe.Slice((*T)(unsafe.Pointer(&m[at])), n)
	for i := range x {
		x[i] = T(i%7) - 3
	}
	return x
}

// Nothing beyond the slices is read or written: it would be a fault.
func TestStaysInside(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		if !hasSIMD() {
			t.Skip("the compiler checks bounds")
		}
		testStaysInside[float32](t)
		testStaysInside[float64](t)
	})
}

func testStaysInside[T Float](t *testing.T) {
	const most = 70
	step := 1
	if testing.Short() {
		step = 13
	}
	for _, atEnd := range []bool{false, true} {
		a, b, c := fenced[T](t, most*most, atEnd), fenced[T](t, most*most, atEnd), fenced[T](t, most*most, atEnd)
		// part is the n elements next to the fence.
		part := func(x []T, n int) []T {
			if atEnd {
				return x[len(x)-n:]
			}
			return x[:n:n]
		}
		for n := 1; n <= most; n += step {
			x, y, z := part(a, n), part(b, n), part(c, n)
			for act := Identity; act <= LogCosh; act++ {
				Activate(act, z, x)
				MulDerivative(act, z, x, y)
			}
			for _, f := range []func(dst, x []T){Exp[T], Expm1[T], Log[T], Log1p[T], Sqrt[T]} {
				f(z, x)
			}
			for _, f := range []func(dst, a, b []T){Add[T], Sub[T], Mul[T], Div[T], AddMul[T]} {
				f(z, x, y)
			}
			Scale(z, 0.5, x)
			Axpy(z, 0.5, x)
			Combine(z, 0.5, x, 2, y)
			if z, ok := any(z).([]float64); ok {
				new(Xoshiro).Normals(z)
			}
			clear(z)
			Adam(x, y, z, z, AdamStep{Step: 1, Rate: 0.1, Beta1: 0.9, Beta2: 0.9, Eps: 1})
			Sum(x)
			Dot(x, y)
			for tr := WinogradInput; tr <= WinogradKernelBack; tr++ {
				out, in := len(winogradMatrices[tr]), len(winogradMatrices[tr][0])
				Winograd(tr, 1, n, part(c, out*out*n), Grid{0, out * n, n}, part(a, in*in*n), Grid{0, in * n, n}, nil)
			}
			Transpose(n, most, part(c, n*most), n, part(a, n*most), most)
			for m := 1; m <= most; m += 23 {
				x, y := part(a, m*n), part(b, m*n)
				LogSumExpRows(part(c, m), m, n, x, n)
				AddColSums(z, m, n, x, n)
				SoftmaxRows(m, n, y, n, x, n)
				SoftmaxBackwardRows(m, n, y, x, y, n)
				SoftmaxColumns(m, n, x, n, part(c, m))
				SoftmaxBackwardColumns(m, n, x, y, n)
				for k := 1; k <= most; k += 1 + (m+n)%17 {
					for trans := range 4 {
						ta, tb, lda, ldb := trans&1 != 0, trans&2 != 0, k, n
						if ta {
							lda = m
						}
						if tb {
							ldb = k
						}
						Gemm(ta, tb, m, n, k, 1, part(a, m*k), lda, part(b, k*n), ldb, 1, part(c, m*n), n)
					}
				}
			}
		}
	}
}
