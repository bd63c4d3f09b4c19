package ode

import (
	"fmt"
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
)

// Field is the right-hand side dy/dt = f(t, y) of many independent problems,
// each a row of a matrix, that are evaluated together.
type Field[T kernel.Float] interface {
	// Rate sets the first rows of dydt (rows×dim) to f(t_i, y_i).
	Rate(dydt, t, y []T, rows int)
	// Swap exchanges what f depends on in rows i and j.
	Swap(i, j int)
}

// Batch is a workspace for solving the problems of a Field. Each has steps of
// its own, so that its solution does not depend on the others, and those that
// are at the end take no part in further evaluations. A Batch does not
// allocate once it has seen its largest problem.
type Batch[T kernel.Float] struct {
	field     Field[T]
	set       Settings
	dim, rows int
	live      int // the rows that are not at the end come first
	from, to  float64
	y, ynew   []T // rows×dim
	t         []T
	k         [7][]T
	tmp       []T
	state     []batchRow
	at        []int // where the row stood in the beginning
}

// batchRow is the state of the step control of a row.
type batchRow struct {
	t, h, errOld float64
	rejected     bool
}

// Solve replaces the rows of y (rows×dim) at time from by the solutions at
// time to, which may lie before it. Rows that fail are filled with NaN, and
// the error is that of one of them, an *Error. Settings are those of a Solver,
// but tolerances must be given unless there is a Step. The rows of f are in
// another order afterwards.
func (b *Batch[T]) Solve(f Field[T], y []T, dim int, from, to float64, set Settings) error {
	if dim <= 0 || len(y)%dim != 0 {
		panic(fmt.Sprintf("ode: %d elements in rows of %d", len(y), dim))
	}
	if set.MaxSteps == 0 {
		set.MaxSteps = 10000
	}
	b.field, b.set, b.dim, b.rows, b.from, b.to = f, set, dim, len(y)/dim, from, to
	b.live = b.rows
	for _, a := range []*[]T{&b.y, &b.ynew, &b.tmp, &b.k[0], &b.k[1], &b.k[2], &b.k[3], &b.k[4], &b.k[5], &b.k[6]} {
		*a = grow(*a, len(y))
	}
	b.t, b.state, b.at = grow(b.t, b.rows), grow(b.state, b.rows), grow(b.at, b.rows)
	copy(b.y, y)
	for i := range b.rows {
		b.state[i] = batchRow{t: from, errOld: 1e-4}
		b.at[i] = i
	}
	var err error
	if set.Step > 0 {
		err = b.rungeKutta()
	} else {
		err = b.dormandPrince()
	}
	for i, at := range b.at {
		copy(y[at*dim:(at+1)*dim], b.y[i*dim:(i+1)*dim])
	}
	return err
}

// stage evaluates the field at t + c h and y + h Σ a_j k_j, into k[i].
func (b *Batch[T]) stage(i int, c float64, a ...float64) {
	d := b.dim
	for n := range b.live {
		s := &b.state[n]
		b.t[n] = T(s.t + c*s.h)
		y := b.tmp[n*d : (n+1)*d]
		copy(y, b.y[n*d:(n+1)*d])
		for j, w := range a {
			if w == 0 {
				continue
			}
			w := T(s.h * w)
			for l, v := range b.k[j][n*d : (n+1)*d] {
				y[l] += w * v
			}
		}
	}
	b.field.Rate(b.k[i][:b.live*d], b.t[:b.live], b.tmp[:b.live*d], b.live)
}

// rungeKutta integrates by the classical method of order 4, with equal steps.
func (b *Batch[T]) rungeKutta() error {
	span := b.to - b.from
	steps := math.Ceil(math.Abs(span) / b.set.Step * (1 - 1e-12))
	if steps > float64(b.set.MaxSteps) {
		return b.fail(0, ErrSteps, b.rows)
	}
	for step := range int(steps) {
		for i := range b.live {
			b.state[i].t, b.state[i].h = b.from+float64(step)/steps*span, span/steps
		}
		b.stage(0, 0)
		b.stage(1, 0.5, 0.5)
		b.stage(2, 0.5, 0, 0.5)
		b.stage(3, 1, 0, 0, 1)
		h := T(span / steps / 6)
		k1, k2, k3, k4 := b.k[0], b.k[1], b.k[2], b.k[3]
		for i := range b.y {
			b.y[i] += h * (k1[i] + 2*(k2[i]+k3[i]) + k4[i])
		}
	}
	var err error
	for i := range b.rows {
		if !b.finite(b.y, i) {
			err = b.fail(i, ErrNotFinite, 1)
		}
	}
	return err
}

// dormandPrince integrates with the step control of Solver in each row.
func (b *Batch[T]) dormandPrince() error {
	sign := 1.0
	if b.to < b.from {
		sign = -1
	}
	span := math.Abs(b.to - b.from)
	b.stage(0, 0)
	var err error
	for i := b.live - 1; i >= 0; i-- {
		if !b.finite(b.y, i) || !b.finite(b.k[0], i) {
			err = b.fail(i, ErrNotFinite, 1)
			b.finish(i)
			continue
		}
		b.state[i].h = sign * b.firstStep(i, span)
	}
	for step := 0; b.live > 0; step++ {
		if step == b.set.MaxSteps {
			err = b.fail(0, ErrSteps, b.live)
			break
		}
		b.stage(1, c2, a21)
		b.stage(2, c3, a31, a32)
		b.stage(3, c4, a41, a42, a43)
		b.stage(4, c5, a51, a52, a53, a54)
		b.stage(5, 1, a61, a62, a63, a64, a65)
		b.stage(6, 1, a71, 0, a73, a74, a75, a76)
		copy(b.ynew, b.tmp[:b.live*b.dim])
		for i := b.live - 1; i >= 0; i-- {
			switch done, cause := b.judge(i, sign, span); {
			case cause != nil:
				err = b.fail(i, cause, 1)
				b.finish(i)
			case done:
				b.finish(i)
			}
		}
	}
	return err
}

// judge accepts or rejects the step of a row, and chooses the next one.
func (b *Batch[T]) judge(i int, sign, span float64) (done bool, cause error) {
	s, d := &b.state[i], b.dim
	err := b.errorNorm(i)
	if !(err <= 1) { // also NaN
		shrink := shrinkMost
		if !math.IsNaN(err) && !math.IsInf(err, 1) {
			shrink = math.Max(shrink, safety*math.Pow(err, -alpha))
		}
		s.h *= shrink
		s.rejected = true
		if !(math.Abs(s.h) > 1e-12*span) {
			return false, ErrStepSize
		}
		return false, nil
	}
	s.t += s.h
	copy(b.y[i*d:(i+1)*d], b.ynew[i*d:(i+1)*d])
	copy(b.k[0][i*d:(i+1)*d], b.k[6][i*d:(i+1)*d])
	left := sign * (b.to - s.t)
	if left <= 1e-12*span {
		return true, nil
	}
	factor := math.Min(growTop, safety*math.Pow(math.Max(err, 1e-10), -alpha)*math.Pow(s.errOld, beta))
	if s.rejected {
		factor = math.Min(factor, 1)
	}
	h := math.Abs(s.h) * math.Max(shrinkMost, factor)
	if 1.01*h >= left {
		h = left
	}
	s.h, s.errOld, s.rejected = sign*h, math.Max(err, 1e-4), false
	return false, nil
}

// errorNorm returns the estimated error of the step of row i relative to the
// tolerance.
func (b *Batch[T]) errorNorm(i int) float64 {
	d, h := b.dim, b.state[i].h
	var sum float64
	for l := i * d; l < (i+1)*d; l++ {
		k := func(j int) float64 { return float64(b.k[j][l]) }
		e := h * (e1*k(0) + e3*k(2) + e4*k(3) + e5*k(4) + e6*k(5) + e7*k(6))
		e /= b.set.AbsTol + b.set.RelTol*math.Max(math.Abs(float64(b.y[l])), math.Abs(float64(b.ynew[l])))
		sum += e * e
	}
	return math.Sqrt(sum / float64(d))
}

// firstStep guesses a step of row i from the sizes of y and its rate.
func (b *Batch[T]) firstStep(i int, span float64) float64 {
	var size, rate float64
	for l := i * b.dim; l < (i+1)*b.dim; l++ {
		y, k := float64(b.y[l]), float64(b.k[0][l])
		tol := b.set.AbsTol + b.set.RelTol*math.Abs(y)
		size += y / tol * (y / tol)
		rate += k / tol * (k / tol)
	}
	h := 1e-3 * span
	if n := float64(b.dim); size > 1e-10*n && rate > 1e-10*n {
		h = 0.01 * math.Sqrt(size/rate)
	}
	return math.Min(math.Max(h, 1e-6*span), span)
}

// finish moves row i behind the live ones.
func (b *Batch[T]) finish(i int) {
	b.live--
	j, d := b.live, b.dim
	if i == j {
		return
	}
	for l := range d {
		b.y[i*d+l], b.y[j*d+l] = b.y[j*d+l], b.y[i*d+l]
		b.k[0][i*d+l], b.k[0][j*d+l] = b.k[0][j*d+l], b.k[0][i*d+l]
	}
	b.state[i], b.state[j] = b.state[j], b.state[i]
	b.at[i], b.at[j] = b.at[j], b.at[i]
	b.field.Swap(i, j)
}

// fail fills n rows from row i on with NaN and returns the error of the first.
func (b *Batch[T]) fail(i int, cause error, n int) error {
	for l := i * b.dim; l < (i+n)*b.dim; l++ {
		b.y[l] = T(math.NaN())
	}
	return &Error{Time: b.state[i].t, Cause: cause}
}

func (b *Batch[T]) finite(a []T, i int) bool {
	for _, v := range a[i*b.dim : (i+1)*b.dim] {
		if v-v != 0 { // NaN or infinite
			return false
		}
	}
	return true
}

// grow returns a slice of length n of unspecified content, s if it has room.
func grow[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n)
	}
	return s[:n]
}
