package kernel

import "math"

// Dot returns the sum of a[i] b[i].
func Dot[T Float](a, b []T) T {
	checkLen("Dot", len(a), len(b))
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

// Max returns the largest element, NaN if there is one, -Inf if there is none.
func Max[T Float](x []T) T {
	m := T(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
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
	for i := range m {
		Add(dst, dst, x[i*ldx:][:n])
	}
}

// AddRows adds v to each row of the m×n matrix dst.
func AddRows[T Float](m, n int, dst []T, ld int, v []T) {
	checkLen("AddRows", n, len(v))
	checkMatrix("dst", m, n, ld, len(dst))
	for i := range m {
		row := dst[i*ld:][:n]
		Add(row, row, v)
	}
}

// LogSumExpRows sets dst[i] to log Σ_j exp(x_ij) for the rows of the m×n
// matrix x, without overflow; -Inf for a row that is empty or all -Inf.
func LogSumExpRows[T Float](dst []T, m, n int, x []T, ldx int) {
	checkLen("LogSumExpRows", len(dst), m)
	checkMatrix("X", m, n, ldx, len(x))
	for i := range dst {
		row := x[i*ldx:][:n]
		top := Max(row)
		if math.IsInf(float64(top), 0) {
			dst[i] = top
			continue
		}
		dst[i] = top + T(math.Log(float64(sumExp(nil, row, top))))
	}
}

// SoftmaxRows sets row i of dst to exp(x_ij)/Σ_l exp(x_il) for the m×n
// matrices dst and x, without overflow. dst may be x itself.
func SoftmaxRows[T Float](m, n int, dst []T, ldd int, x []T, ldx int) {
	checkMatrix("dst", m, n, ldd, len(dst))
	checkMatrix("X", m, n, ldx, len(x))
	for i := range m {
		row, out := x[i*ldx:][:n], dst[i*ldd:][:n]
		Scale(out, 1/sumExp(out, row, Max(row)), out)
	}
}

// sumExp returns Σ exp(x[j] - top) and stores the terms in dst if it is not
// nil.
func sumExp[T Float](dst, x []T, top T) T {
	var buf [64]T
	var sum T
	for len(x) > 0 {
		n := min(len(x), len(buf))
		e := buf[:n]
		if dst != nil {
			e, dst = dst[:n], dst[n:]
		}
		for j, v := range x[:n] {
			e[j] = v - top
		}
		Exp(e, e)
		sum += Sum(e)
		x = x[n:]
	}
	return sum
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
		for j, v := range yi {
			out[j] = v * (di[j] - s)
		}
	}
}
