package kernel

// SoftmaxColumns adds bias[i] to each element of row i of the m×n matrix x
// with leading dimension ld, and replaces x by exp(x_ij)/Σ_l exp(x_lj), without
// overflow. It is faster than SoftmaxRows where columns are short.
func SoftmaxColumns[T Float](m, n int, x []T, ld int, bias []T) {
	checkMatrix("X", m, n, ld, len(x))
	checkLen("bias and column", m, len(bias))
	if m == 0 || n == 0 || softmaxColumnsSIMD(m, n, x, ld, bias) {
		return
	}
	const width = 64
	var top, total [width]T
	for j := 0; j < n; j += width {
		w := min(width, n-j)
		row := func(i int) []T { return x[i*ld+j:][:w] }
		for i := range m {
			for l, v := range row(i) {
				v += bias[i]
				row(i)[l] = v
				if i == 0 || v > top[l] {
					top[l] = v
				}
			}
		}
		clear(total[:])
		for i := range m {
			Sub(row(i), row(i), top[:w])
			Exp(row(i), row(i))
			Add(total[:w], total[:w], row(i))
		}
		for i := range m {
			Div(row(i), row(i), total[:w])
		}
	}
}

// SoftmaxBackwardColumns turns the gradient d at the output y of
// [SoftmaxColumns] into that at its input. Both are m×n with leading
// dimension ld.
func SoftmaxBackwardColumns[T Float](m, n int, d, y []T, ld int) {
	checkMatrix("D", m, n, ld, len(d))
	checkMatrix("Y", m, n, ld, len(y))
	if m == 0 || n == 0 || softmaxBackColumnsSIMD(m, n, d, y, ld) {
		return
	}
	for j := range n {
		var dot T
		for i := j; i < m*ld; i += ld {
			dot += d[i] * y[i]
		}
		for i := j; i < m*ld; i += ld {
			d[i] = y[i] * (d[i] - dot)
		}
	}
}

// Combine sets dst[i] = s a[i] + t b[i]. dst may be a or b itself.
func Combine[T Float](dst []T, s T, a []T, t T, b []T) {
	checkLen("Combine", len(dst), len(a), len(b))
	if run(opCombine, dst, a, b, s, t) {
		return
	}
	for i, v := range a {
		dst[i] = s*v + t*b[i]
	}
}
