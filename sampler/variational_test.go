package sampler

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/rng"
)

// The path derivative of each normal family against differences: pullback
// that of g·u(ε) by the parameters, and path's score that of its logProb.
func TestNormalFamiliesDerivatives(t *testing.T) {
	r := rand.New(rng.New(3, 0))
	noise := func(n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = r.NormFloat64()
		}
		return x
	}
	for _, q := range []normal{newMeanField(noise(4)), newFullRank(noise(4)), newLowRankNormal(noise(4), 2, r)} {
		theta := q.params()
		for i := range theta {
			theta[i] += 0.3 * r.NormFloat64()
		}
		if err := q.update(); err != nil {
			t.Fatal(err)
		}
		eps, g := noise(q.noise()), noise(4)
		u, score := make([]float64, 4), make([]float64, 4)
		value := func() float64 {
			if err := q.update(); err != nil {
				t.Fatal(err)
			}
			q.path(u, score, eps)
			return floats.Dot(g, u)
		}
		value()
		grad := make([]float64, len(theta))
		q.pullback(grad, g, eps)
		const h = 1e-6
		for i, v := range theta {
			theta[i] = v + h
			up := value()
			theta[i] = v - h
			want := (up - value()) / (2 * h)
			theta[i] = v
			if math.Abs(grad[i]-want) > 1e-7 {
				t.Errorf("%T: derivative by parameter %d is %g, differences have %g", q, i, grad[i], want)
			}
		}
		value()
		at := slices.Clone(u)
		for i, v := range at {
			at[i] = v + h
			up := q.logProb(at)
			at[i] = v - h
			want := (up - q.logProb(at)) / (2 * h)
			at[i] = v
			if math.Abs(score[i]-want) > 1e-7 {
				t.Errorf("%T: score %d is %g, differences have %g", q, i, score[i], want)
			}
		}
	}
}

// The inverse Hessian of L-BFGS against the update of BFGS on dense matrices,
// with less history than dimensions and with more.
func TestInverseHessianEqualsDenseBFGS(t *testing.T) {
	for _, test := range []struct{ d, pairs int }{{12, 4}, {5, 4}, {3, 6}, {8, 4}, {1, 1}} {
		r := rand.New(rng.New(4, uint64(test.d)))
		d := test.d
		// Changes of the gradient of a quadratic function, nearly.
		root := mat.NewDense(d, d, nil)
		for i := range d {
			for j := range d {
				root.Set(i, j, r.NormFloat64())
			}
			root.Set(i, i, root.At(i, i)+2)
		}
		var hess mat.Dense
		hess.Mul(root, root.T())
		alpha := make([]float64, d)
		for i := range alpha {
			alpha[i] = math.Exp(r.NormFloat64())
		}
		h := mat.DenseCopyOf(mat.NewDiagDense(d, alpha))
		var s, y [][]float64
		for range test.pairs {
			si, yi := mat.NewVecDense(d, nil), mat.NewVecDense(d, nil)
			for i := range d {
				si.SetVec(i, r.NormFloat64())
			}
			yi.MulVec(&hess, si)
			s, y = append(s, si.RawVector().Data), append(y, yi.RawVector().Data)
			// H ← (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ
			rho := 1 / mat.Dot(si, yi)
			v := mat.NewDense(d, d, nil)
			v.Outer(-rho, yi, si)
			for i := range d {
				v.Set(i, i, v.At(i, i)+1)
			}
			var next, ss mat.Dense
			next.Product(v.T(), h, v)
			ss.Outer(rho, si, si)
			h.Add(&next, &ss)
		}
		x, g := make([]float64, d), make([]float64, d)
		for i := range x {
			x[i], g[i] = r.NormFloat64(), r.NormFloat64()
		}
		q, err := lbfgsNormal(x, g, alpha, s, y)
		if err != nil {
			t.Fatal(err)
		}
		mean, cov := meanAndCovariance(q)
		scale := mat.Norm(h, math.Inf(1))
		var newton mat.VecDense
		newton.MulVec(h, mat.NewVecDense(d, g))
		for i := range d {
			if want := x[i] + newton.AtVec(i); math.Abs(mean[i]-want) > 1e-9*(1+scale) {
				t.Errorf("d = %d: mean %d is %g, want %g", d, i, mean[i], want)
			}
			for j := range d {
				if math.Abs(cov.At(i, j)-h.At(i, j)) > 1e-9*scale {
					t.Errorf("d = %d: covariance %d, %d is %g, want %g", d, i, j, cov.At(i, j), h.At(i, j))
				}
			}
		}
		if log, _ := mat.LogDet(h); math.Abs(q.logDet-log) > 1e-8*(1+math.Abs(log)) {
			t.Errorf("d = %d: log determinant %g, want %g", d, q.logDet, log)
		}
	}
}

// Equation 4.9 of Gilbert and Lemaréchal is the inverse of the diagonal of the
// direct BFGS update of the scaled diagonal, here written with matrices.
func TestUpdateDiagonal(t *testing.T) {
	r := rand.New(rng.New(5, 0))
	const d = 4
	alpha, s, y := make([]float64, d), make([]float64, d), make([]float64, d)
	for i := range alpha {
		alpha[i], s[i] = math.Exp(r.NormFloat64()), r.NormFloat64()
		y[i] = s[i] * math.Exp(r.NormFloat64())
	}
	var yay float64
	for i, a := range alpha {
		yay += y[i] * y[i] * a
	}
	b := mat.NewDense(d, d, nil)
	for i, a := range alpha {
		b.Set(i, i, yay/floats.Dot(y, s)/a)
	}
	sv, yv := mat.NewVecDense(d, s), mat.NewVecDense(d, y)
	var bs mat.VecDense
	bs.MulVec(b, sv)
	var up, down mat.Dense
	up.Outer(1/mat.Dot(yv, sv), yv, yv)
	down.Outer(1/mat.Dot(sv, &bs), &bs, &bs)
	b.Add(b, &up)
	b.Sub(b, &down)
	updateDiagonal(alpha, s, y)
	for i, got := range alpha {
		if want := 1 / b.At(i, i); math.Abs(got-want) > 1e-12*want {
			t.Errorf("element %d is %g, want %g", i, got, want)
		}
	}
}

// wide is a normal density in many dimensions with scales from 1 to 10.
type wide int

func (w wide) Dim() int { return int(w) }

func (w wide) LogProb(x []float64) float64 { return w.LogProbScore(make([]float64, len(x)), x) }

func (w wide) ScoreInput(score, x []float64) []float64 {
	w.LogProbScore(score, x)
	return score
}

func (w wide) LogProbScore(score, x []float64) float64 {
	var lp float64
	for i, v := range x {
		sd := 1 + 9*float64(i%10)/9
		score[i] = -(v - 3) / (sd * sd)
		lp += score[i] * (v - 3) / 2
	}
	return lp
}

// In 50000 dimensions a square matrix would have 20 GB.
func TestPathfinderInManyDimensions(t *testing.T) {
	d := 50000
	if testing.Short() || raceEnabled {
		d = 5000
	}
	a, err := Fit(context.Background(), wide(d), &Pathfinder{Paths: 1, ELBOSamples: 2, Iterations: 30},
		&FitOptions{Src: rng.New(1, 0), Draws: 30})
	if err != nil {
		t.Fatal(err)
	}
	q := a.q.(mixture)[0]
	var off float64
	for _, m := range q.mu {
		off = max(off, math.Abs(m-3))
	}
	if off > 0.1 {
		t.Errorf("a mean is off by %g", off)
	}
}
