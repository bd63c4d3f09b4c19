package autodiff

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Conv is the geometry of a convolution of images that are rows of a matrix:
// H×W pixels of In channels, the channels of a pixel side by side. The image
// is padded with (KH-1)/2 and (KW-1)/2 zeros on each side. A sequence is an
// image of height 1 with KH = 1.
type Conv struct {
	H, W, In int // of the input
	Out      int // channels of the output
	KH, KW   int // size of the kernel, odd
	Stride   int
}

// OutDims returns the height and width of the output.
func (c *Conv) OutDims() (h, w int) {
	return (c.H-1)/c.Stride + 1, (c.W-1)/c.Stride + 1
}

// patch returns the number of input elements that an output pixel sees.
func (c *Conv) patch() int { return c.KH * c.KW * c.In }

// Conv returns σ(k * x + b), the convolution (in truth the correlation) of
// the images x with the kernels w, Out×(KH·KW·In), plus a bias for each
// channel (1×Out, or the zero Var). The images become matrices of patches,
// and the convolution their product with wᵀ; x̄ and w̄ follow as in
// [Tape.Linear]. With stride 1 the patches need not be copied, see window.go.
// The tape keeps c until the next Reset.
func (t *Tape[T]) Conv(c *Conv, x, w, b Var, act kernel.Activation) Var {
	r, n := t.Dims(x)
	m, p := t.Dims(w)
	if n != c.H*c.W*c.In || m != c.Out || p != c.patch() || b != 0 && len(t.nodes[b].val) != m {
		t.shapePanic(fmt.Sprintf("Conv%+v", *c), x, w, b)
	}
	oh, ow := c.OutDims()
	v, y := t.record(conv[T]{}, node[T]{a: x, b: w, c: b, rows: r, cols: oh * ow * m, act: act, spec: c})
	ep := kernel.Epilogue[T]{Act: act}
	if b != 0 {
		ep.Bias = t.nodes[b].val
	}
	y.aux = y.val
	if y.needs && !act.FromOutput() {
		y.aux = t.floats.take(len(y.val))
	}
	if c.winograd() {
		t.winogradForward(c, y, ep.Bias)
		return v
	}
	if c.slides() {
		t.slide(c, y, ep.Bias)
		return v
	}
	xv, wv, yv, pre := t.nodes[x].val, t.nodes[w].val, y.val, y.aux
	step := c.chunk(r)
	col := t.patches(c, step)
	for i := 0; i < r; i += step {
		k := min(step, r-i)
		px := unfold(c, col, xv[i*n:(i+k)*n], k)
		lo, hi := i*oh*ow*m, (i+k)*oh*ow*m
		if !act.FromOutput() && y.needs {
			ep.Pre = pre[lo:hi]
		}
		kernel.GemmEpilogue(false, true, k*oh*ow, m, p, 1, px, p, wv, p, 0, yv[lo:hi], m, ep)
	}
	return v
}

type conv[T kernel.Float] struct{}

func (conv[T]) backward(t *Tape[T], y *node[T]) {
	c := y.spec.(*Conv)
	oh, ow := c.OutDims()
	z := y.grad
	kernel.MulDerivative(y.act, z, z, y.aux)
	switch {
	case c.winograd():
		t.winogradBack(c, y)
	case c.slides():
		t.slideBack(c, y)
	default:
		t.unfoldBack(c, y)
	}
	if g := t.addTo(y.c); g != nil {
		foldRows(z, y.rows*oh*ow)
		kernel.Add(g, g, z[:c.Out])
	}
}

// unfoldBack adds to the gradients at the images and the kernels.
func (t *Tape[T]) unfoldBack(c *Conv, y *node[T]) {
	r, n, m, p := y.rows, c.H*c.W*c.In, c.Out, c.patch()
	oh, ow := c.OutDims()
	z := y.grad
	gw, beta := t.gradOf(y.b)
	gx := t.addTo(y.a)
	xv, wv := t.nodes[y.a].val, t.nodes[y.b].val
	step := c.chunk(r)
	col := t.patches(c, step)
	for i := 0; i < r; i += step {
		k := min(step, r-i)
		zi := z[i*oh*ow*m : (i+k)*oh*ow*m]
		if gw != nil {
			px := unfold(c, col, xv[i*n:(i+k)*n], k)
			kernel.Gemm(true, false, m, p, k*oh*ow, 1, zi, m, px, p, beta, gw, p)
			beta = 1
		}
		switch {
		case gx == nil:
		case col == nil:
			kernel.Gemm(false, false, k*oh*ow, p, m, 1, zi, m, wv, p, 1, gx[i*n:(i+k)*n], p)
		default:
			kernel.Gemm(false, false, k*oh*ow, p, m, 1, zi, m, wv, p, 0, col[:k*oh*ow*p], p)
			fold(c, gx[i*n:(i+k)*n], col, k)
		}
	}
}

// chunk returns how many images are unfolded at a time, such that their
// patches stay in the cache while the product has rows enough.
func (c *Conv) chunk(r int) int {
	h, w := c.OutDims()
	return max(1, min(r, 256/(h*w)))
}

// patches returns memory for the patches of n images, nil if the image is its
// own matrix of patches.
func (t *Tape[T]) patches(c *Conv, n int) []T {
	if c.KH == 1 && c.KW == 1 && c.Stride == 1 {
		return nil
	}
	h, w := c.OutDims()
	return t.floats.take(n * h * w * c.patch())
}

// unfold writes the patches of n images to col and returns it; with a nil col
// the images are their patches.
func unfold[T kernel.Float](c *Conv, col, x []T, n int) []T {
	if col == nil {
		return x
	}
	oh, ow := c.OutDims()
	row := c.KW * c.In
	at := 0
	for img := range n {
		xi := x[img*c.H*c.W*c.In : (img+1)*c.H*c.W*c.In]
		for oy := range oh {
			for ox := range ow {
				for ky := range c.KH {
					dst := col[at : at+row]
					at += row
					from, to, length := c.overlap(oy, ox, ky)
					clear(dst[:to])
					copy(dst[to:to+length], xi[from:])
					clear(dst[to+length:])
				}
			}
		}
	}
	return col
}

// fold adds the patches of n images to x, the transpose of unfold.
func fold[T kernel.Float](c *Conv, x, col []T, n int) {
	oh, ow := c.OutDims()
	row := c.KW * c.In
	at := 0
	for img := range n {
		xi := x[img*c.H*c.W*c.In : (img+1)*c.H*c.W*c.In]
		for oy := range oh {
			for ox := range ow {
				for ky := range c.KH {
					src := col[at : at+row]
					at += row
					from, to, length := c.overlap(oy, ox, ky)
					dst := xi[from : from+length]
					kernel.Add(dst, dst, src[to:to+length])
				}
			}
		}
	}
}

// overlap returns what row ky of the kernel sees of the image for the output
// pixel (oy, ox): length elements, beginning at from in the image and at to
// in the row of the kernel.
func (c *Conv) overlap(oy, ox, ky int) (from, to, length int) {
	y, x := oy*c.Stride-(c.KH-1)/2+ky, ox*c.Stride-(c.KW-1)/2
	lo, hi := max(0, -x), min(c.KW, c.W-x)
	if y < 0 || y >= c.H || lo >= hi {
		return 0, 0, 0
	}
	return (y*c.W + x + lo) * c.In, lo * c.In, (hi - lo) * c.In
}
