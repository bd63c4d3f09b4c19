package forward

import (
	"fmt"
	"math"
)

// Ellipses is a phantom: an image that is a sum of ellipses, whose line
// integrals are known in closed form. Data made with it are free of the
// operator's own discretisation.
//
// The shorter side of an image spans [-1, 1]; axes point right and up.
type Ellipses []Ellipse

// Ellipse adds Value to the points inside of an ellipse.
type Ellipse struct {
	Value float64
	A, B  float64 // half axes
	X, Y  float64 // centre
	Angle float64 // of the first half axis from the first axis, in radians
}

// SheppLogan returns the head phantom of Shepp and Logan (IEEE Trans. Nucl.
// Sci. 21, 1974) with the higher contrasts of Toft (The Radon Transform, 1996,
// table B.3). Its values lie in [0, 1].
func SheppLogan() Ellipses {
	const tilt = 18 * math.Pi / 180
	return Ellipses{
		{1, 0.69, 0.92, 0, 0, 0},
		{-0.8, 0.6624, 0.874, 0, -0.0184, 0},
		{-0.2, 0.11, 0.31, 0.22, 0, -tilt},
		{-0.2, 0.16, 0.41, -0.22, 0, tilt},
		{0.1, 0.21, 0.25, 0, 0.35, 0},
		{0.1, 0.046, 0.046, 0, 0.1, 0},
		{0.1, 0.046, 0.046, 0, -0.1, 0},
		{0.1, 0.046, 0.023, -0.08, -0.605, 0},
		{0.1, 0.023, 0.023, 0, -0.606, 0},
		{0.1, 0.023, 0.046, 0.06, -0.605, 0},
	}
}

// Image returns the phantom as rows×cols pixels, stored row by row. The value
// of a pixel is the mean of 8×8 points in it. It panics if rows or cols is not
// positive.
func (e Ellipses) Image(rows, cols int) []float64 {
	if rows < 1 || cols < 1 {
		panic(fmt.Sprintf("forward: image of %d×%d pixels", rows, cols))
	}
	const sub = 8
	image := make([]float64, rows*cols)
	unit := float64(min(rows, cols)) / 2
	half := math.Sqrt2 / 2 / unit // of a pixel's diagonal
	for _, el := range e {
		sin, cos := math.Sincos(el.Angle)
		// level is below 1 inside of the ellipse. It changes by at most
		// slope per length.
		level := func(x, y float64) float64 {
			x, y = x-el.X, y-el.Y
			return math.Hypot((x*cos+y*sin)/el.A, (y*cos-x*sin)/el.B)
		}
		slope := 1 / min(el.A, el.B)
		for i := range rows {
			y := (float64(rows-1)/2 - float64(i)) / unit
			for j := range cols {
				x := (float64(j) - float64(cols-1)/2) / unit
				c := level(x, y)
				switch {
				case c <= 1-slope*half:
					image[i*cols+j] += el.Value
				case c < 1+slope*half:
					inside := 0
					for k := range sub * sub {
						dx := (float64(k%sub) + 0.5) / sub
						dy := (float64(k/sub) + 0.5) / sub
						if level(x+(dx-0.5)/unit, y+(dy-0.5)/unit) < 1 {
							inside++
						}
					}
					image[i*cols+j] += el.Value * float64(inside) / (sub * sub)
				}
			}
		}
	}
	return image
}

// Sinogram returns the exact integrals of the phantom along the rays of r, in
// r's units and order.
func (e Ellipses) Sinogram(r *Radon) []float64 {
	m, _ := r.Dims()
	data := make([]float64, m)
	unit := float64(min(r.rows, r.cols)) / 2
	for k := range data {
		phi, s := r.ray(k/r.geometry.Detectors, k%r.geometry.Detectors)
		sin, cos := math.Sincos(phi)
		for _, el := range e {
			// The ellipse's shadow on the normal is ±w about its centre's.
			d := s/unit - el.X*cos - el.Y*sin
			sinA, cosA := math.Sincos(phi - el.Angle)
			w2 := el.A*el.A*cosA*cosA + el.B*el.B*sinA*sinA
			if h2 := w2 - d*d; h2 > 0 {
				data[k] += unit * 2 * el.Value * el.A * el.B * math.Sqrt(h2) / w2
			}
		}
	}
	return data
}
