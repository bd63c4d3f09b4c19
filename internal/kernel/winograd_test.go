package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The transforms make a convolution: Y = Aᵀ((G w Gᵀ) ∘ (Bᵀ X B))A + b.
func TestWinogradIsConvolution(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		t.Run("float32", testWinogradIsConvolution[float32])
		t.Run("float64", testWinogradIsConvolution[float64])
	})
}

func testWinogradIsConvolution[T Float](t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, channels := range []int{1, 3, 8, 16, 21, 32} {
		const tiles = 3
		x, w, b := random[T](rnd, 6, 14*channels, 14*channels), random[T](rnd, 3, 3*channels, 3*channels), random[T](rnd, 1, channels, channels)
		slice := tiles*channels + 5
		v, u, y := make([]T, 36*slice), make([]T, 36*slice), make([]T, 4*12*channels)
		slices := Grid{Tile: channels, Line: 6 * slice, Pixel: slice}
		Winograd(WinogradInput, tiles, channels, v, slices, x, Grid{4 * channels, 14 * channels, channels}, nil)
		Winograd(WinogradKernel, 1, channels, u, slices, w, Grid{0, 3 * channels, channels}, nil)
		for s := range 36 {
			for i := range tiles {
				Mul(v[s*slice+i*channels:][:channels], v[s*slice+i*channels:][:channels], u[s*slice:][:channels])
			}
		}
		Winograd(WinogradOutput, tiles, channels, y, Grid{4 * channels, 12 * channels, channels}, v, slices, b)
		for at, got := range y {
			row, col, c := at/channels/12, at/channels%12, at%channels
			want := float64(b[c])
			for ky := range 3 {
				for kx := range 3 {
					want += float64(x[((row+ky)*14+col+kx)*channels+c]) * float64(w[(ky*3+kx)*channels+c])
				}
			}
			tile := col / 4 * 4
			bound := winogradBound(x[tile*channels+c:], 14*channels, w[c:], 3*channels, channels, row, col-tile)
			if e := math.Abs(float64(got) - want); e > bound*eps[T]() {
				t.Fatalf("%d channels: pixel (%d, %d), channel %d is %v, want %v: error %.3g, bound %.3g", channels, row, col, c, got, want, e, bound*eps[T]())
			}
		}
	}
}

// winogradBound bounds the rounding error of output (i, j) of a tile in units
// of the last place of 1. On no way from an input to an output is a number
// rounded more than 31 times: 6 and 6 times in the transform of the inputs, 3
// and 3 in that of the kernel, 1 in the product, 6 and 6 in the last transform
// and once with the bias, which is below 4.
func winogradBound[T Float](x []T, lineX int, w []T, lineW, pixel, i, j int) float64 {
	const roundings = 31
	absolute := func(t WinogradTransform, x []float64) []float64 {
		l := make([][]float64, len(winogradMatrices[t]))
		for i, row := range winogradMatrices[t] {
			for _, c := range row {
				l[i] = append(l[i], math.Abs(c))
			}
		}
		y := make([]float64, len(l)*len(l))
		winogradTile(l, false, y, Grid{0, len(l), 1}, x, Grid{0, len(l[0]), 1}, 0)
		return y
	}
	var in, kernel []float64
	for r := range 6 {
		for c := range 6 {
			in = append(in, math.Abs(float64(x[r*lineX+c*pixel])))
			if r < 3 && c < 3 {
				kernel = append(kernel, math.Abs(float64(w[r*lineW+c*pixel])))
			}
		}
	}
	m := absolute(WinogradInput, in)
	for s, u := range absolute(WinogradKernel, kernel) {
		m[s] *= u
	}
	return roundings / 2. * (absolute(WinogradOutput, m)[i*4+j] + 4)
}

// The transforms of the backward pass are the transposes: ⟨L X Lᵀ, Y⟩ = ⟨X, Lᵀ Y L⟩.
func TestWinogradTransposes(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testWinogradTransposes[float32](t)
		testWinogradTransposes[float64](t)
	})
}

func testWinogradTransposes[T Float](t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, pair := range [][2]WinogradTransform{{WinogradInput, WinogradInputBack}, {WinogradOutput, WinogradOutputBack}, {WinogradKernel, WinogradKernelBack}} {
		out, in := len(winogradMatrices[pair[0]]), len(winogradMatrices[pair[0]][0])
		for _, channels := range []int{1, 7, 16, 40} {
			const tiles = 2
			from := Grid{in * in * channels, in * channels, channels}
			to := Grid{out * out * channels, out * channels, channels}
			x, y := random[T](rnd, tiles, from.Tile, from.Tile), random[T](rnd, tiles, to.Tile, to.Tile)
			lx, ly := make([]T, len(y)), make([]T, len(x))
			Winograd(pair[0], tiles, channels, lx, to, x, from, nil)
			Winograd(pair[1], tiles, channels, ly, from, y, to, nil)
			var a, b, size float64
			for i := range y {
				a += float64(lx[i]) * float64(y[i])
				size += math.Abs(float64(lx[i]) * float64(y[i]))
			}
			for i := range x {
				b += float64(x[i]) * float64(ly[i])
				size += math.Abs(float64(x[i]) * float64(ly[i]))
			}
			if math.Abs(a-b) > 10*size*eps[T]() {
				t.Errorf("transform %d, %d channels: %v and %v", pair[0], channels, a, b)
			}
		}
	}
}

// eps is the distance from 1 to the next number.
func eps[T Float]() float64 {
	if T(1)+T(1)/(1<<30) == 1 {
		return 0x1p-23
	}
	return 0x1p-52
}

func TestTranspose(t *testing.T) {
	forEachPath(t, func(t *testing.T) {
		testTranspose[float32](t)
		testTranspose[float64](t)
	})
}

func testTranspose[T Float](t *testing.T) {
	for rows := 1; rows < 20; rows++ {
		for _, cols := range []int{1, 3, 8, 19} {
			const margin = 2
			lds, ldd := cols+1, rows+3
			src, dst := make([]T, rows*lds), make([]T, cols*ldd+margin)
			for i := range src {
				src[i] = T(i + 1)
			}
			Transpose(rows, cols, dst, ldd, src, lds)
			for at, got := range dst {
				j, i := at/ldd, at%ldd
				var want T
				if j < cols && i < rows {
					want = src[i*lds+j]
				}
				if got != want {
					t.Fatalf("%d×%d: element (%d, %d) is %v, want %v", rows, cols, j, i, got, want)
				}
			}
		}
	}
}

func BenchmarkWinograd(b *testing.B) {
	const tiles, channels = 49, 32
	slice := tiles*channels + 16
	v, x := make([]float32, 36*slice), make([]float32, 200*34*channels)
	slices, image := Grid{channels, 6 * slice, slice}, Grid{4 * channels, 30 * channels, channels}
	for t := WinogradInput; t <= WinogradKernelBack; t++ {
		b.Run(fmt.Sprint(t), func(b *testing.B) {
			for b.Loop() {
				if t == WinogradInput || t == WinogradKernel || t == WinogradOutputBack {
					Winograd(t, tiles, channels, v, slices, x, image, nil)
				} else {
					Winograd(t, tiles, channels, x, image, v, slices, nil)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(tiles*channels), "ns/tile")
		})
	}
}
