package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// Convolutions with kernels of 3×3 and stride 1 as Winograd's minimal filtering
// of tiles, see [kernel.WinogradTransform]. With the tiles X of the input, the
// kernels w and a product for each of the 36 pixels s of a transformed tile,
//
//	V = Bᵀ X B,  U = G w Gᵀ,  M_s = V_s U_sᵀ,  Y = Aᵀ M A + b
//	M̄ = A Ȳ Aᵀ,  V̄_s = M̄_s U_s,  Ū_s = M̄_sᵀ V_s,  X̄ = Σ B V̄ Bᵀ,  w̄ = Gᵀ Ū G
//
// V_s is tiles×In, U_s Out×In and M_s tiles×Out.

const (
	tileOut    = 4 // sides of a tile
	tileIn     = 6
	tileSlices = tileIn * tileIn
)

// winograd reports whether the convolution is done so. With few channels the
// transforms would cost more than the products.
func (c *Conv) winograd() bool {
	return c.KH == 3 && c.KW == 3 && c.Stride == 1 && c.H >= tileOut && c.W >= tileOut && c.In >= 8 && c.Out >= 8
}

// strip is the geometry of tiles: h×w in an image.
func (c *Conv) strips() (h, w int) {
	return (c.H + tileOut - 1) / tileOut, (c.W + tileOut - 1) / tileOut
}

// spectrum holds the 36 matrices of transformed tiles of a number of channels.
type spectrum[T kernel.Float] struct {
	v        []T
	stride   int // from one to the next
	channels int
}

// grid is how the slices from row `at` are seen by a transform.
func (s *spectrum[T]) grid() kernel.Grid {
	return kernel.Grid{Tile: s.channels, Line: tileIn * s.stride, Pixel: s.stride}
}

// of returns slice i.
func (s *spectrum[T]) of(i int) []T { return s.v[i*s.stride:][:s.stride] }

// spectrum returns memory for the slices of a number of tiles.
func (t *Tape[T]) spectrum(tiles, channels int) spectrum[T] {
	stride := sliceStride(tiles * channels)
	return spectrum[T]{t.floats.take(tileSlices * stride), stride, channels}
}

// sliceStride returns the distance of slices of n elements: an odd number of
// cache lines, lest they compete for the same ones.
func sliceStride(n int) int { return ((n+align-1)/align | 1) * align }

// transformedKernels are the U of the kernels w. They are kept, since a network
// runs on one block of images after the other with the same weights.
type transformedKernels[T kernel.Float] struct {
	w []T // those that were transformed
	// With tiles for the inputs and the channels of the output side by side,
	// so that U_s is transposed, and the other way round; each may be empty.
	forward, backward spectrum[T]
}

const maxTransformed = 256 // kernels of a tape

// transformed returns the transformed kernels w for the forward or the backward
// pass.
func (t *Tape[T]) transformed(c *Conv, w []T, backward bool) *spectrum[T] {
	k := t.kernels[&w[0]]
	if k == nil || len(k.w) != len(w) {
		if t.kernels == nil || len(t.kernels) >= maxTransformed {
			t.kernels = map[*T]*transformedKernels[T]{}
		}
		k = &transformedKernels[T]{w: make([]T, len(w))}
		t.kernels[&w[0]] = k
	}
	if !kernel.Same(k.w, w) {
		copy(k.w, w)
		k.forward.channels, k.backward.channels = 0, 0
	}
	if backward {
		if k.backward.room(c.Out, c.In) {
			grid := kernel.Grid{Tile: c.patch(), Line: 3 * c.In, Pixel: c.In}
			kernel.Winograd(kernel.WinogradKernel, c.Out, c.In, k.backward.v, k.backward.grid(), w, grid, nil)
		}
		return &k.backward
	}
	if k.forward.room(c.In, c.Out) {
		turned := t.floats.take(len(w))
		kernel.Transpose(c.Out, c.patch(), turned, c.Out, w, c.patch())
		grid := kernel.Grid{Tile: c.Out, Line: 3 * c.In * c.Out, Pixel: c.In * c.Out}
		kernel.Winograd(kernel.WinogradKernel, c.In, c.Out, k.forward.v, k.forward.grid(), turned, grid, nil)
	}
	return &k.forward
}

// room makes s slices of a number of tiles and reports whether it was not.
func (s *spectrum[T]) room(tiles, channels int) bool {
	if s.channels == channels {
		return false
	}
	s.channels, s.stride = channels, sliceStride(tiles*channels)
	if n := tileSlices * s.stride; len(s.v) != n {
		s.v = make([]T, n)
	}
	return true
}

// tiler moves tiles between images and slices.
type tiler[T kernel.Float] struct {
	h, w, channels int
	size           int // sides of a tile in the image: tileIn or tileOut
	margin         int // of the first tile around the image
	strips, across int // tiles of an image
	tile           []T // one tile, for those that are not wholly in the image
}

func (t *Tape[T]) tiler(c *Conv, channels, size int) tiler[T] {
	h, w := c.strips()
	return tiler[T]{c.H, c.W, channels, size, (size - tileOut) / 2, h, w, t.floats.take(size * size * channels)}
}

// each goes over the tiles of strip i of the images, strips being counted
// through all images. whole is called for n tiles that are inside their image,
// the first one beginning at x[at:]; part for one that is not, of which h lines
// of w pixels are there, at x[at:] and in the tile at tile[from:]. k counts
// the tiles of the strip.
func (r *tiler[T]) each(i int, whole func(k, n, at int), part func(k, at, from, h, w int)) {
	img, y := i/r.strips, i%r.strips*tileOut-r.margin
	first := img * r.h * r.w
	y0, y1 := max(y, 0), min(y+r.size, r.h)
	for k := 0; k < r.across; {
		x := k*tileOut - r.margin
		if last := r.w - r.size - x; x >= 0 && last >= 0 && y1-y0 == r.size {
			n := last/tileOut + 1
			whole(k, n, (first+y*r.w+x)*r.channels)
			k += n
			continue
		}
		x0, x1 := max(x, 0), min(x+r.size, r.w)
		part(k, (first+y0*r.w+x0)*r.channels, ((y0-y)*r.size+x0-x)*r.channels, y1-y0, x1-x0)
		k++
	}
}

// image and block are the grids of tiles of an image and of r.tile.
func (r *tiler[T]) image() kernel.Grid {
	return kernel.Grid{Tile: tileOut * r.channels, Line: r.w * r.channels, Pixel: r.channels}
}
func (r *tiler[T]) block() kernel.Grid {
	return kernel.Grid{Line: r.size * r.channels, Pixel: r.channels}
}

// gather transforms the strips [lo, hi) of the images x to s.
func (r *tiler[T]) gather(by kernel.WinogradTransform, s *spectrum[T], x []T, lo, hi int) {
	for i := lo; i < hi; i++ {
		to := s.v[(i-lo)*r.across*r.channels:]
		r.each(i, func(k, n, at int) {
			kernel.Winograd(by, n, r.channels, to[k*r.channels:], s.grid(), x[at:], r.image(), nil)
		}, func(k, at, from, h, w int) {
			clear(r.tile)
			for l := range h {
				copy(r.tile[from+l*r.size*r.channels:][:w*r.channels], x[at+l*r.w*r.channels:])
			}
			kernel.Winograd(by, 1, r.channels, to[k*r.channels:], s.grid(), r.tile, r.block(), nil)
		})
	}
}

// scatter transforms s to the strips [lo, hi) of the images x, adding if the
// transform does.
func (r *tiler[T]) scatter(by kernel.WinogradTransform, x []T, s *spectrum[T], lo, hi int, bias []T) {
	for i := lo; i < hi; i++ {
		from := s.v[(i-lo)*r.across*r.channels:]
		r.each(i, func(k, n, at int) {
			kernel.Winograd(by, n, r.channels, x[at:], r.image(), from[k*r.channels:], s.grid(), bias)
		}, func(k, at, in, h, w int) {
			add := by == kernel.WinogradInputBack
			if add {
				clear(r.tile)
			}
			kernel.Winograd(by, 1, r.channels, r.tile, r.block(), from[k*r.channels:], s.grid(), bias)
			for l := range h {
				line, part := x[at+l*r.w*r.channels:][:w*r.channels], r.tile[in+l*r.size*r.channels:][:w*r.channels]
				if add {
					kernel.Add(line, line, part)
				} else {
					copy(line, part)
				}
			}
		})
	}
}

// chunkElements is what the slices of the strips that are worked on at a time may
// take, about half of a second-level cache.
const chunkElements = 128 << 10

// chunkStrips returns how many strips are worked on at a time: as many as stay
// in the cache, but enough for the products to be worth their names.
func (c *Conv) chunkStrips(r int) int {
	h, w := c.strips()
	n := chunkElements / (tileSlices * w * (c.In + c.Out))
	return min(max(n, (24+w-1)/w), r*h)
}

// winogradForward computes the value of a convolution; what the activation is
// applied to is left in y.aux if that is other memory than y.val.
func (t *Tape[T]) winogradForward(c *Conv, y *node[T], bias []T) {
	x, w := t.nodes[y.a].val, t.nodes[y.b].val
	if len(y.val) == 0 {
		return
	}
	u := t.transformed(c, w, false)
	step := c.chunkStrips(y.rows)
	h, across := c.strips()
	v, m := t.spectrum(step*across, c.In), t.spectrum(step*across, c.Out)
	from, to := t.tiler(c, c.In, tileIn), t.tiler(c, c.Out, tileOut)
	for lo := 0; lo < y.rows*h; lo += step {
		hi := min(lo+step, y.rows*h)
		from.gather(kernel.WinogradInput, &v, x, lo, hi)
		for s := range tileSlices {
			kernel.Gemm(false, false, (hi-lo)*across, c.Out, c.In, 1, v.of(s), c.In, u.of(s), c.Out, 0, m.of(s), c.Out)
		}
		to.scatter(kernel.WinogradOutput, y.aux, &m, lo, hi, bias)
	}
	if y.act != kernel.Identity {
		kernel.Activate(y.act, y.val, y.aux)
	}
}

// winogradBack adds to the gradients at the images and the kernels.
func (t *Tape[T]) winogradBack(c *Conv, y *node[T]) {
	x, w := t.nodes[y.a].val, t.nodes[y.b].val
	gw, gx := t.addTo(y.b), t.addTo(y.a)
	if len(y.grad) == 0 {
		return
	}
	step := c.chunkStrips(y.rows)
	h, across := c.strips()
	v, m := t.spectrum(step*across, c.In), t.spectrum(step*across, c.Out)
	images, outputs := t.tiler(c, c.In, tileIn), t.tiler(c, c.Out, tileOut)
	var u *spectrum[T]
	if gx != nil {
		u = t.transformed(c, w, true)
	}
	var gu spectrum[T]
	if gw != nil {
		gu = t.spectrum(c.Out, c.In)
	}
	for lo := 0; lo < y.rows*h; lo += step {
		hi := min(lo+step, y.rows*h)
		tiles := (hi - lo) * across
		outputs.gather(kernel.WinogradOutputBack, &m, y.grad, lo, hi)
		if gw != nil {
			var beta T
			if lo > 0 {
				beta = 1
			}
			images.gather(kernel.WinogradInput, &v, x, lo, hi)
			for s := range tileSlices {
				kernel.Gemm(true, false, c.Out, c.In, tiles, 1, m.of(s), c.Out, v.of(s), c.In, beta, gu.of(s), c.In)
			}
		}
		if gx != nil {
			for s := range tileSlices {
				kernel.Gemm(false, false, tiles, c.In, c.Out, 1, m.of(s), c.Out, u.of(s), c.In, 0, v.of(s), c.In)
			}
			images.scatter(kernel.WinogradInputBack, gx, &v, lo, hi, nil)
		}
	}
	if gw != nil {
		kernel.Winograd(kernel.WinogradKernelBack, c.Out, c.In, gw, kernel.Grid{Tile: c.patch(), Line: 3 * c.In, Pixel: c.In}, gu.v, gu.grid(), nil)
	}
}
