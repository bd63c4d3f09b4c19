package kernel

import "math"

// Dot returns the sum of a[i] b[i].
func Dot[T Float](a, b []T) T {
	checkLen("Dot", len(a), len(b))
	if s, ok := dotSIMD(a, b); ok {
		return s
	}
	var s [4]T
	for len(a) >= 4 && len(b) >= 4 {
		s[0] += a[0] * b[0]
		s[1] += a[1] * b[1]
		s[2] += a[2] * b[2]
		s[3] += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i, v := range a {
		s[i] += v * b[i]
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// SumSquares returns the sum of x[i]².
func SumSquares[T Float](x []T) T { return Dot(x, x) }

// Sum returns the sum of x[i].
func Sum[T Float](x []T) T {
	if s, ok := sumSIMD(x); ok {
		return s
	}
	var s [4]T
	for len(x) >= 4 {
		s[0] += x[0]
		s[1] += x[1]
		s[2] += x[2]
		s[3] += x[3]
		x = x[4:]
	}
	for i, v := range x {
		s[i] += v
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}

// RowSums sets dst[i] to the sum of row i of the m×n matrix x.
func RowSums[T Float](dst []T, m, n int, x []T, ldx int) {
	checkLen("RowSums", len(dst), m)
	checkMatrix("X", m, n, ldx, len(x))
	for i := range dst {
		dst[i] = Sum(x[i*ldx:][:n])
	}
}

// AddColSums adds the sum of column j of the m×n matrix x to dst[j], row
// after row.
func AddColSums[T Float](dst []T, m, n int, x []T, ldx int) {
	checkLen("AddColSums", len(dst), n)
	checkMatrix("X", m, n, ldx, len(x))
	if m == 0 || n == 0 || addColSumsSIMD(dst, m, n, x, ldx) {
		return
	}
	for i := range m {
		Add(dst, dst, x[i*ldx:][:n])
	}
}

// expBlock is the number of rows that are handed to expRows.
const expBlock = 32

// LogSumExpRows sets dst[i] to log Σ_j exp(x_ij) for the rows of the m×n
// matrix x, without overflow; -Inf for a row that is empty or all -Inf.
func LogSumExpRows[T Float](dst []T, m, n int, x []T, ldx int) {
	checkLen("LogSumExpRows", len(dst), m)
	checkMatrix("X", m, n, ldx, len(x))
	if n == 0 {
		for i := range dst {
			dst[i] = T(math.Inf(-1))
		}
		return
	}
	var tops [expBlock]T
	for i0 := 0; i0 < m; i0 += expBlock {
		rows := min(expBlock, m-i0)
		top, sum := tops[:rows], dst[i0:i0+rows]
		expRows(nil, 0, top, sum, x[i0*ldx:], ldx, n)
		Log(sum, sum)
		Add(sum, sum, top)
		for i, t := range top {
			if math.IsInf(float64(t), 0) {
				sum[i] = largest(x[(i0+i)*ldx:][:n])
			}
		}
	}
}

// SoftmaxRows sets row i of dst to exp(x_ij)/Σ_l exp(x_il) for the m×n
// matrices dst and x, without overflow. dst may be x itself.
func SoftmaxRows[T Float](m, n int, dst []T, ldd int, x []T, ldx int) {
	checkMatrix("dst", m, n, ldd, len(dst))
	checkMatrix("X", m, n, ldx, len(x))
	if n == 0 {
		return
	}
	var top, sum [expBlock]T
	for i0 := 0; i0 < m; i0 += expBlock {
		rows := min(expBlock, m-i0)
		expRows(dst[i0*ldd:], ldd, top[:rows], sum[:rows], x[i0*ldx:], ldx, n)
	}
}

// expRows sets top[i] to the largest element of row i of x, sum[i] to
// Σ exp(x_ij - top[i]), and row i of dst, if it is not nil, to the terms of
// this sum divided by it.
func expRows[T Float](dst []T, ldd int, top, sum, x []T, ldx, n int) {
	if expRowsSIMD(dst, ldd, top, sum, x, ldx, n) {
		return
	}
	var buf [64]T
	for i := range top {
		row := x[i*ldx:][:n]
		top[i], sum[i] = largest(row), 0
		for j := 0; j < n; j += len(buf) {
			part := row[j:min(n, j+len(buf))]
			e := buf[:len(part)]
			if dst != nil {
				e = dst[i*ldd+j:][:len(part)]
			}
			for l, v := range part {
				e[l] = v - top[i]
			}
			Exp(e, e)
			sum[i] += Sum(e)
		}
		if dst != nil {
			out := dst[i*ldd:][:n]
			Scale(out, 1/sum[i], out)
		}
	}
}

// largest returns the largest element, NaN if there is one.
func largest[T Float](x []T) T {
	m := T(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// SoftmaxBackwardRows sets dst_ij = y_ij (d_ij - Σ_l d_il y_il), the gradient
// at the input of [SoftmaxRows] from d at its output y. All are m×n with
// leading dimension ld; dst may be d or y itself.
func SoftmaxBackwardRows[T Float](m, n int, dst, d, y []T, ld int) {
	checkMatrix("dst", m, n, ld, len(dst))
	checkMatrix("D", m, n, ld, len(d))
	checkMatrix("Y", m, n, ld, len(y))
	for i := range m {
		out, di, yi := dst[i*ld:][:n], d[i*ld:][:n], y[i*ld:][:n]
		s := Dot(di, yi)
		if run(opSoftmaxBack, out, di, yi, s) {
			continue
		}
		for j, v := range yi {
			out[j] = v * (di[j] - s)
		}
	}
}
