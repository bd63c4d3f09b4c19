//go:build amd64 && !noasm

package kernel

import "unsafe"

// winogradSet holds the transforms of one instruction set and element type.
type winogradSet struct {
	lanes      int // of a vector
	transforms [WinogradKernelBack + 1]func(dst, src, bias, scratch *byte, dt, dl, dp, st, sl, sp, tiles, channels int)
}

func winogradSIMD[T Float](t WinogradTransform, tiles, channels int, dst []T, dg Grid, src []T, sg Grid, bias []T) bool {
	size := int(unsafe.Sizeof(T(0)))
	set := winograd32
	if size == 8 {
		set = winograd64
	}
	if set == nil {
		return false
	}
	w := takeWorkspace()
	b := pointer(bias)
	if b == nil {
		b = &w.b[0]
		clear(unsafe.Slice(b, channels*size))
	}
	set.transforms[t](pointer(dst), pointer(src), b, &w.a[0],
		dg.Tile*size, dg.Line*size, dg.Pixel*size, sg.Tile*size, sg.Line*size, sg.Pixel*size, tiles, channels)
	workspaces.Put(w)
	return true
}

func transposeSIMD[T Float](dst []T, ldd int, src []T, lds, rows, cols int) bool {
	size := int(unsafe.Sizeof(T(0)))
	set := gemm32
	if size == 8 {
		set = gemm64
	}
	if set == nil {
		return false
	}
	// The last rows are done with the ones before them, since whole vectors
	// are stored.
	if rows < set.packRows {
		return false
	}
	for i := 0; i < rows; i += set.packRows {
		r := min(i, rows-set.packRows)
		set.packTransposed(offset(pointer(dst), r*size), offset(pointer(src), r*lds*size), ldd*size, lds*size, cols, set.packRows)
	}
	return true
}
