package kernel

import "fmt"

// WinogradTransform is one of the linear maps Y = L X Lᵀ of Winograd's
// convolution with kernels of 3×3 (Lavin and Gray 2016): tiles of 4×4 outputs
//
//	Y = Aᵀ ((G w Gᵀ) ∘ (Bᵀ X B)) A
//
// from tiles X of 6×6 inputs that overlap by two. Summed over the channels of
// the input, the products ∘ are 36 matrix products, with a quarter of the
// multiplications of the convolution.
type WinogradTransform uint8

// The transforms, and their transposes for the backward pass.
const (
	WinogradInput      WinogradTransform = iota // Bᵀ X B, 6×6 from 6×6
	WinogradOutput                              // Aᵀ X A + bias, 4×4 from 6×6
	WinogradKernel                              // G X Gᵀ, 6×6 from 3×3
	WinogradInputBack                           // adds B X Bᵀ, 6×6 from 6×6
	WinogradOutputBack                          // A X Aᵀ, 6×6 from 4×4
	WinogradKernelBack                          // adds Gᵀ X G, 3×3 from 6×6
)

// Grid is how tiles of pixels lie in memory: the distances from one tile,
// line and pixel to the next. The channels of a pixel are side by side.
type Grid struct{ Tile, Line, Pixel int }

// end returns the length of the memory of a number of tiles of n×n pixels.
func (g Grid) end(tiles, n, channels int) int {
	return (tiles-1)*g.Tile + (n-1)*(g.Line+g.Pixel) + channels
}

// Winograd transforms each channel of each tile. Only WinogradOutput takes a
// bias, one element a channel, or nil.
func Winograd[T Float](t WinogradTransform, tiles, channels int, dst []T, dg Grid, src []T, sg Grid, bias []T) {
	if tiles <= 0 || channels <= 0 {
		return
	}
	l := winogradMatrices[t]
	if need := dg.end(tiles, len(l), channels); need > len(dst) {
		panic(fmt.Sprintf("kernel: Winograd to %d elements, needs %d", len(dst), need))
	}
	if need := sg.end(tiles, len(l[0]), channels); need > len(src) {
		panic(fmt.Sprintf("kernel: Winograd of %d elements, needs %d", len(src), need))
	}
	if bias != nil {
		checkLen("bias and channels", channels, len(bias))
	}
	if winogradSIMD(t, tiles, channels, dst, dg, src, sg, bias) {
		return
	}
	for i := range tiles {
		for c := range channels {
			var b T
			if bias != nil {
				b = bias[c]
			}
			winogradTile(l, t == WinogradInputBack || t == WinogradKernelBack, dst[i*dg.Tile+c:], dg, src[i*sg.Tile+c:], sg, b)
		}
	}
}

// winogradTile transforms one channel of a tile.
func winogradTile[T Float](l [][]float64, add bool, dst []T, dg Grid, src []T, sg Grid, bias T) {
	var lx [6][6]T
	n := len(l[0])
	for i, row := range l {
		for j := range n {
			var s T
			for k, f := range row {
				s += T(f) * src[k*sg.Line+j*sg.Pixel]
			}
			lx[i][j] = s
		}
	}
	for i := range l {
		for j, row := range l {
			s := bias
			for k, f := range row {
				s += T(f) * lx[i][k]
			}
			if at := i*dg.Line + j*dg.Pixel; add {
				dst[at] += s
			} else {
				dst[at] = s
			}
		}
	}
}

// Transpose sets dst[j*ldd+i] = src[i*lds+j] for a rows×cols matrix src.
func Transpose[T Float](rows, cols int, dst []T, ldd int, src []T, lds int) {
	checkMatrix("dst", cols, rows, ldd, len(dst))
	checkMatrix("src", rows, cols, lds, len(src))
	if rows <= 0 || cols <= 0 || transposeSIMD(dst, ldd, src, lds, rows, cols) {
		return
	}
	for i := range rows {
		for j, x := range src[i*lds : i*lds+cols] {
			dst[j*ldd+i] = x
		}
	}
}
