//go:build amd64 && !noasm

package kernel

import (
	"sync"
	"unsafe"
)

// The product is cut as in Goto & van de Geijn, Anatomy of high-performance
// matrix multiplication (2008): a panel of op(B), blockK rows and the columns
// of a tile, stays in the first-level cache while the tiles below each other
// pass over it; blockBytes of columns are packed at a time. Rows are worked
// on in blocks, so that the epilogue finds them in the cache.
const (
	blockRows   = 192 // a multiple of the height of each tile
	blockK      = 256
	blockBytes  = 2048
	directRows  = 24       // op(B) is read in place if there are no more rows to share the packing
	directBytes = 96 << 10 // or if it is no larger
	stridedA    = 1024     // op(A) is packed if its rows are columns this far apart
)

// gemmSet holds the functions of one instruction set and element type, which
// are described in gen. Slices and arrays begin with one vector or one row.
type gemmSet struct {
	lanes int // of a vector
	tiles [3][]func(a, b, c, d *byte, ai, al, bl, ci, di, k, count, last int)
	// narrow are tiles whose last vector is half as wide; they may be missing.
	narrow [3][]func(a, b, c, d *byte, ai, al, bl, ci, di, k, count, last int)
	// pack copies panels; packTransposed transposes up to packRows rows.
	pack           [3]func(dst, src *byte, stride, ld, k, last int)
	packTransposed func(dst, src *byte, stride, ld, k, rows int)
	packRows       int
	packsA         bool // a tile is too low for reading rows of op(A) that are far apart
}

// workspace holds packed blocks of op(A) and op(B), of any type.
type workspace struct {
	a [blockK * blockRows * 8]byte
	b [blockK * blockBytes]byte
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// takeWorkspace returns a workspace, whose contents are left over from earlier
// use.
func takeWorkspace() *workspace {
	w := workspaces.Get().(*workspace)
	if Poison {
		for _, part := range [][]byte{w.a[:], w.b[:]} {
			part[0] = 0xff // NaN
			for n := 1; n < len(part); n *= 2 {
				copy(part[n:], part[:n])
			}
		}
	}
	return w
}

// product is C = D + op(A) op(B) with strides in bytes: element (i, l) of
// op(A) is at ai·i + al·l. Rows of D are di apart; a nil D is zero.
type product struct {
	*gemmSet
	size           int // of an element
	m, n, k        int
	a, b, c, d     *byte
	ai, al, ci, di int
	ldb            int
	transB         bool
	copyA, directB bool
}

// gemmSIMD computes σ(D + alpha op(A) op(B)) for GemmEpilogue; hasSIMD is
// true, and k and alpha are not zero.
func gemmSIMD[T Float](transA, transB bool, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, d []T, ldd int, c []T, ldc int, ep *Epilogue[T]) {
	size := int(unsafe.Sizeof(alpha))
	set := gemm32
	if size == 8 {
		set = gemm64
	}
	out := c
	if ep.Pre != nil {
		out = ep.Pre
	}
	p := product{
		gemmSet: set, size: size, m: m, n: n, k: k,
		a: pointer(a), b: pointer(b), c: pointer(out), d: pointer(d),
		ai: lda * size, al: size, ci: ldc * size, di: ldd * size,
		ldb: ldb * size, transB: transB,
	}
	width := 2 * p.lanes
	if transA {
		p.ai, p.al = p.al, p.ai
		p.copyA = set.packsA && p.al >= stridedA && n > width
	}
	p.directB = !transB && alpha == 1 && (m <= directRows || min(k, blockK)*p.ldb <= directBytes)
	var w *workspace
	if p.copyA || !p.directB || n%p.lanes != 0 {
		w = takeWorkspace()
	}
	blockM := evenly(m, blockRows, 24)
	blockN := evenly(n, blockBytes/size, width)
	if p.directB {
		blockN = n
	}
	for j0 := 0; j0 < n; j0 += blockN {
		nc := min(blockN, n-j0)
		for l0 := 0; l0 < k; l0 += blockK {
			kc := min(blockK, k-l0)
			if w != nil {
				p.packB(w, l0, kc, j0, nc)
			}
			if alpha != 1 {
				x := unsafe.Slice((*T)(unsafe.Pointer(&w.b[0])), (nc+p.lanes-1)/p.lanes*p.lanes*kc)
				Scale(x, alpha, x)
			}
			for i0 := 0; i0 < m; i0 += blockM {
				i1 := min(i0+blockM, m)
				p.multiply(w, i0, i1-i0, l0, kc, j0, nc)
				if l0+kc == k && (ep.Pre != nil || ep.Act != Identity) {
					activateBlock(ep.Act, i0, i1, j0, j0+nc, c, out, ldc)
				}
			}
		}
	}
	if w != nil {
		workspaces.Put(w)
	}
}

// evenly returns the size of the fewest blocks of at most limit, multiples of
// unit, that cover n.
func evenly(n, limit, unit int) int {
	blocks := (n + limit - 1) / limit
	return (n + blocks*unit - 1) / (blocks * unit) * unit
}

// vectors returns the width of the panel that begins cols columns before the
// end: two vectors, but three rather than two and one at the end.
func (s *gemmSet) vectors(cols int) int {
	v := (cols + s.lanes - 1) / s.lanes
	if v > 3 {
		v = 2
	}
	return v
}

// inPlace reports whether a panel is read where it is. One that does not end
// with a whole vector is not, since tiles read the last one to its end.
func (p *product) inPlace(cols int) bool { return p.directB && cols%p.lanes == 0 }

// packed returns where column j of the block of op(B) is packed. If panels are
// read in place, only the last one may not be.
func (p *product) packed(w *workspace, j, kc int) *byte {
	if p.directB {
		return &w.b[0]
	}
	return offset(&w.b[0], j*p.size*kc)
}

// packB copies rows [l0, l0+kc) and columns [j0, j0+nc) of op(B), a panel
// behind the other.
func (p *product) packB(w *workspace, l0, kc, j0, nc int) {
	for j := 0; j < nc; {
		v := p.vectors(nc - j)
		cols := min(v*p.lanes, nc-j)
		dst, stride := p.packed(w, j, kc), v*p.lanes*p.size
		switch {
		case p.inPlace(cols):
			// Nothing to do.
		case p.transB:
			for r := 0; r < cols; r += p.packRows {
				p.packTransposed(offset(dst, r*p.size), offset(p.b, (j0+j+r)*p.ldb+l0*p.size), stride, p.ldb, kc, min(p.packRows, cols-r))
			}
		default:
			p.pack[v-1](dst, offset(p.b, l0*p.ldb+(j0+j)*p.size), stride, p.ldb, kc, cols-(v-1)*p.lanes)
		}
		j += cols
	}
}

// packA copies rows [i0, i0+rows) and columns [l0, l0+kc) of op(A), which is
// transposed, and returns the copy's distance between columns.
func (p *product) packA(w *workspace, i0, rows, l0, kc int) (al int) {
	al = (rows + p.lanes - 1) / p.lanes * p.lanes * p.size
	for i := 0; i < rows; {
		v := p.vectors(rows - i)
		r := min(v*p.lanes, rows-i)
		p.pack[v-1](offset(&w.a[0], i*p.size), offset(p.a, (i0+i)*p.size+l0*p.al), al, p.al, kc, r-(v-1)*p.lanes)
		i += r
	}
	return al
}

// multiply adds the product of op(A) and a block of op(B) to rows
// [i0, i0+rows) and columns [j0, j0+nc) of C. The rows are shared evenly by
// the tiles.
func (p *product) multiply(w *workspace, i0, rows, l0, kc, j0, nc int) {
	a, al := offset(p.a, i0*p.ai+l0*p.al), p.al
	if p.copyA {
		a, al = &w.a[0], p.packA(w, i0, rows, l0, kc)
	}
	d, di := p.d, p.di
	if l0 > 0 {
		d, di = p.c, p.ci
	}
	for j := 0; j < nc; {
		v := p.vectors(nc - j)
		cols := min(v*p.lanes, nc-j)
		var b *byte
		stride := p.ldb
		if p.inPlace(cols) {
			b = offset(p.b, l0*p.ldb+(j0+j)*p.size)
		} else {
			b, stride = p.packed(w, j, kc), v*p.lanes*p.size
		}
		last := cols - (v-1)*p.lanes
		functions := p.tiles[v-1]
		if narrow := p.narrow[v-1]; len(narrow) > 0 && last <= p.lanes/2 {
			functions = narrow
		}
		tiles := (rows + len(functions) - 1) / len(functions)
		height, tall := rows/tiles, rows%tiles
		for i, count := 0, tall; i < rows; {
			h := height
			if i == 0 && tall > 0 {
				h++
			} else {
				count = tiles - tall
			}
			ci := offset(p.c, (i0+i)*p.ci+(j0+j)*p.size)
			di0 := d
			if d != nil {
				di0 = offset(d, (i0+i)*di+(j0+j)*p.size)
			}
			functions[h-1](offset(a, i*p.ai), b, ci, di0, p.ai, al, stride, p.ci, di, kc, count, last)
			i += count * h
		}
		j += cols
	}
}
