package forward

// fanBeam follows each ray from row to row of the image, or from column to
// column, with linear interpolation between the pixels.
type fanBeam struct {
	detectors int
	rays      []fanRay // by angle and detector
}

// fanRay crosses line i at position start + slope·i of a padded line.
type fanRay struct {
	start, slope, length float64
	across               int
}

func newFanBeam(r *Radon) *fanBeam {
	b := &fanBeam{detectors: r.geometry.Detectors}
	b.rays = make([]fanRay, 0, len(r.angles)*b.detectors)
	for a := range r.angles {
		for j := range b.detectors {
			phi, s := r.ray(a, j)
			c := r.crossing(phi)
			b.rays = append(b.rays, fanRay{s*c.gain + c.start + 1, c.slope, c.length, c.across})
		}
	}
	return b
}

func (b *fanBeam) workSize() int { return b.detectors }

func (b *fanBeam) project(data, _ []float64, angle int, im *lineImage) {
	rays := b.rays[angle*b.detectors : (angle+1)*b.detectors]
	clear(data)
	for lo, hi := 0, 0; lo < len(rays); lo = hi {
		across := rays[lo].across
		for hi < len(rays) && rays[hi].across == across {
			hi++
		}
		b.follow(data[lo:hi], rays[lo:hi], im, across)
	}
}

// follow projects neighbouring rays that cross the same kind of lines.
func (b *fanBeam) follow(data []float64, rays []fanRay, im *lineImage, across int) {
	last := float64(im.size[across] + 1)
	for i := range im.count[across] {
		line := im.line(across, i)
		x := float64(i)
		for j := range rays {
			ray := &rays[j]
			if p := ray.start + ray.slope*x; p >= 0 && p < last {
				at := int(p)
				f := p - float64(at)
				data[j] += line[at] + f*(line[at+1]-line[at])
			}
		}
	}
	for j := range data {
		data[j] *= rays[j].length
	}
}

func (b *fanBeam) spread(work, data []float64, angle int) {
	rays := b.rays[angle*b.detectors : (angle+1)*b.detectors]
	for j, v := range data {
		work[j] = v * rays[j].length
	}
}

func (b *fanBeam) smear(im *lineImage, across, lo, hi int, work []float64) {
	last := float64(im.size[across] + 1)
	for k := range b.rays {
		ray := &b.rays[k]
		if ray.across != across {
			continue
		}
		v := work[k]
		for i := lo; i < hi; i++ {
			if p := ray.start + ray.slope*float64(i); p >= 0 && p < last {
				at := int(p)
				f := p - float64(at)
				line := im.line(across, i)
				fv := f * v
				line[at] += v - fv
				line[at+1] += fv
			}
		}
	}
	// What fell on the margins is no pixel.
	for i := lo; i < hi; i++ {
		line := im.line(across, i)
		line[0], line[len(line)-1] = 0, 0
	}
}
