package kernel

import "math"

// LogNormal returns log φ(t), φ being the standard normal density.
func LogNormal(t float64) float64 { return -t*t/2 - halfLog2Pi }

const halfLog2Pi = 0.91893853320467274178032973640562

// LogNormalCDF returns log Φ(t), Φ being the standard normal distribution
// function, and its derivative φ(t)/Φ(t).
func LogNormalCDF(t float64) (l, slope float64) {
	if t > -30 {
		p := 0.5 * math.Erfc(-t*(1/math.Sqrt2))
		return math.Log(p), math.Exp(LogNormal(t)) / p
	}
	// Abramowitz and Stegun 26.2.12, whose next term is below 10⁻¹².
	u := 1 / (t * t)
	s := 1 - u*(1-u*(3-u*(15-u*105)))
	return LogNormal(t) - math.Log(-t) + math.Log(s), -t / s
}

// LogNormalMass returns log [Φ(u) - Φ(u - w)] for w > 0, and its derivatives.
func LogNormalMass(u, w float64) (l, du, dw float64) {
	if middle := u - w/2; w*math.Max(1, math.Abs(middle)) < 1e-4 {
		// φ times the width, to nine digits.
		return LogNormal(middle) + math.Log(w), -middle, middle/2 + 1/w
	}
	// Of the interval and its mirror image the one with the smaller upper edge.
	upper, lower := u, u-w
	mirrored := upper+lower > 0
	if mirrored {
		upper, lower = -lower, -upper
	}
	a, up := LogNormalCDF(upper)
	b, low := LogNormalCDF(lower)
	r := math.Exp(b - a) // Φ(lower)/Φ(upper)
	up, low = up/(1-r), low*r/(1-r)
	if mirrored {
		up, low = low, up
	}
	return a + math.Log1p(-r), up - low, low
}
