package autodiff

import (
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Norm is a normalisation with what may follow it.
type Norm struct {
	Groups int               // of channels
	Film   Var               // r×2c, the scales γ₁ and shifts β₁ of each channel in each row, or none
	Act    kernel.Activation // applied last
}

// GroupNorm normalises each group of channels of an image to mean 0 and
// variance 1, over its pixels and channels (Wu and He 2018), scales and shifts
// each channel, modulates it (Perez et al. 2018) and applies an activation:
//
//	y = σ(z),  z = (1 + γ₁)(γ h s + β) + β₁,  h = x - mean(x),  s = 1/√(mean(h²) + 10⁻⁵)
//
// x has c channels, γ and β are 1×c. With one group and one pixel this is
// layer normalisation. With means over a group and Γ = (1 + γ₁)γ,
//
//	β̄₁ = Σ z̄,  β̄ = Σ (1 + γ₁) z̄,  γ̄₁ = Σ z̄ (γ h s + β),  γ̄ = Σ (1 + γ₁) z̄ h s
//	x̄ = s Γ z̄ - s mean(Γ z̄) - s³ h mean(Γ z̄ h)
//
// It works on some pixels at a time, which stay in the first-level cache; h
// and z are computed again in the backward pass.
func (t *Tape[T]) GroupNorm(x, gamma, beta Var, o Norm) Var {
	r, n := t.Dims(x)
	_, c := t.Dims(gamma)
	if c == 0 || n%c != 0 || len(t.nodes[gamma].val) != c || len(t.nodes[beta].val) != c || o.Groups <= 0 || c%o.Groups != 0 {
		t.shapePanic("GroupNorm", x, gamma, beta)
	}
	if o.Film != 0 && (t.nodes[o.Film].rows != r || t.nodes[o.Film].cols != 2*c) {
		t.shapePanic("GroupNorm", x, gamma, o.Film)
	}
	list := t.vars.take(1)
	list[0] = o.Film
	v, y := t.record(groupNorm[T]{}, node[T]{a: x, b: gamma, c: beta, list: list, rows: r, cols: n, k: o.Groups, act: o.Act})
	y.aux, y.aux2 = t.floats.take(r*c), t.floats.take(r*c) // -mean and s of each channel
	xv, w := t.nodes[x].val, wide(n, c)
	m := t.modulator(y, w)
	sum, h := t.floats.take(w), t.floats.take(w)
	count, size := T(n/o.Groups), c/o.Groups
	for i := range r {
		xi, mean, scale := xv[i*n:(i+1)*n], y.aux[i*c:(i+1)*c], y.aux2[i*c:(i+1)*c]
		clear(sum)
		kernel.AddColSums(sum, n/w, w, xi, w)
		foldRows(sum, w/c)
		overGroups(mean, sum[:c], size, func(s T) T { return -s / count })
		tile(m.mean, mean)
		clear(sum)
		for p := 0; p < n; p += w {
			kernel.Add(h, xi[p:p+w], m.mean)
			kernel.AddMul(sum, h, h)
		}
		foldRows(sum, w/c)
		overGroups(scale, sum[:c], size, func(s T) T { return T(1 / math.Sqrt(float64(s/count)+1e-5)) })
		m.row(i)
		yi := y.val[i*n : (i+1)*n]
		for p := 0; p < n; p += w {
			yp := yi[p : p+w]
			kernel.Add(yp, xi[p:p+w], m.mean)
			m.modulate(yp, yp)
			if y.act != kernel.Identity {
				kernel.Activate(y.act, yp, yp)
			}
		}
	}
	return v
}

// overGroups sets the elements of each group of dst to f of the sum of the
// group in x.
func overGroups[T kernel.Float](dst, x []T, size int, f func(sum T) T) {
	for lo := 0; lo < len(x); lo += size {
		v := f(kernel.Sum(x[lo : lo+size]))
		for j := lo; j < lo+size; j++ {
			dst[j] = v
		}
	}
}

// modulator computes z from h: z = scale h + shift. The coefficients of the
// channels are repeated for as many pixels as are done at once.
type modulator[T kernel.Float] struct {
	mean, scale, shift []T // -mean, (1 + γ₁) γ s, (1 + γ₁) β + β₁
	means, scales      []T // -mean and s of all rows
	gamma, beta, film  []T
}

func (t *Tape[T]) modulator(y *node[T], w int) modulator[T] {
	m := modulator[T]{
		mean: t.floats.take(w), scale: t.floats.take(w), shift: t.floats.take(w), means: y.aux, scales: y.aux2,
		gamma: t.nodes[y.b].val, beta: t.nodes[y.c].val,
	}
	if f := y.list[0]; f != 0 {
		m.film = t.nodes[f].val
	}
	return m
}

// row goes to row i.
func (m *modulator[T]) row(i int) {
	c := len(m.gamma)
	scale, shift := m.scale[:c], m.shift[:c]
	kernel.Mul(scale, m.gamma, m.scales[i*c:(i+1)*c])
	copy(shift, m.beta)
	if m.film != nil {
		g, b := m.film[2*i*c:(2*i+1)*c], m.film[(2*i+1)*c:(2*i+2)*c]
		kernel.AddMul(scale, scale, g)
		kernel.AddMul(shift, shift, g)
		kernel.Add(shift, shift, b)
	}
	tile(m.mean, m.means[i*c:(i+1)*c])
	tile(m.scale, scale)
	tile(m.shift, shift)
}

func (m *modulator[T]) modulate(z, h []T) {
	kernel.Mul(z, h, m.scale)
	kernel.Add(z, z, m.shift)
}

// wide returns a multiple of c of about a thousand elements that divides n,
// itself a multiple of c: operations on channels are done on so many pixels
// at once, with their operand repeated.
func wide(n, c int) int {
	for k := min(n/c, 1024/c); k > 1; k-- {
		if n/c%k == 0 {
			return k * c
		}
	}
	return c
}

// tile repeats x in dst, of which x may be the beginning.
func tile[T kernel.Float](dst, x []T) {
	for n := copy(dst, x); n < len(dst); {
		n += copy(dst[n:], dst[:n])
	}
}

type groupNorm[T kernel.Float] struct{}

func (groupNorm[T]) backward(t *Tape[T], y *node[T]) {
	gamma, beta, film := t.nodes[y.b].val, t.nodes[y.c].val, y.list[0]
	n, c, groups := y.cols, len(gamma), y.k
	gg, gb := t.addTo(y.b), t.addTo(y.c)
	var gf []T
	if film != 0 {
		gf = t.addTo(film)
	}
	needsX := t.needs(y.a)
	w := wide(n, c)
	m := t.modulator(y, w)
	h, z := t.floats.take(w), t.floats.take(w)
	sum, dot := t.floats.take(w), t.floats.take(w) // of z̄ and of z̄ h
	second, last := t.floats.take(w), t.floats.take(w)
	count, size := T(n/groups), c/groups
	for i := range y.rows {
		x, d := t.nodes[y.a].val[i*n:(i+1)*n], y.grad[i*n:(i+1)*n]
		m.row(i)
		clear(sum)
		clear(dot)
		for p := 0; p < n; p += w {
			dp := d[p : p+w]
			kernel.Add(h, x[p:p+w], m.mean)
			switch {
			case y.act == kernel.Identity:
			case y.act.FromOutput():
				kernel.MulDerivative(y.act, dp, dp, y.val[i*n+p:i*n+p+w])
			default:
				m.modulate(z, h)
				kernel.MulDerivative(y.act, dp, dp, z)
			}
			kernel.Add(sum, sum, dp)
			kernel.AddMul(dot, dp, h)
		}
		foldRows(sum, w/c)
		foldRows(dot, w/c)
		kernel.Mul(dot[:c], dot[:c], y.aux2[i*c:(i+1)*c]) // of z̄ h s
		if gf != nil {
			g := gf[2*i*c : (2*i+2)*c]
			kernel.AddMul(g[:c], gamma, dot[:c])
			kernel.AddMul(g[:c], beta, sum[:c])
			kernel.Add(g[c:], g[c:], sum[:c])
		}
		if film != 0 { // times 1 + γ₁
			f := m.film[2*i*c : (2*i+1)*c]
			kernel.AddMul(sum[:c], sum[:c], f)
			kernel.AddMul(dot[:c], dot[:c], f)
		}
		if gg != nil {
			kernel.Add(gg, gg, dot[:c])
		}
		if gb != nil {
			kernel.Add(gb, gb, sum[:c])
		}
		if !needsX {
			continue
		}
		for lo := 0; lo < c; lo += size {
			hi, s := lo+size, y.aux2[i*c+lo]
			a := -s * kernel.Dot(gamma[lo:hi], sum[lo:hi]) / count
			b := -s * s * kernel.Dot(gamma[lo:hi], dot[lo:hi]) / count
			for j := lo; j < hi; j++ {
				second[j], last[j] = b, a
			}
		}
		tile(second, second[:c])
		tile(last, last[:c])
		for p := 0; p < n; p += w {
			dp := d[p : p+w]
			kernel.Add(h, x[p:p+w], m.mean)
			kernel.Mul(dp, dp, m.scale)
			kernel.AddMul(dp, h, second)
			kernel.Add(dp, dp, last)
		}
	}
	t.give(y.a, y.grad)
}
