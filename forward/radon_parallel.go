package forward

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// parallelBeam projects in two steps. Within a row all rays of a parallel
// beam pass the pixels at the same fraction, if the rays are a pixel apart: so
// the rows, each shifted by linear interpolation, add up to the projection on
// such rays, which is then interpolated to the detectors by cubics. Columns
// take the place of rows for rays nearer to them.
type parallelBeam struct {
	offsets []float64 // s_j
	angles  []shear
	size    int
}

// shear is the first step for one angle: pixel j of line i is at position
// origin - slope·i + j of the work space.
type shear struct {
	crossing
	origin float64
}

func newParallelBeam(r *Radon) *parallelBeam {
	b := &parallelBeam{size: r.rows + r.cols + 7}
	for j := range r.geometry.Detectors {
		_, s := r.ray(0, j)
		b.offsets = append(b.offsets, s)
	}
	for _, phi := range r.angles {
		c := r.crossing(phi)
		last := float64([2]int{r.rows, r.cols}[c.across] - 1)
		// The least position is at least 3, so that 3 values at the ends stay 0.
		b.angles = append(b.angles, shear{c, 3 + math.Ceil(max(0, c.slope*last))})
	}
	return b
}

func (b *parallelBeam) workSize() int { return b.size }

// shift returns where the two shares of line i, 1-f and f, begin in the work
// space.
func (s *shear) shift(i int) (at int, f float64) {
	q := s.origin - s.slope*float64(i)
	at = int(q)
	return at, q - float64(at)
}

// Cubic convolution (Keys, IEEE Trans. Acoust. Speech Signal Process. 29,
// 1981) has the weights keysFar and keysNear of the distances f and 1-f at
// the two values on either side.
func keysNear(f float64) float64 { return 1 - f*f*(2.5-1.5*f) }
func keysFar(f float64) float64  { return -0.5 * f * (1 - f) * (1 - f) }

// position returns where in the work space the ray of offset s is, false if it
// misses the image.
func (b *parallelBeam) position(a *shear, s float64) (at int, f float64, ok bool) {
	p := s*a.gain + (a.start + a.origin)
	at = int(p)
	return at, p - float64(at), p >= 1 && p < float64(b.size-2)
}

func (b *parallelBeam) project(data, work []float64, angle int, im *lineImage) {
	a := &b.angles[angle]
	clear(work)
	n := im.size[a.across]
	for i := range im.count[a.across] {
		line := im.line(a.across, i)[1 : n+1]
		at, f := a.shift(i)
		kernel.Axpy(work[at:at+n], 1-f, line)
		kernel.Axpy(work[at+1:at+1+n], f, line)
	}
	for j, s := range b.offsets {
		data[j] = 0
		if at, f, ok := b.position(a, s); ok {
			v := work[at-1 : at+3 : at+3]
			data[j] = a.length * (keysFar(f)*v[0] + keysNear(f)*v[1] + keysNear(1-f)*v[2] + keysFar(1-f)*v[3])
		}
	}
}

func (b *parallelBeam) spread(work, data []float64, angle int) {
	a := &b.angles[angle]
	clear(work)
	for j, s := range b.offsets {
		if at, f, ok := b.position(a, s); ok {
			v, d := work[at-1:at+3:at+3], a.length*data[j]
			v[0] += keysFar(f) * d
			v[1] += keysNear(f) * d
			v[2] += keysNear(1-f) * d
			v[3] += keysFar(1-f) * d
		}
	}
}

func (b *parallelBeam) smear(im *lineImage, across, lo, hi int, work []float64) {
	n := im.size[across]
	for k := range b.angles {
		a := &b.angles[k]
		if a.across != across {
			continue
		}
		w := work[k*b.size : (k+1)*b.size]
		for i := lo; i < hi; i++ {
			line := im.line(across, i)[1 : n+1]
			at, f := a.shift(i)
			kernel.Axpy(line, 1-f, w[at:at+n])
			kernel.Axpy(line, f, w[at+1:at+1+n])
		}
	}
}
