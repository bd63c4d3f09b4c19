package sbi

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/go-inverse/inverse/internal/kernel"
)

// classifier is a perceptron with two hidden layers of ReLUs and one logit,
// trained as scikit-learn's MLPClassifier is by default: Adam at rate 1e-3 on
// batches of 200, an L2 penalty of 1e-4, uniform initial weights within
// √(6/(in + out)), until the loss of an epoch has not improved on the best by
// 1e-4 eleven times in a row.
type classifier struct {
	d, h    int
	weights []float32 // W₁ h×d, W₂ h×h, w₃ h, b₁ h, b₂ h, b₃
}

const (
	classifierBatch    = 200
	classifierPenalty  = 1e-4
	classifierTol      = 1e-4
	classifierPatience = 10
	classifierEpochs   = 10000
)

func newClassifier(d, h int, r *rand.Rand) *classifier {
	c := &classifier{d: d, h: h, weights: make([]float32, h*d+h*h+h+h+h+1)}
	p := c.split(c.weights)
	for i, layer := range [3]struct{ in, out int }{{d, h}, {h, h}, {h, 1}} {
		bound := math.Sqrt(6 / float64(layer.in+layer.out))
		for _, t := range [2][]float32{p.w[i], p.b[i]} {
			for j := range t {
				t[j] = float32(bound * (2*r.Float64() - 1))
			}
		}
	}
	return c
}

// layers are the parts of a vector of weights, or of their gradient.
type layers struct{ w, b [3][]float32 }

func (c *classifier) split(v []float32) (l layers) {
	take := func(n int) []float32 {
		t := v[:n:n]
		v = v[n:]
		return t
	}
	l.w = [3][]float32{take(c.h * c.d), take(c.h * c.h), take(c.h)}
	l.b = [3][]float32{take(c.h), take(c.h), take(1)}
	return l
}

// activations are the scratch of one batch of rows.
type activations struct{ a1, a2, d1, d2, z []float32 }

func (c *classifier) scratch(rows int) *activations {
	b := make([]float32, rows*(4*c.h+1))
	n := rows * c.h
	return &activations{b[:n], b[n : 2*n], b[2*n : 3*n], b[3*n : 4*n], b[4*n:]}
}

// forward stores the logits of the m rows of x in s.z.
func (c *classifier) forward(p *layers, s *activations, m int, x []float32) {
	h := c.h
	kernel.GemmEpilogue(false, true, m, h, c.d, 1, x, c.d, p.w[0], c.d, 0, s.a1, h, kernel.Epilogue[float32]{Bias: p.b[0], Act: kernel.ReLU})
	kernel.GemmEpilogue(false, true, m, h, h, 1, s.a1, h, p.w[1], h, 0, s.a2, h, kernel.Epilogue[float32]{Bias: p.b[1], Act: kernel.ReLU})
	kernel.GemmEpilogue(false, true, m, 1, h, 1, s.a2, h, p.w[2], h, 0, s.z, 1, kernel.Epilogue[float32]{Bias: p.b[2]})
}

// fit trains on the rows of x (n×d) with labels 0 or 1. If early, a tenth of
// the rows in random order, whose loss is to improve, are kept for validation,
// and the best weights are restored: a classifier that knows what it does not.
func (c *classifier) fit(ctx context.Context, x, label []float32, early bool, r *rand.Rand) error {
	n, d, h := len(label), c.d, c.h
	var v validation
	if early {
		v = newValidation(x, label, d, r)
		x, label = v.trainX, v.trainLabel
		n = len(label)
	}
	batch := min(classifierBatch, n)
	s := c.scratch(batch)
	grad := make([]float32, len(c.weights))
	m1, m2 := make([]float32, len(c.weights)), make([]float32, len(c.weights))
	p, g := c.split(c.weights), c.split(grad)
	nw := h*d + h*h + h // the weights, which alone are penalised
	xb, delta := make([]float32, batch*d), make([]float32, batch)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	best, stale, step := math.Inf(1), 0, 0
	for range classifierEpochs {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
		var total float64
		for lo := 0; lo < n; lo += batch {
			rows := order[lo:min(lo+batch, n)]
			k := len(rows)
			for i, j := range rows {
				copy(xb[i*d:(i+1)*d], x[j*d:(j+1)*d])
			}
			c.forward(&p, s, k, xb)
			var loss float64
			for i, j := range rows {
				z, t := float64(s.z[i]), float64(label[j])
				loss += math.Max(z, 0) - t*z + math.Log1p(math.Exp(-math.Abs(z)))
				delta[i] = float32((1/(1+math.Exp(-z)) - t) / float64(k))
			}
			w := c.weights[:nw]
			total += loss + 0.5*classifierPenalty*float64(kernel.SumSquares(w))
			kernel.Scale(grad[:nw], classifierPenalty/float32(k), w)
			clear(grad[nw:])

			kernel.Gemm(true, false, 1, h, k, 1, delta, 1, s.a2, h, 1, g.w[2], h)
			g.b[2][0] = kernel.Sum(delta[:k])
			kernel.Gemm(false, false, k, h, 1, 1, delta, 1, p.w[2], h, 0, s.d2, h)
			kernel.MulDerivative(kernel.ReLU, s.d2[:k*h], s.d2[:k*h], s.a2[:k*h])
			kernel.Gemm(true, false, h, h, k, 1, s.d2, h, s.a1, h, 1, g.w[1], h)
			kernel.AddColSums(g.b[1], k, h, s.d2, h)
			kernel.Gemm(false, false, k, h, h, 1, s.d2, h, p.w[1], h, 0, s.d1, h)
			kernel.MulDerivative(kernel.ReLU, s.d1[:k*h], s.d1[:k*h], s.a1[:k*h])
			kernel.Gemm(true, false, h, d, k, 1, s.d1, h, xb, d, 1, g.w[0], d)
			kernel.AddColSums(g.b[0], k, h, s.d1, h)

			step++
			kernel.Adam(c.weights, m1, m2, grad, kernel.AdamStep{Step: step, Rate: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8})
		}
		loss := total / float64(n)
		if early {
			loss = v.loss(c)
		}
		if loss > best-classifierTol {
			stale++
		} else {
			stale = 0
		}
		if early && loss < best {
			v.best = append(v.best[:0], c.weights...)
		}
		best = min(best, loss)
		if stale > classifierPatience {
			break
		}
	}
	copy(c.weights, v.best)
	return nil
}

// validation are the rows that early stopping judges by.
type validation struct {
	trainX, trainLabel []float32
	x, label           []float32
	z                  []float64
	best               []float32 // weights
}

func newValidation(x, label []float32, d int, r *rand.Rand) (v validation) {
	n := len(label)
	for k, i := range r.Perm(n) {
		if k < n/10 {
			v.x, v.label = append(v.x, x[i*d:(i+1)*d]...), append(v.label, label[i])
		} else {
			v.trainX, v.trainLabel = append(v.trainX, x[i*d:(i+1)*d]...), append(v.trainLabel, label[i])
		}
	}
	v.z = make([]float64, len(v.label))
	return v
}

func (v *validation) loss(c *classifier) float64 {
	c.logits(v.z, v.x)
	var sum float64
	for i, z := range v.z {
		sum += math.Max(z, 0) - float64(v.label[i])*z + math.Log1p(math.Exp(-math.Abs(z)))
	}
	return sum / float64(len(v.z))
}

// logits stores the logits of the rows of x (n×d) in dst.
func (c *classifier) logits(dst []float64, x []float32) {
	p := c.split(c.weights)
	rows := min(classifierBatch, len(dst))
	s := c.scratch(rows)
	for lo := 0; lo < len(dst); lo += rows {
		k := min(rows, len(dst)-lo)
		c.forward(&p, s, k, x[lo*c.d:(lo+k)*c.d])
		for i, z := range s.z[:k] {
			dst[lo+i] = float64(z)
		}
	}
}
