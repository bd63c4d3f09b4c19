package forward

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// maxPSF is the largest half-width of a point spread function that is made.
const maxPSF = 1 << 11

// GaussianPSF returns samples of exp(-(i²+j²)/(2 sigma²)), sigma in pixels,
// out to ⌈4 sigma⌉ pixels from the centre, divided by their sum. It is
// separable and even.
func GaussianPSF(sigma float64) (*mat.Dense, error) {
	half := int(math.Ceil(4 * min(max(sigma, 0), maxPSF)))
	if !(sigma > 0) || half > maxPSF {
		return nil, fmt.Errorf("forward: sigma is %g pixels, want it in (0, %d]", sigma, maxPSF/4)
	}
	line := mat.NewVecDense(2*half+1, nil)
	for i := range 2*half + 1 {
		d := float64(i-half) / sigma
		line.SetVec(i, math.Exp(-d*d/2))
	}
	line.ScaleVec(1/mat.Sum(line), line)
	psf := new(mat.Dense)
	psf.Outer(1, line, line)
	return psf, nil
}

// DefocusPSF returns the image of a point out of focus, a uniform disk of the
// given radius in pixels: each entry is the part of the disk that lies in its
// pixel, so that they add to 1. It is even.
func DefocusPSF(radius float64) (*mat.Dense, error) {
	if !(radius > 0) || radius > maxPSF {
		return nil, fmt.Errorf("forward: radius is %g pixels, want it in (0, %d]", radius, maxPSF)
	}
	half := int(math.Ceil(radius - 0.5))
	size := 2*half + 1
	psf := mat.NewDense(size, size, nil)
	for i := range half + 1 {
		for j := range half + 1 {
			y, x := float64(i)-0.5, float64(j)-0.5
			v := diskCorner(x+1, y+1, radius) - diskCorner(x, y+1, radius) - diskCorner(x+1, y, radius) + diskCorner(x, y, radius)
			v /= math.Pi * radius * radius
			for _, r := range [2]int{half - i, half + i} {
				for _, c := range [2]int{half - j, half + j} {
					psf.Set(r, c, max(0, v))
				}
			}
		}
	}
	return psf, nil
}

// diskCorner returns the area of the disk of radius r around 0 that lies in
// [0, x]×[0, y], with the sign of x y.
func diskCorner(x, y, r float64) float64 {
	if x < 0 {
		return -diskCorner(-x, y, r)
	}
	if y < 0 {
		return -diskCorner(x, -y, r)
	}
	x, y = min(x, r), min(y, r)
	if x*x+y*y <= r*r {
		return x * y
	}
	// The height min(y, sqrt(r²-t²)) integrated over t in [0, x].
	cut := math.Sqrt(r*r - y*y)
	under := func(t float64) float64 { return (t*math.Sqrt(max(0, r*r-t*t)) + r*r*math.Asin(min(1, t/r))) / 2 }
	return y*cut + under(x) - under(cut)
}

// MotionPSF returns the trace of a point that moves at constant speed along a
// straight line, centred, of the given length in pixels: each entry is the
// part of the line that lies in its pixel, so that they add to 1. The angle
// is in radians from the direction of increasing columns towards that of
// decreasing rows: counter-clockwise, as images are shown.
func MotionPSF(length, angle float64) (*mat.Dense, error) {
	if !(length > 0) || length > 2*maxPSF {
		return nil, fmt.Errorf("forward: length is %g pixels, want it in (0, %d]", length, 2*maxPSF)
	}
	if math.IsNaN(angle) || math.IsInf(angle, 0) {
		return nil, fmt.Errorf("forward: angle is %g, want it finite", angle)
	}
	dx, dy := math.Cos(angle), -math.Sin(angle)
	halfRows := int(math.Ceil(length/2*math.Abs(dy) - 0.5))
	halfCols := int(math.Ceil(length/2*math.Abs(dx) - 0.5))
	psf := mat.NewDense(2*halfRows+1, 2*halfCols+1, nil)
	// The parameters at which the line enters another pixel.
	cuts := []float64{-length / 2, length / 2}
	for _, d := range [2]float64{dx, dy} {
		for edge := 0.5; edge < math.Abs(d)*length/2; edge++ {
			cuts = append(cuts, edge/d, -edge/d)
		}
	}
	slices.Sort(cuts)
	for k, lo := range cuts[:len(cuts)-1] {
		hi := cuts[k+1]
		mid := (lo + hi) / 2
		i := min(max(halfRows+int(math.Round(mid*dy)), 0), 2*halfRows)
		j := min(max(halfCols+int(math.Round(mid*dx)), 0), 2*halfCols)
		psf.Set(i, j, psf.At(i, j)+(hi-lo)/length)
	}
	return psf, nil
}
