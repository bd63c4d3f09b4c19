package main

import (
	"math"
	"math/rand/v2"
)

// density is a density of two variables given one, or none, that can be drawn
// from and evaluated.
type density interface {
	name() string
	conditional() bool
	draw(y float64, r *rand.Rand) [2]float64
	logProb(x []float64, y float64) float64
}

// moons are two half circles, with noise.
type moons struct{}

const moonNoise = 0.15

func (moons) name() string      { return "two moons" }
func (moons) conditional() bool { return false }

// moon returns a point of the first moon; the second is its mirror image in
// the origin.
func moon(u float64) (x0, x1 float64) {
	sin, cos := math.Sincos(math.Pi * u)
	return 1.2 * (cos - 0.5), 1.2 * (sin - 0.25)
}

func (moons) draw(_ float64, r *rand.Rand) [2]float64 { return noisy(moon, moonNoise, r) }

func (moons) logProb(x []float64, _ float64) float64 { return logCurve(moon, moonNoise, x) }

// spirals are two arms from the middle outwards, with noise.
type spirals struct{}

const spiralNoise = 0.15

func (spirals) name() string      { return "two spirals" }
func (spirals) conditional() bool { return false }

// spiral returns a point of the first arm, u of its length from the middle.
func spiral(u float64) (x0, x1 float64) {
	angle := 2 * math.Pi * math.Sqrt(u)
	sin, cos := math.Sincos(angle)
	radius := 2 * math.Sqrt(u)
	return radius * cos, radius * sin
}

func (spirals) draw(_ float64, r *rand.Rand) [2]float64 { return noisy(spiral, spiralNoise, r) }

func (spirals) logProb(x []float64, _ float64) float64 { return logCurve(spiral, spiralNoise, x) }

// noisy draws a point of a curve or of its mirror image, and adds noise.
func noisy(curve func(u float64) (x0, x1 float64), sd float64, r *rand.Rand) [2]float64 {
	a, b := curve(r.Float64())
	if r.IntN(2) == 0 {
		a, b = -a, -b
	}
	return [2]float64{a + sd*r.NormFloat64(), b + sd*r.NormFloat64()}
}

// logCurve is the log density of noisy, by the midpoint rule.
func logCurve(curve func(u float64) (x0, x1 float64), sd float64, x []float64) float64 {
	const points = 600
	var p float64
	for k := range points {
		a, b := curve((float64(k) + 0.5) / points)
		for _, sign := range []float64{1, -1} {
			d0, d1 := x[0]-sign*a, x[1]-sign*b
			p += math.Exp(-(d0*d0 + d1*d1) / (2 * sd * sd))
		}
	}
	return math.Log(p / (2 * points * 2 * math.Pi * sd * sd))
}

// checkerboard is uniform on the eight black squares of a board of sixteen.
type checkerboard struct{}

func (checkerboard) name() string      { return "checkerboard" }
func (checkerboard) conditional() bool { return false }

func (checkerboard) draw(_ float64, r *rand.Rand) [2]float64 {
	i, j := r.IntN(4), 2*r.IntN(2)
	return [2]float64{float64(i) + r.Float64() - 2, float64(j+i%2) + r.Float64() - 2}
}

func (checkerboard) logProb(x []float64, _ float64) float64 {
	i, j := math.Floor(x[0])+2, math.Floor(x[1])+2
	if i < 0 || i > 3 || j < 0 || j > 3 || int(i+j)%2 != 0 {
		return math.Inf(-1)
	}
	return -math.Log(8)
}

// turned are the moons turned by the angle y.
type turned struct{ moons }

func (turned) name() string      { return "moons turned by y" }
func (turned) conditional() bool { return true }

func (t turned) draw(y float64, r *rand.Rand) [2]float64 {
	return turn(t.moons.draw(0, r), y)
}

func (t turned) logProb(x []float64, y float64) float64 {
	p := turn([2]float64(x), -y)
	return t.moons.logProb(p[:], 0)
}

func turn(p [2]float64, angle float64) [2]float64 {
	sin, cos := math.Sincos(angle)
	return [2]float64{cos*p[0] - sin*p[1], sin*p[0] + cos*p[1]}
}
