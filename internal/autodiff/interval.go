package autodiff

import "github.com/go-inverse/inverse/internal/kernel"

// LogNormalMass returns log [Φ(u) - Φ(u - w)] element by element, the log of
// the standard normal mass of the interval of width w > 0 below u.
func (t *Tape[T]) LogNormalMass(u, w Var) Var {
	r, c := t.Dims(u)
	if s, d := t.Dims(w); s != r || d != c {
		t.shapePanic("LogNormalMass", u, w)
	}
	v, y := t.record(logNormalMass[T]{}, node[T]{a: u, b: w, rows: r, cols: c})
	y.aux, y.aux2 = t.floats.take(r*c), t.floats.take(r*c) // the derivatives
	us, ws := t.nodes[u].val, t.nodes[w].val
	for i := range y.val {
		l, du, dw := kernel.LogNormalMass(float64(us[i]), float64(ws[i]))
		y.val[i], y.aux[i], y.aux2[i] = T(l), T(du), T(dw)
	}
	return v
}

type logNormalMass[T kernel.Float] struct{}

func (logNormalMass[T]) backward(t *Tape[T], y *node[T]) {
	for _, of := range []struct {
		v          Var
		derivative []T
	}{{y.a, y.aux}, {y.b, y.aux2}} {
		if g := t.addTo(of.v); g != nil {
			for i, d := range y.grad {
				g[i] += d * of.derivative[i]
			}
		}
	}
}
