package forward

import "fmt"

// Boundary says what a convolution takes the values outside the grid to be.
// The names are those of scipy.ndimage.
type Boundary int

const (
	Zero     Boundary = iota // 0 0 0 | a b c d | 0 0 0, Dirichlet
	Periodic                 // b c d | a b c d | a b c
	Reflect                  // c b a | a b c d | d c b, half-sample symmetric, Neumann
	Mirror                   // d c b | a b c d | c b a, whole-sample symmetric
	Nearest                  // a a a | a b c d | d d d
)

// String returns the name of the boundary in lower case.
func (b Boundary) String() string {
	switch b {
	case Zero:
		return "zero"
	case Periodic:
		return "periodic"
	case Reflect:
		return "reflect"
	case Mirror:
		return "mirror"
	case Nearest:
		return "nearest"
	}
	return fmt.Sprintf("Boundary(%d)", int(b))
}

func (b Boundary) check() error {
	if b < Zero || b > Nearest {
		return fmt.Errorf("forward: unknown boundary %d", int(b))
	}
	return nil
}

// index returns the index in [0, n) whose value stands at any index i of the
// extended line, or -1 where that is zero.
func (b Boundary) index(i, n int) int {
	switch {
	case i >= 0 && i < n:
		return i
	case b == Periodic:
		return mod(i, n)
	case b == Reflect:
		if i = mod(i, 2*n); i >= n {
			i = 2*n - 1 - i
		}
		return i
	case b == Mirror:
		period := max(1, 2*(n-1))
		if i = mod(i, period); i >= n {
			i = period - i
		}
		return i
	case b == Nearest:
		return min(max(i, 0), n-1)
	}
	return -1
}

// mod returns i modulo n in [0, n).
func mod(i, n int) int {
	if i %= n; i < 0 {
		i += n
	}
	return i
}

// axis is one dimension of a convolution: which input stands under which
// entry of the point spread function. Output i of m reads, for k in [0, p),
//
//	y[i] = Σ_k h[k] x̃[stride·i + shift - k],
//
// x̃ being x (of n = stride·m values) extended beyond its boundary. Everything
// that applies the convolution, or its transpose, goes by this one map.
type axis struct {
	n, m, stride int
	p, shift     int
	// source[stride·i+q] is the index into x under h[p-1-q] for output i, or
	// -1 where there is a zero.
	source []int
	// readers[j] are the outputs that read x[j], and under which q.
	readers [][]reader
}

type reader struct{ i, q int }

func newAxis(n, stride, p, shift int, b Boundary) axis {
	a := axis{n: n, m: n / stride, stride: stride, p: p, shift: shift}
	a.source = make([]int, stride*(a.m-1)+p)
	for t := range a.source {
		a.source[t] = b.index(t+shift-(p-1), n)
	}
	return a
}

// transpose fills in readers.
func (a *axis) transpose() {
	a.readers = make([][]reader, a.n)
	for i := range a.m {
		for q := range a.p {
			if j := a.source[a.stride*i+q]; j >= 0 {
				a.readers[j] = append(a.readers[j], reader{i, q})
			}
		}
	}
}

// extend sets dst, as long as a.source, to the extended x.
func (a *axis) extend(dst, x []float64) {
	for t, j := range a.source {
		if j >= 0 {
			dst[t] = x[j]
		} else {
			dst[t] = 0
		}
	}
}

// fold is the transpose of extend.
func (a *axis) fold(dst, z []float64) {
	clear(dst)
	for t, j := range a.source {
		if j >= 0 {
			dst[j] += z[t]
		}
	}
}
