package posterior

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// walls are the inequalities of a truncated Gaussian in the coordinates
// x = m + L z with z ~ N(0, I): f_j·z + g_j ≥ 0.
type walls struct {
	mean  []float64
	l     *mat.Dense // n×r, r the rank of the covariance
	f     *mat.Dense // k×r
	g     []float64
	norm2 []float64 // |f_j|²
	start []float64 // a point inside
}

func newWalls(mean []float64, cov *mat.SymDense, a *mat.Dense, h []float64) (*walls, error) {
	var eig mat.EigenSym
	if !eig.Factorize(cov, true) {
		return nil, errors.New("the eigenvalues of the covariance do not converge")
	}
	n := len(mean)
	values := eig.Values(nil)
	var v mat.Dense
	eig.VectorsTo(&v)
	first := 0
	for first < n-1 && values[first] < 1e-12*values[n-1] {
		first++ // directions that an equality constraint has fixed
	}
	w := &walls{mean: mean, l: mat.NewDense(n, n-first, nil)}
	for k := first; k < n; k++ {
		for i := range n {
			w.l.Set(i, k-first, math.Sqrt(values[k])*v.At(i, k))
		}
	}
	// -A L z + (h - A m) ≥ 0
	w.f = new(mat.Dense)
	w.f.Mul(a, w.l)
	w.f.Scale(-1, w.f)
	var am mat.VecDense
	am.MulVec(a, mat.NewVecDense(n, mean))
	for j, b := range h {
		f := w.f.RawRowView(j)
		norm2 := floats.Dot(f, f)
		g := b - am.AtVec(j)
		if norm2 < 1e-24*values[n-1] {
			if g < 0 {
				return nil, fmt.Errorf("inequality %d is violated by %g wherever the equations hold", j, -g)
			}
			norm2 = 0 // always true
		}
		w.g = append(w.g, g)
		w.norm2 = append(w.norm2, norm2)
	}
	return w, w.findStart()
}

// findStart looks for a point inside, with some room, by the relaxation method
// (Agmon, 1954; Motzkin and Schoenberg, 1954): it steps over one violated wall
// after the other. Room is at first a tenth of a standard deviation.
func (w *walls) findStart() error {
	_, r := w.l.Dims()
	for room := 0.1; room > 1e-9; room /= 10 {
		z := make([]float64, r)
		for range 2000 {
			moved := false
			for j, g := range w.g {
				if w.norm2[j] == 0 {
					continue
				}
				f := w.f.RawRowView(j)
				if lack := room - (floats.Dot(f, z)+g)/math.Sqrt(w.norm2[j]); lack > 0 {
					floats.AddScaled(z, 1.1*lack/math.Sqrt(w.norm2[j]), f)
					moved = true
				}
			}
			if !moved {
				w.start = z
				return nil
			}
		}
	}
	return errors.New("no point was found that satisfies all inequalities: do they contradict each other?")
}

// point sets x to m + L z.
func (w *walls) point(x, z []float64) {
	mat.NewVecDense(len(x), x).MulVec(w.l, mat.NewVecDense(len(z), z))
	floats.Add(x, w.mean)
}

func (w *walls) chain(src rand.Source) *bouncing {
	k, r := w.f.Dims()
	return &bouncing{walls: w, src: src, z: append([]float64(nil), w.start...),
		v: make([]float64, r), fz: make([]float64, k), fv: make([]float64, k)}
}

// bouncing is a particle in the harmonic potential |z|²/2 between walls.
type bouncing struct {
	*walls
	src    rand.Source
	z, v   []float64
	fz, fv []float64
}

// maxBounces bounds the reflections of one trajectory.
const maxBounces = 100_000

// move lets the particle travel with a fresh velocity:
//
//	z(t) = z cos t + v sin t,
//
// until f·z(t) + g = 0 at a wall, which reflects v (Pakman and Paninski, 2014,
// section 2). They travel for a time of π/2; here it is drawn from (π/4, 3π/4),
// as bounces of a period near π/2 would lead back to where they began.
func (p *bouncing) move() error {
	rng.FillNormal(p.v, p.src)
	left := math.Pi / 4 * (1 + 2*rand.New(p.src).Float64())
	last := -1
	for range maxBounces {
		p.products(p.fz, p.z)
		p.products(p.fv, p.v)
		hit, at := -1, left
		for j, g := range p.g {
			if p.norm2[j] == 0 {
				continue
			}
			// f·z(t) = u cos(t - φ)
			u := math.Hypot(p.fz[j], p.fv[j])
			if u <= math.Abs(g) {
				continue
			}
			phi := math.Atan2(p.fv[j], p.fz[j])
			// It falls through -g at t - φ = acos(-g/u), mod 2π.
			t := math.Mod(phi+math.Acos(-g/u), 2*math.Pi)
			if t < 0 {
				t += 2 * math.Pi
			}
			// Rounding may put the particle on the wall that it has just left,
			// or all but a full turn before it.
			if j == last && (t < 1e-9 || t > 2*math.Pi-1e-9) {
				continue
			}
			if t < at {
				hit, at = j, t
			}
		}
		sin, cos := math.Sincos(at)
		for i, z := range p.z {
			v := p.v[i]
			p.z[i], p.v[i] = z*cos+v*sin, v*cos-z*sin
		}
		if hit < 0 {
			return p.inside()
		}
		left -= at
		f := p.f.RawRowView(hit)
		floats.AddScaled(p.v, -2*floats.Dot(f, p.v)/p.norm2[hit], f)
		last = hit
	}
	return fmt.Errorf("posterior: Truncated: more than %d reflections in one trajectory: the region is too narrow", maxBounces)
}

func (p *bouncing) products(dst, z []float64) {
	mat.NewVecDense(len(dst), dst).MulVec(p.f, mat.NewVecDense(len(z), z))
}

// inside moves a particle that rounding has put behind a wall back to it.
func (p *bouncing) inside() error {
	p.products(p.fz, p.z)
	for j, g := range p.g {
		if p.norm2[j] == 0 {
			continue
		}
		lack := -(p.fz[j] + g)
		if lack <= 0 {
			continue
		}
		if lack > 1e-6*math.Sqrt(p.norm2[j]) {
			return fmt.Errorf("posterior: Truncated: a draw is %g standard deviations behind inequality %d", lack/math.Sqrt(p.norm2[j]), j)
		}
		floats.AddScaled(p.z, lack/p.norm2[j], p.f.RawRowView(j))
	}
	return nil
}
