package forward

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse"
	"github.com/go-inverse/inverse/internal/par"
)

// Radon is the Radon transform of an image: integrals along the rays of a
// parallel or a fan beam, from many angles. It is the forward model of
// computed tomography.
//
// An image is rows×cols, stored row by row, of unit pixels. The origin is its
// centre, the first axis points right along a row and the second up, so that
// pixel (i, j) has its centre at (j - (cols-1)/2, (rows-1)/2 - i). At angle θ
// the detectors lie along (cos θ, sin θ), at offsets
//
//	s_j = (j - (Detectors-1)/2) Spacing,
//
// and a parallel beam measures the line integrals
//
//	p(θ, s) = ∫ f(s cos θ - t sin θ, s sin θ + t cos θ) dt.
//
// A fan beam comes from a source at -SourceDistance (-sin θ, cos θ) and meets
// a flat detector through DetectorDistance (-sin θ, cos θ). The data are in
// pixel lengths, angle by angle: datum a·Detectors + j belongs to angle a and
// detector j.
//
// A ray is sampled where it crosses the rows, or the columns if it is nearer
// to them, with linear interpolation between the pixels (Joseph, IEEE Trans.
// Med. Imaging 1, 1982). For a parallel beam this is done for rays a pixel
// apart, as a shear of the image, and interpolated to the detectors by cubics,
// which is as accurate and five times as fast. No matrix is stored. Adjoint is the exact transpose
// of Apply. Both run on all cores.
type Radon struct {
	rows, cols int
	angles     []float64
	geometry   RadonOptions
	beam       beam
	passes     sync.Pool // of *radonPass
}

var _ inverse.Linear = (*Radon)(nil)

// RadonOptions is the geometry of a scanner, in pixels.
type RadonOptions struct {
	// Detectors is the number of detectors. If 0, there are as many as see
	// the whole image from any angle.
	Detectors int
	// Spacing is the distance of detectors. If 0, it is 1.
	Spacing float64
	// SourceDistance is the distance of the source from the image's centre
	// for a fan beam, more than half of the image's diagonal and a pixel. If
	// 0, the beam is parallel.
	SourceDistance float64
	// DetectorDistance is the distance of the detector from the image's
	// centre, for a fan beam. It may be 0.
	DetectorDistance float64
}

// NewRadon returns the Radon transform of rows×cols images at the given
// angles, in radians. Nil options mean a parallel beam.
func NewRadon(rows, cols int, angles []float64, o *RadonOptions) (*Radon, error) {
	if o == nil {
		o = &RadonOptions{}
	}
	g := *o
	radius := math.Hypot(float64(rows), float64(cols))/2 + 1 // with the reach of interpolation
	switch {
	case rows < 1 || cols < 1:
		return nil, fmt.Errorf("forward: Radon: image of %d×%d pixels, want at least 1×1", rows, cols)
	case len(angles) == 0:
		return nil, fmt.Errorf("forward: Radon: no angles")
	case !finite(angles):
		return nil, fmt.Errorf("forward: Radon: angles have a value that is not finite")
	case g.Detectors < 0:
		return nil, fmt.Errorf("forward: Radon: Detectors is %d, want at least 1, or 0 for the default", g.Detectors)
	case !(g.Spacing >= 0) || math.IsInf(g.Spacing, 1):
		return nil, fmt.Errorf("forward: Radon: Spacing is %v, want a positive number, or 0 for the default", g.Spacing)
	case g.SourceDistance != 0 && !(g.SourceDistance > radius && !math.IsInf(g.SourceDistance, 1)):
		return nil, fmt.Errorf("forward: Radon: SourceDistance is %v, want more than half the diagonal and 1, %.4g, or 0 for a parallel beam", g.SourceDistance, radius)
	case !(g.DetectorDistance >= 0) || math.IsInf(g.DetectorDistance, 1):
		return nil, fmt.Errorf("forward: Radon: DetectorDistance is %v, want a number that is not negative", g.DetectorDistance)
	case g.SourceDistance == 0 && g.DetectorDistance != 0:
		return nil, fmt.Errorf("forward: Radon: DetectorDistance is %v without a SourceDistance", g.DetectorDistance)
	}
	if g.Spacing == 0 {
		g.Spacing = 1
	}
	if g.Detectors == 0 {
		half := radius
		if s := g.SourceDistance; s > 0 {
			half = (s + g.DetectorDistance) * radius / math.Sqrt((s-radius)*(s+radius))
		}
		if half/g.Spacing > 1e6 {
			return nil, fmt.Errorf("forward: Radon: to see the whole image takes %.3g detectors: give their number, or a longer Spacing or SourceDistance", 2*half/g.Spacing)
		}
		g.Detectors = 2*int(math.Ceil(half/g.Spacing)) + 1
	}
	r := &Radon{rows: rows, cols: cols, angles: append([]float64(nil), angles...), geometry: g}
	if g.SourceDistance > 0 {
		r.beam = newFanBeam(r)
	} else {
		r.beam = newParallelBeam(r)
	}
	r.passes.New = func() any { return newRadonPass(r) }
	return r, nil
}

// Dims returns the number of data, angles times detectors, and of pixels.
func (r *Radon) Dims() (m, n int) {
	return len(r.angles) * r.geometry.Detectors, r.rows * r.cols
}

// Geometry returns the options with the defaults filled in.
func (r *Radon) Geometry() RadonOptions { return r.geometry }

// ray returns the line n·x = s, with n = (cos φ, sin φ), that detector j sees
// at angle a.
func (r *Radon) ray(a, j int) (phi, s float64) {
	g := &r.geometry
	phi, s = r.angles[a], (float64(j)-float64(g.Detectors-1)/2)*g.Spacing
	if g.SourceDistance > 0 {
		to := g.SourceDistance + g.DetectorDistance
		phi, s = phi-math.Atan(s/to), g.SourceDistance*s/math.Hypot(s, to)
	}
	return phi, s
}

// A crossing says where the line n·x = s meets the rows of an image, or the
// columns: line i at position s·gain + start + slope·i, in pixels from the
// centre of the first pixel. Between two of them the ray is length long.
type crossing struct {
	across                     int // 0 for rows, 1 for columns
	gain, start, slope, length float64
}

func (r *Radon) crossing(phi float64) crossing {
	x, y := float64(r.cols-1)/2, float64(r.rows-1)/2
	sin, cos := math.Sincos(phi)
	if math.Abs(cos) >= math.Abs(sin) {
		t := sin / cos
		return crossing{across: 0, gain: 1 / cos, start: x - y*t, slope: t, length: 1 / math.Abs(cos)}
	}
	t := cos / sin
	return crossing{across: 1, gain: -1 / sin, start: y - x*t, slope: t, length: 1 / math.Abs(sin)}
}

// Apply sets the rows of dst to the sinograms of the images in the rows of x.
func (r *Radon) Apply(dst, x *mat.Dense) {
	m, n := r.Dims()
	checkBatch(dst, m, x, n)
	p := r.passes.Get().(*radonPass)
	rows, _ := x.Dims()
	for i := range rows {
		p.image, p.data = x.RawRowView(i), dst.RawRowView(i)
		p.run(split, p.strips[0])
		p.run(project, len(r.angles))
	}
	p.image, p.data = nil, nil
	r.passes.Put(p)
}

// Adjoint sets the rows of dst to the back-projections of the sinograms in
// the rows of y.
func (r *Radon) Adjoint(dst, y *mat.Dense) {
	m, n := r.Dims()
	checkBatch(dst, n, y, m)
	p := r.passes.Get().(*radonPass)
	rows, _ := y.Dims()
	for i := range rows {
		p.image, p.data = dst.RawRowView(i), y.RawRowView(i)
		p.run(spread, len(r.angles))
		p.run(smear, p.strips[0]+p.strips[1])
		p.run(join, p.strips[0])
	}
	p.image, p.data = nil, nil
	r.passes.Put(p)
}

// A beam projects and back-projects one angle. Its work space holds whatever
// lies between an image's lines and the detectors.
type beam interface {
	workSize() int // for one angle
	project(data, work []float64, angle int, im *lineImage)
	spread(work, data []float64, angle int)
	// smear adds the work of all angles to the lines [lo, hi).
	smear(im *lineImage, across, lo, hi int, work []float64)
}

// lineImage holds an image by rows and by columns. There is at least one zero
// before and after each line, and its first pixel begins a cache line.
type lineImage struct {
	count  [2]int // of lines
	size   [2]int // of a line
	stride [2]int // from line to line
	data   [2][]float64
}

const cacheLine = 8 // values

func newLineImage(rows, cols int) lineImage {
	im := lineImage{count: [2]int{rows, cols}, size: [2]int{cols, rows}}
	for k := range im.data {
		im.stride[k] = cacheLine * (2 + im.size[k]/cacheLine)
		im.data[k] = make([]float64, im.count[k]*im.stride[k])
	}
	return im
}

// line returns line i with the zeros beside it.
func (im *lineImage) line(across, i int) []float64 {
	at := i*im.stride[across] + cacheLine - 1
	return im.data[across][at : at+im.size[across]+2]
}

// row returns row i as it lies in the columns, pixels stride apart.
func (im *lineImage) row(i int) (pixels []float64, stride int) {
	return im.data[1][cacheLine+i:], im.stride[1]
}

// radonPass is the work space of one Apply or Adjoint, and the body of its
// parallel loops. Each iteration of a loop writes to its own part of the
// output, so the result does not depend on who does which.
type radonPass struct {
	r      *Radon
	im     lineImage
	work   []float64
	strips [2]int
	image  []float64
	data   []float64
	phase  radonPhase
}

type radonPhase int

const (
	split   radonPhase = iota // copy a strip of image to im
	project                   // one angle of data from im
	spread                    // one angle of work from data
	smear                     // a strip of im from work
	join                      // a strip of image from im
)

// stripLines is the number of lines in a strip, which should fit the
// first-level cache while all angles are smeared over it.
const stripLines = 8

func newRadonPass(r *Radon) *radonPass {
	p := &radonPass{r: r, im: newLineImage(r.rows, r.cols), work: make([]float64, len(r.angles)*r.beam.workSize())}
	for k, count := range p.im.count {
		p.strips[k] = (count + stripLines - 1) / stripLines
	}
	return p
}

func (p *radonPass) run(phase radonPhase, n int) {
	p.phase = phase
	par.Run(n, p)
}

// Do does iteration i of the present loop.
func (p *radonPass) Do(i int) {
	size, detectors, cols := p.r.beam.workSize(), p.r.geometry.Detectors, p.r.cols
	switch p.phase {
	case split:
		for k := i * stripLines; k < min((i+1)*stripLines, p.r.rows); k++ {
			row := p.image[k*cols : (k+1)*cols]
			copy(p.im.line(0, k)[1:], row)
			across, stride := p.im.row(k)
			for j, v := range row {
				across[j*stride] = v
			}
		}
	case project:
		p.r.beam.project(p.data[i*detectors:(i+1)*detectors], p.work[i*size:(i+1)*size], i, &p.im)
	case spread:
		p.r.beam.spread(p.work[i*size:(i+1)*size], p.data[i*detectors:(i+1)*detectors], i)
	case smear:
		across := 0
		if i >= p.strips[0] {
			across, i = 1, i-p.strips[0]
		}
		lo, hi := i*stripLines, min((i+1)*stripLines, p.im.count[across])
		stride := p.im.stride[across]
		clear(p.im.data[across][lo*stride : hi*stride])
		p.r.beam.smear(&p.im, across, lo, hi, p.work)
	case join:
		for k := i * stripLines; k < min((i+1)*stripLines, p.r.rows); k++ {
			row := p.image[k*cols : (k+1)*cols]
			copy(row, p.im.line(0, k)[1:])
			across, stride := p.im.row(k)
			for j := range row {
				row[j] += across[j*stride]
			}
		}
	}
}
