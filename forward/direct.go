package forward

import (
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/par"
)

// direct sums over the entries of the point spread function, for small ones.
// Both methods compute whole rows of the result independently of each other:
// Apply gathers the rows that an output reads, Adjoint those that read it.
type direct struct {
	row, col axis
	g        []float64 // the point spread function turned by 180°, p×p row by row
	separable
	work, pass sync.Pool // of *directWork, *directPass
}

// separable holds the factors of g = a bᵀ, if it has rank one.
type separable struct{ a, b []float64 }

// directWork is the scratch for one row of the result.
type directWork struct{ line, extended []float64 }

func newDirect(row, col axis, g []float64, f separable) *direct {
	row.transpose()
	d := &direct{row: row, col: col, g: g, separable: f}
	d.work.New = func() any {
		return &directWork{line: make([]float64, col.n), extended: make([]float64, len(col.source))}
	}
	d.pass.New = func() any { return &directPass{d: d} }
	return d
}

func (d *direct) apply(dst, x []float64)   { d.run(dst, x, d.row.m, false) }
func (d *direct) adjoint(dst, y []float64) { d.run(dst, y, d.row.n, true) }

// directPass is the body of the loop over blocks of rows of the result.
type directPass struct {
	d       *direct
	dst, x  []float64
	rows    int
	adjoint bool
}

// rowBlock is the number of rows of an image that a goroutine takes at a time.
const rowBlock = 16

func (d *direct) run(dst, x []float64, rows int, adjoint bool) {
	p := d.pass.Get().(*directPass)
	p.dst, p.x, p.rows, p.adjoint = dst, x, rows, adjoint
	blocks := (rows + rowBlock - 1) / rowBlock
	if len(dst) >= manyValues {
		par.Run(blocks, p)
	} else {
		for i := range blocks {
			p.Do(i)
		}
	}
	p.dst, p.x = nil, nil
	d.pass.Put(p)
}

// Do computes block b.
func (p *directPass) Do(b int) {
	w := p.d.work.Get().(*directWork)
	for i := b * rowBlock; i < min((b+1)*rowBlock, p.rows); i++ {
		switch {
		case p.adjoint && p.d.a != nil:
			p.d.adjointSeparable(w, p.dst, p.x, i)
		case p.adjoint:
			p.d.adjointRow(w, p.dst, p.x, i)
		case p.d.a != nil:
			p.d.applySeparable(w, p.dst, p.x, i)
		default:
			p.d.applyRow(w, p.dst, p.x, i)
		}
	}
	p.d.work.Put(w)
}

// applyRow computes row i of the output.
func (d *direct) applyRow(w *directWork, dst, x []float64, i int) {
	out := dst[i*d.col.m : (i+1)*d.col.m]
	clear(out)
	for q := range d.row.p {
		r := d.row.source[d.row.stride*i+q]
		if r < 0 {
			continue
		}
		d.col.extend(w.extended, x[r*d.col.n:(r+1)*d.col.n])
		for k, g := range d.g[q*d.col.p : (q+1)*d.col.p] {
			if g != 0 {
				d.col.gather(out, g, w.extended[k:])
			}
		}
	}
}

// adjointRow computes row j of the transpose.
func (d *direct) adjointRow(w *directWork, dst, y []float64, j int) {
	clear(w.extended)
	for _, r := range d.row.readers[j] {
		from := y[r.i*d.col.m : (r.i+1)*d.col.m]
		for k, g := range d.g[r.q*d.col.p : (r.q+1)*d.col.p] {
			if g != 0 {
				d.col.scatter(w.extended[k:], g, from)
			}
		}
	}
	d.col.fold(dst[j*d.col.n:(j+1)*d.col.n], w.extended)
}

func (d *direct) applySeparable(w *directWork, dst, x []float64, i int) {
	clear(w.line)
	for q, a := range d.a {
		if r := d.row.source[d.row.stride*i+q]; r >= 0 {
			kernel.Axpy(w.line, a, x[r*d.col.n:(r+1)*d.col.n])
		}
	}
	d.col.extend(w.extended, w.line)
	out := dst[i*d.col.m : (i+1)*d.col.m]
	clear(out)
	for k, b := range d.b {
		d.col.gather(out, b, w.extended[k:])
	}
}

func (d *direct) adjointSeparable(w *directWork, dst, y []float64, j int) {
	line := w.line[:d.col.m]
	clear(line)
	for _, r := range d.row.readers[j] {
		kernel.Axpy(line, d.a[r.q], y[r.i*d.col.m:(r.i+1)*d.col.m])
	}
	clear(w.extended)
	for k, b := range d.b {
		d.col.scatter(w.extended[k:], b, line)
	}
	d.col.fold(dst[j*d.col.n:(j+1)*d.col.n], w.extended)
}

// gather adds c x̃[stride·i] to dst[i].
func (a *axis) gather(dst []float64, c float64, x []float64) {
	if a.stride == 1 {
		kernel.Axpy(dst, c, x[:len(dst)])
		return
	}
	for i := range dst {
		dst[i] += c * x[a.stride*i]
	}
}

// scatter is the transpose of gather.
func (a *axis) scatter(dst []float64, c float64, y []float64) {
	if a.stride == 1 {
		kernel.Axpy(dst[:len(y)], c, y)
		return
	}
	for i, v := range y {
		dst[a.stride*i] += c * v
	}
}
