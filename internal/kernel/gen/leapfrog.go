package main

// leapfrog writes the parts of a trajectory of Hamiltonian dynamics, which is
// of float64 only.
func (v *vec) leapfrog() {
	if v.size != 8 {
		return
	}
	v.drift()
	v.kick()
	v.turnPair()
	v.turns("turnPairs", true, "is the criterion for two pairs of points.")
	v.turns("turnTrees", false, "is the criterion for two trees.")
}

// places returns where the vectors of the named parameters are at an offset.
func (v *vec) places(names ...string) func(at reg64, name string) mem {
	base := map[string]reg64{}
	for _, name := range names {
		base[name] = v.param(name)
	}
	return func(at reg64, name string) mem { return mem{Base: base[name], Index: at, Scale: 1} }
}

// drift writes p = p0 + half s g, x = x0 + eps s p.
func (v *vec) drift() {
	v.function("drift", "x, p, x0, p0, grad, s, eps *byte, n int", "is the opening kick and the drift of a leapfrog.")
	place := v.places("x", "p", "x0", "p0", "grad", "s")
	eps := v.broadcast(mem{Base: v.param("eps")})
	half := v.mul(eps, v.fixed(v.k(0.5)))
	v.loop("", v.param("n"), func(at reg64, part part) {
		s := part.load(place(at, "s"))
		p := part.load(place(at, "p0"))
		v.addMul(p, v.mul(s, half), part.load(place(at, "grad")))
		part.store(p, place(at, "p"))
		x := part.load(place(at, "x0"))
		v.addMul(x, v.mul(s, eps), p)
		part.store(x, place(at, "x"))
	})
	v.end()
}

// kick writes p = p + half s g and the sum of p².
func (v *vec) kick() {
	v.function("kick", "sum, p, grad, s, eps *byte, n int", "is the closing kick of a leapfrog.")
	place := v.places("p", "grad", "s")
	eps := v.broadcast(mem{Base: v.param("eps")})
	half := v.mul(eps, v.fixed(v.k(0.5)))
	squares := v.newSum()
	v.loop("", v.param("n"), func(at reg64, part part) {
		p := part.load(place(at, "p"))
		v.addMul(p, v.mul(part.load(place(at, "s")), half), part.load(place(at, "grad")))
		part.store(p, place(at, "p"))
		squares.add(p, p)
	})
	v.store1(squares.total(), mem{Base: v.param("sum")})
	v.end()
}

// turnPair writes the dot products of a + b with a and b.
func (v *vec) turnPair() {
	v.function("turnPair", "dots, a, b *byte, n int", "is the criterion for two points.")
	place := v.places("a", "b")
	da, db := v.newSum(), v.newSum()
	v.loop("", v.param("n"), func(at reg64, part part) {
		a, b := part.load(place(at, "a")), part.load(place(at, "b"))
		rho := v.add(a, b)
		da.add(rho, a)
		db.add(rho, b)
	})
	dots := v.param("dots")
	v.store1(da.total(), mem{Base: dots})
	v.store1(db.total(), mem{Base: dots, Disp: 8})
	v.end()
}

// turns writes the function that joins two trees: it stores the sum of their
// sums of momenta, rho1 and rho2, and its dot products with the momenta at the
// ends, a1 and z2, and those of rho1 + a2 with a1 and a2 and of z1 + rho2 with
// z1 and z2. In turnPairs a tree is a pair: rho1 = a1 + z1 and rho2 = a2 + z2.
func (v *vec) turns(name string, pairs bool, doc string) {
	names := []string{"rho1", "a1", "z1", "rho2", "a2", "z2"}
	params := "dots, rho1, a1, z1, rho2, a2, z2 *byte, n int"
	if pairs {
		names = []string{"rho", "a1", "z1", "a2", "z2"}
		params = "dots, rho, a1, z1, a2, z2 *byte, n int"
	}
	v.function(name, params, doc)
	place := v.places(names...)
	var d [6]value
	for i := range d {
		d[i] = v.zero()
	}
	v.loop("", v.param("n"), func(at reg64, part part) {
		a1, z1 := part.load(place(at, "a1")), part.load(place(at, "z1"))
		a2, z2 := part.load(place(at, "a2")), part.load(place(at, "z2"))
		var rho1, rho2 value
		if pairs {
			rho1, rho2 = v.add(a1, z1), v.add(a2, z2)
		} else {
			rho1, rho2 = part.load(place(at, "rho1")), part.load(place(at, "rho2"))
		}
		r := v.add(rho1, rho2)
		part.store(r, place(at, names[0]))
		v.addMul(d[0], r, a1)
		v.addMul(d[1], r, z2)
		e := v.add(rho1, a2)
		v.addMul(d[2], e, a1)
		v.addMul(d[3], e, a2)
		f := v.add(z1, rho2)
		v.addMul(d[4], f, z1)
		v.addMul(d[5], f, z2)
	})
	dots := v.param("dots")
	for i, x := range d {
		v.store1(v.fold(x, sum), mem{Base: dots, Disp: 8 * i})
	}
	v.end()
}

// runningSum is a sum over the passes of a loop in two parts that take turns,
// because an addition waits for the one before it.
type runningSum struct {
	*vec
	now, next value
}

func (v *vec) newSum() *runningSum { return &runningSum{v, v.zero(), v.zero()} }

// add adds a b.
func (s *runningSum) add(a, b value) {
	done := s.addMul(s.copy(s.now), a, b)
	s.op("VMOVU", s.next, s.now)
	s.op("VMOVU", done, s.next)
}

func (s *runningSum) total() value { return s.fold(s.vec.add(s.now, s.next), sum) }
