package kernel

// The portable product works on tiles of tileRows×tileCols sums held in
// registers, with op(B) read through a packed panel of tileCols columns.
const (
	tileRows = 2
	tileCols = 4
	panelK   = 256 // rows of a packed panel
)

// gemmGo computes C += alpha op(A) op(B).
func gemmGo[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	// op(A)[i,l] is a[i*ai+l*al], op(B)[l,j] is b[l*bl+j*bj].
	ai, al := lda, 1
	if transA {
		ai, al = 1, lda
	}
	bl, bj := ldb, 1
	if transB {
		bl, bj = 1, ldb
	}
	var panel [panelK * tileCols]T
	for l0 := 0; l0 < k; l0 += panelK {
		kc := min(panelK, k-l0)
		for j := 0; j < n; j += tileCols {
			cols := min(tileCols, n-j)
			p := panel[:kc*tileCols]
			for l := range kc {
				for q := range cols {
					p[l*tileCols+q] = b[(l0+l)*bl+(j+q)*bj]
				}
			}
			for i := 0; i < m; i += tileRows {
				var s [tileRows][tileCols]T
				rows := min(tileRows, m-i)
				if rows == tileRows {
					s[0], s[1] = dot2x4(p, a[i*ai+l0*al:], a[(i+1)*ai+l0*al:], al)
				} else {
					s[0] = dot1x4(p, a[i*ai+l0*al:], al)
				}
				for r := range rows {
					row := c[(i+r)*ldc+j:][:cols]
					for q := range row {
						row[q] += alpha * s[r][q]
					}
				}
			}
		}
	}
}

// dot2x4 returns the products of two rows of op(A), with elements al apart,
// and a packed panel.
func dot2x4[T Float](p, a0, a1 []T, al int) (r0, r1 [tileCols]T) {
	var s00, s01, s02, s03, s10, s11, s12, s13 T
	o := 0
	for len(p) >= tileCols {
		x, y := a0[o], a1[o]
		b0, b1, b2, b3 := p[0], p[1], p[2], p[3]
		s00 += x * b0
		s01 += x * b1
		s02 += x * b2
		s03 += x * b3
		s10 += y * b0
		s11 += y * b1
		s12 += y * b2
		s13 += y * b3
		p = p[tileCols:]
		o += al
	}
	return [tileCols]T{s00, s01, s02, s03}, [tileCols]T{s10, s11, s12, s13}
}

// dot1x4 is dot2x4 for one row, with the same order of operations.
func dot1x4[T Float](p, a0 []T, al int) [tileCols]T {
	var s0, s1, s2, s3 T
	o := 0
	for len(p) >= tileCols {
		x := a0[o]
		s0 += x * p[0]
		s1 += x * p[1]
		s2 += x * p[2]
		s3 += x * p[3]
		p = p[tileCols:]
		o += al
	}
	return [tileCols]T{s0, s1, s2, s3}
}
