package flow

import (
	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
)

// rationalQuadratic are the monotone rational-quadratic splines of
// [autodiff.Spline], the identity outside of [-Bound, Bound].
type rationalQuadratic[T kernel.Float] struct{ spline *autodiff.Spline }

func newRationalQuadratic[T kernel.Float](bins int, bound float64) rationalQuadratic[T] {
	return rationalQuadratic[T]{&autodiff.Spline{Bins: bins, Bound: bound, MinWidth: 1e-3, MinHeight: 1e-3, MinSlope: leastSlope}}
}

func (f rationalQuadratic[T]) outputs() int { return f.spline.Params() }

func (f rationalQuadratic[T]) identity(raw []T) {
	clear(raw)
	for i := 2 * f.spline.Bins; i < len(raw); i++ {
		raw[i] = unitSlope
	}
}

func (f rationalQuadratic[T]) forward(t *autodiff.Tape[T], x, raw autodiff.Var) (z, logSlope autodiff.Var) {
	return t.Spline(f.spline, x, raw)
}

func (f rationalQuadratic[T]) inverse(w *workspace[T], z, raw []T) {
	autodiff.InvertSplines(f.spline, z, raw, w.take(len(raw)))
}
