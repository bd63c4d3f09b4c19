package forward

import "math"

// point is a point (log ‖A x - y‖, log ‖x‖) of an L-curve.
type point struct{ residual, norm float64 }

// lcurveCorner returns the index of the corner of a discrete L-curve that
// goes from strong to weak regularisation, false if it has not 3 points: the
// vertex of the sharpest clockwise angle, below 7π/8, of the triangles with
// the last point as one end (Castellanos, Gómez and Guerra, Applied Numerical
// Mathematics 43, 2002), or the last point if no angle is so sharp.
//
// The curve is first scaled to the unit square, and points that are closer to
// the last one taken than a fiftieth are passed over: the angles of neighbours
// say nothing of its shape.
func lcurveCorner(curve []point) (int, bool) {
	for len(curve) > 0 && math.IsInf(curve[len(curve)-1].residual, 0) {
		curve = curve[:len(curve)-1]
	}
	if len(curve) < 3 {
		return 0, false
	}
	lo, hi := curve[0], curve[0]
	for _, p := range curve {
		lo = point{min(lo.residual, p.residual), min(lo.norm, p.norm)}
		hi = point{max(hi.residual, p.residual), max(hi.norm, p.norm)}
	}
	width, height := hi.residual-lo.residual, hi.norm-lo.norm
	if width == 0 || height == 0 {
		return len(curve) - 1, true
	}
	// towards returns the vector from point i to point j.
	towards := func(i, j int) (x, y float64) {
		return (curve[j].residual - curve[i].residual) / width, (curve[j].norm - curve[i].norm) / height
	}

	const spacing = 1. / 50
	last := len(curve) - 1
	taken := []int{0}
	for i := range last {
		if math.Hypot(towards(taken[len(taken)-1], i)) >= spacing && math.Hypot(towards(i, last)) >= spacing {
			taken = append(taken, i)
		}
	}
	corner, best := last, math.Cos(7*math.Pi/8)
	for i, k := range taken {
		for _, j := range taken[i+1:] {
			ax, ay := towards(j, k)
			bx, by := towards(j, last)
			if bx*ay >= by*ax {
				continue // not clockwise
			}
			if cos := (ax*bx + ay*by) / (math.Hypot(ax, ay) * math.Hypot(bx, by)); cos > best {
				corner, best = j, cos
			}
		}
	}
	return corner, true
}
