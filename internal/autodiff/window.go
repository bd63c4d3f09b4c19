package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// A convolution of stride 1 without copies of patches. In an image that is
// padded on all sides, what row ky of the kernel sees of consecutive pixels
// are windows that slide along: rows of a matrix that overlap. So the
// convolution is a sum of KH products with A_ky, the windows at the distance
// of ky lines, which have KW·In columns; its rows are the pixels in reading
// order, and a few between the lines that are not pixels of the output.

// slides reports whether the convolution is done so. In narrow images there
// would be too many rows between the lines.
func (c *Conv) slides() bool {
	return c.Stride == 1 && c.KH*c.KW > 1 && c.W >= 7 && c.W >= 2*(c.KW-1)
}

// line returns the number of pixels of a line of the padded image.
func (c *Conv) line() int { return c.W + c.KW - 1 }

// windows returns the number of rows of A_ky.
func (c *Conv) windows() int { return (c.H-1)*c.line() + c.W }

// pad copies an image of n channels into the middle of dst, whose border is
// zero already.
func pad[T kernel.Float](c *Conv, dst, x []T, n int) {
	at := ((c.KH-1)/2*c.line() + (c.KW-1)/2) * n
	for ; len(x) > 0; x = x[c.W*n:] {
		copy(dst[at:], x[:c.W*n])
		at += c.line() * n
	}
}

// padded returns memory for a padded image of n channels, all zero.
func (t *Tape[T]) padded(c *Conv, n int) []T {
	p := t.floats.take((c.H + c.KH - 1) * c.line() * n)
	clear(p)
	return p
}

// correlate sets q to the sum of the products of the windows on the padded
// image p of in channels with the kernels w, out×(KH·KW·in), plus bias.
func correlate[T kernel.Float](c *Conv, q, p, w []T, in, out int, bias []T) {
	row := c.KW * in
	var beta T
	for ky := range c.KH {
		kernel.GemmEpilogue(false, true, c.windows(), out, row, 1, p[ky*c.line()*in:], in, w[ky*row:], c.KH*row,
			beta, q, out, kernel.Epilogue[T]{Bias: bias})
		beta, bias = 1, nil
	}
}

// slide computes the value of a convolution; what the activation is applied
// to is left in y.aux if that is other memory than y.val.
func (t *Tape[T]) slide(c *Conv, y *node[T], bias []T) {
	x, w := t.nodes[y.a].val, t.nodes[y.b].val
	n, line := c.H*c.W*c.In, c.W*c.Out
	p, q := t.padded(c, c.In), t.floats.take(c.windows()*c.Out)
	for i := range y.rows {
		pad(c, p, x[i*n:(i+1)*n], c.In)
		correlate(c, q, p, w, c.In, c.Out, bias)
		for j := range c.H {
			copy(y.aux[(i*c.H+j)*line:][:line], q[j*c.line()*c.Out:])
		}
	}
	if y.act != kernel.Identity {
		kernel.Activate(y.act, y.val, y.aux)
	}
}

// slideBack adds to the gradients at the images and the kernels. With Z the
// padded gradient at the output, w̄_ky = ZᵀA_ky, and x̄ is the convolution of Z
// with the kernels turned by half a turn, inputs and outputs exchanged.
func (t *Tape[T]) slideBack(c *Conv, y *node[T]) {
	x, w := t.nodes[y.a].val, t.nodes[y.b].val
	n, k := c.H*c.W*c.In, c.H*c.W*c.Out
	gw, beta := t.gradOf(y.b)
	gx := t.addTo(y.a)
	z := t.padded(c, c.Out)
	origin := ((c.KH-1)/2*c.line() + (c.KW-1)/2) * c.Out
	var p, q, turned []T
	if gw != nil {
		p = t.padded(c, c.In)
	}
	if gx != nil {
		q, turned = t.floats.take(c.windows()*c.In), t.floats.take(len(w))
		turn(c, turned, w)
	}
	for i := range y.rows {
		pad(c, z, y.grad[i*k:(i+1)*k], c.Out)
		if gw != nil {
			pad(c, p, x[i*n:(i+1)*n], c.In)
			row := c.KW * c.In
			for ky := range c.KH {
				kernel.Gemm(true, false, c.Out, row, c.windows(), 1, z[origin:], c.Out, p[ky*c.line()*c.In:], c.In,
					beta, gw[ky*row:], c.KH*row)
			}
			beta = 1
		}
		if gx != nil {
			correlate(c, q, z, turned, c.Out, c.In, nil)
			for j := range c.H {
				g := gx[i*n+j*c.W*c.In:][:c.W*c.In]
				kernel.Add(g, g, q[j*c.line()*c.In:][:len(g)])
			}
		}
	}
}

// turn sets v[i, KH-1-ky, KW-1-kx, o] = w[o, ky, kx, i].
func turn[T kernel.Float](c *Conv, v, w []T) {
	area := c.KH * c.KW
	for o := range c.Out {
		for at := range area {
			for i := range c.In {
				v[(i*area+area-1-at)*c.Out+o] = w[(o*area+at)*c.In+i]
			}
		}
	}
}
