package kernel

// The arithmetic of a trajectory of Hamiltonian dynamics whose inverse mass
// matrix is diag(s)², in coordinates in which momenta are N(0, I).

// shortLeapfrog is the length below which the calls of the assembly cost more
// than they save.
const shortLeapfrog = 16

// Drift makes the opening half kick and the drift of a leapfrog of size eps
// from (x0, p0), where the score is g:
//
//	p = p0 + eps/2 s∘g,  x = x0 + eps s∘p
func Drift(x, p, x0, p0, g, s []float64, eps float64) {
	checkLen("Drift", len(x), len(p), len(x0), len(p0), len(g), len(s))
	if len(s) >= shortLeapfrog && driftSIMD(x, p, x0, p0, g, s, eps) {
		return
	}
	n := len(s)
	x, p, x0, p0, g = x[:n], p[:n], x0[:n], p0[:n], g[:n]
	for i, si := range s {
		v := p0[i] + eps/2*si*g[i]
		p[i] = v
		x[i] = x0[i] + eps*si*v
	}
}

// Kick makes the closing half kick of a leapfrog, p ← p + eps/2 s∘g, and
// returns |p|².
func Kick(p, g, s []float64, eps float64) float64 {
	checkLen("Kick", len(p), len(g), len(s))
	if len(s) >= shortLeapfrog {
		if squares, ok := kickSIMD(p, g, s, eps); ok {
			return squares
		}
	}
	n := len(s)
	p, g = p[:n], g[:n]
	// Four sums take turns, because a sum waits for its last addition.
	var k0, k1, k2, k3 float64
	for i, si := range s {
		v := p[i] + eps/2*si*g[i]
		p[i] = v
		k0, k1, k2, k3 = k1, k2, k3, k0+v*v
	}
	return k0 + k1 + k2 + k3
}

// TurnPair returns the dot products of a + b with a and b.
func TurnPair(a, b []float64) [2]float64 {
	checkLen("TurnPair", len(a), len(b))
	if len(a) >= shortLeapfrog {
		if dots, ok := turnPairSIMD(a, b); ok {
			return dots
		}
	}
	b = b[:len(a)]
	var da0, da1, db0, db1 float64 // in turns as well
	for i, ai := range a {
		bi := b[i]
		r := ai + bi
		da0, da1 = da1, da0+r*ai
		db0, db1 = db1, db0+r*bi
	}
	return [2]float64{da0 + da1, db0 + db1}
}

// TurnTrees joins two parts of a trajectory with sums of momenta rho1 and
// rho2, first momenta a1 and a2 and last ones z1 and z2. It sets
// rho1 ← rho1 + rho2 = r and returns the dot products
//
//	r·a1, r·z2, (rho1 + a2)·a1, (rho1 + a2)·a2, (z1 + rho2)·z1, (z1 + rho2)·z2
//
// with the rho1 that it was given.
func TurnTrees(rho1, a1, z1, rho2, a2, z2 []float64) [6]float64 {
	checkLen("TurnTrees", len(rho1), len(a1), len(z1), len(rho2), len(a2), len(z2))
	if len(rho1) >= shortLeapfrog {
		if dots, ok := turnTreesSIMD(rho1, a1, z1, rho2, a2, z2); ok {
			return dots
		}
	}
	n := len(rho1)
	rho2, a1, z1, a2, z2 = rho2[:n], a1[:n], z1[:n], a2[:n], z2[:n]
	var d turnDots
	for i, r1 := range rho1 {
		rho1[i] = d.add(r1, a1[i], z1[i], rho2[i], a2[i], z2[i])
	}
	return d.list()
}

// TurnPairs is TurnTrees for parts of two points each, whose sums need not be
// there: rho is set to a1 + z1 + a2 + z2.
func TurnPairs(rho, a1, z1, a2, z2 []float64) [6]float64 {
	checkLen("TurnPairs", len(rho), len(a1), len(z1), len(a2), len(z2))
	if len(rho) >= shortLeapfrog {
		if dots, ok := turnPairsSIMD(rho, a1, z1, a2, z2); ok {
			return dots
		}
	}
	n := len(rho)
	a1, z1, a2, z2 = a1[:n], z1[:n], a2[:n], z2[:n]
	var d turnDots
	for i, a := range a1 {
		rho[i] = d.add(a+z1[i], a, z1[i], a2[i]+z2[i], a2[i], z2[i])
	}
	return d.list()
}

// turnDots are the six sums of TurnTrees.
type turnDots struct{ ra, rz, ea, eb, fy, fz float64 }

// add adds the terms of one coordinate and returns that of the sum r.
func (d *turnDots) add(rho1, a1, z1, rho2, a2, z2 float64) float64 {
	r, e, f := rho1+rho2, rho1+a2, z1+rho2
	d.ra += r * a1
	d.rz += r * z2
	d.ea += e * a1
	d.eb += e * a2
	d.fy += f * z1
	d.fz += f * z2
	return r
}

func (d *turnDots) list() [6]float64 { return [6]float64{d.ra, d.rz, d.ea, d.eb, d.fy, d.fz} }
