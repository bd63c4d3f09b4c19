package nn

import (
	"fmt"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// UNetOptions are the options of a UNet.
type UNetOptions struct {
	H, W    int   // of the images
	In, Out int   // channels, In if Out is 0
	Patch   int   // side of the squares of pixels that are one pixel to the network, 1 if 0
	Width   int   // channels at the full resolution, 32 if 0
	Mult    []int // channels at each resolution as multiples of Width, {1, 2} if nil; each halves the sides
	Blocks  int   // residual blocks at each resolution, 1 if 0
	Groups  int   // of the normalisations, 8 if 0
	Embed   int   // dimension of the embedding of the condition, 4 Width if 0
	Context int   // dimension of the condition
}

// UNet is a convolutional network with skip connections across resolutions
// (Ronneberger et al. 2015; Ho et al. 2020), conditioned on a vector, in a
// diffusion model the features of the time. Squares of Patch×Patch pixels
// become the channels of one pixel first, and pixels again at the end: most of
// the work of the full resolution is saved. A residual block is
//
//	h ← skip(h) + conv(SiLU(film(norm(conv(SiLU(norm(h)))))))
//
// where film multiplies by 1 + γ and adds β, linear in the embedding of the
// condition. The last convolution of a block and of the network begin at zero.
type UNet[T kernel.Float] struct {
	o        UNetOptions
	squares  []int // where the elements of the squares are in an image of In channels, nil if Patch is 1
	pixels   []int // where those of an image of Out channels are in the squares
	embed    *MLP[T]
	in       *Conv[T]
	down, up [][]*imageBlock[T]
	middle   *imageBlock[T]
	norm     *LayerNorm[T]
	out      *Conv[T]
}

// NewUNet adds a network. The sides of the images must be divisible by 2 for
// each resolution below the full one.
func NewUNet[T kernel.Float](p *Params[T], name string, o *UNetOptions) *UNet[T] {
	u := &UNet[T]{o: *o}
	u.o.defaults()
	o = &u.o
	if o.Patch < 1 || o.H%o.Patch != 0 || o.W%o.Patch != 0 {
		p.Fail(errInvalid("UNet", "images of %d×%d have no squares of %d×%d", o.H, o.W, o.Patch, o.Patch))
		return u
	}
	in, out := o.In, o.Out
	if o.Patch > 1 {
		u.squares = squares(o.H, o.W, in, o.Patch)
		u.pixels = invert(squares(o.H, o.W, out, o.Patch))
		u.o.H, u.o.W = o.H/o.Patch, o.W/o.Patch
		in, out = in*o.Patch*o.Patch, out*o.Patch*o.Patch
	}
	levels := len(o.Mult)
	for i, h, w := 1, o.H, o.W; i < levels; i, h, w = i+1, h/2, w/2 {
		if h%2 != 0 || w%2 != 0 || h == 0 || w == 0 {
			p.Fail(errInvalid("UNet", "images of %d×%d cannot be halved %d times", o.H, o.W, levels-1))
			return u
		}
	}
	if o.Context > 0 {
		u.embed = NewMLP(p, name+".embed", o.Context, o.Embed, &MLPOptions{Hidden: []int{o.Embed}, Act: kernel.SiLU})
	}
	h, w, c := o.H, o.W, o.Width
	u.in = NewConv(p, name+".in", &autodiff.Conv{H: h, W: w, In: in, Out: c, KH: 3, KW: 3, Stride: 1}, kernel.Identity)
	var skips []int
	for l, m := range o.Mult {
		var level []*imageBlock[T]
		for b := range o.Blocks {
			level = append(level, newImageBlock(p, fmt.Sprintf("%s.down.%d.%d", name, l, b), h, w, c, m*o.Width, o))
			c = m * o.Width
			skips = append(skips, c)
		}
		u.down = append(u.down, level)
		if l < levels-1 {
			h, w = h/2, w/2
		}
	}
	u.middle = newImageBlock(p, name+".middle", h, w, c, c, o)
	for l := levels - 1; l >= 0; l-- {
		var level []*imageBlock[T]
		for b := range o.Blocks {
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			level = append(level, newImageBlock(p, fmt.Sprintf("%s.up.%d.%d", name, l, b), h, w, c+skip, skip, o))
			c = skip
		}
		u.up = append(u.up, level)
		if l > 0 {
			h, w = 2*h, 2*w
		}
	}
	u.norm = NewGroupNorm(p, name+".norm", c, o.Groups)
	u.out = newConv(p, name+".out", &autodiff.Conv{H: h, W: w, In: c, Out: out, KH: 3, KW: 3, Stride: 1}, kernel.Identity, Constant(0))
	return u
}

func (o *UNetOptions) defaults() {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.Out, o.In)
	set(&o.Patch, 1)
	set(&o.Width, 32)
	set(&o.Blocks, 1)
	set(&o.Groups, 8)
	set(&o.Embed, 4*o.Width)
	if o.Mult == nil {
		o.Mult = []int{1, 2}
	}
}

// maxSkips bounds the skip connections whose Vars Forward keeps on its stack.
const maxSkips = 64

// Forward returns the output images, r×(H·W·Out), for the images x,
// r×(H·W·In), and the conditions c (r×Context), the zero Var if there are none.
func (u *UNet[T]) Forward(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	var e autodiff.Var
	if u.embed != nil {
		e = t.Activate(kernel.SiLU, u.embed.Forward(t, c))
	}
	h, w := u.o.H, u.o.W
	var room [maxSkips]autodiff.Var
	skips := room[:0]
	if u.squares != nil {
		x = t.GatherCols(x, u.squares)
	}
	x = u.in.Forward(t, x)
	for l, level := range u.down {
		for _, b := range level {
			x = b.forward(t, x, e)
			skips = append(skips, x)
		}
		if l < len(u.down)-1 {
			x = t.AvgPool(x, h, w)
			h, w = h/2, w/2
		}
	}
	x = u.middle.forward(t, x, e)
	for l, level := range u.up {
		for _, b := range level {
			x = concatChannels(t, h*w, x, skips[len(skips)-1])
			skips = skips[:len(skips)-1]
			x = b.forward(t, x, e)
		}
		if l < len(u.up)-1 {
			x = t.Upsample(x, h, w)
			h, w = 2*h, 2*w
		}
	}
	x = u.out.Forward(t, u.norm.activate(t, x, 0, kernel.SiLU))
	if u.pixels != nil {
		x = t.GatherCols(x, u.pixels)
	}
	return x
}

// squares returns where the elements of an image's squares of k×k pixels are,
// square by square and each row by row, in an h×w image of c channels.
func squares(h, w, c, k int) []int {
	at := make([]int, 0, h*w*c)
	for y := 0; y < h; y += k {
		for x := 0; x < w; x += k {
			for dy := range k {
				for dx := range k {
					for ch := range c {
						at = append(at, ((y+dy)*w+x+dx)*c+ch)
					}
				}
			}
		}
	}
	return at
}

// invert returns the inverse of a permutation.
func invert(at []int) []int {
	back := make([]int, len(at))
	for i, j := range at {
		back[j] = i
	}
	return back
}

// concatChannels puts the channels of two images of n pixels side by side.
func concatChannels[T kernel.Float](t *autodiff.Tape[T], n int, a, b autodiff.Var) autodiff.Var {
	r, ca := t.Dims(a)
	_, cb := t.Dims(b)
	y := t.ConcatCols(t.Reshape(a, r*n, ca/n), t.Reshape(b, r*n, cb/n))
	return t.Reshape(y, r, ca+cb)
}

// imageBlock is a residual block of a UNet.
type imageBlock[T kernel.Float] struct {
	norm1, norm2 *LayerNorm[T]
	conv1, conv2 *Conv[T]
	film         *Linear[T]
	skip         *Conv[T] // nil if the channels stay
}

func newImageBlock[T kernel.Float](p *Params[T], name string, h, w, in, out int, o *UNetOptions) *imageBlock[T] {
	b := &imageBlock[T]{}
	b.norm1 = NewGroupNorm(p, name+".norm1", in, o.Groups)
	b.conv1 = NewConv(p, name+".conv1", &autodiff.Conv{H: h, W: w, In: in, Out: out, KH: 3, KW: 3, Stride: 1}, kernel.Identity)
	if o.Context > 0 {
		b.film = NewLinear(p, name+".film", o.Embed, 2*out, kernel.Identity)
	}
	b.norm2 = NewGroupNorm(p, name+".norm2", out, o.Groups)
	b.conv2 = newConv(p, name+".conv2", &autodiff.Conv{H: h, W: w, In: out, Out: out, KH: 3, KW: 3, Stride: 1}, kernel.Identity, Constant(0))
	if in != out {
		b.skip = NewConv(p, name+".skip", &autodiff.Conv{H: h, W: w, In: in, Out: out, KH: 1, KW: 1, Stride: 1}, kernel.Identity)
	}
	return b
}

func (b *imageBlock[T]) forward(t *autodiff.Tape[T], x, e autodiff.Var) autodiff.Var {
	h := b.conv1.Forward(t, b.norm1.activate(t, x, 0, kernel.SiLU))
	var film autodiff.Var
	if b.film != nil {
		film = b.film.Forward(t, e)
	}
	h = b.conv2.Forward(t, b.norm2.activate(t, h, film, kernel.SiLU))
	if b.skip != nil {
		x = b.skip.Forward(t, x)
	}
	return t.Add(x, h)
}
