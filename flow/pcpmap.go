package flow

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
	"github.com/go-inverse/inverse/internal/optim"
)

// PCPMap is the partially convex potential map (Wang et al. 2023): z is the
// gradient in x of a potential that is strongly convex in x,
//
//	z = ∇ₓφ(x, c),   log q(x|c) = log N(z; 0, I) + log det ∇ₓ²φ(x, c)
//	φ(x, c) = s(θ₁) G(x, c) + (max(θ₂, 0) + s(θ₃)) |x|²/2,   s = softplus
//
// where G is a partially input convex network (Amos et al. 2017). So z is the
// optimal transport map of squared distance. Gradient and Hessian have closed
// forms, and the log determinant is that of a Cholesky factor.
//
// A draw solves ∇ₓφ = z for x by Newton's method with damping. If it does not
// converge, which has not been seen, the draw is NaN, and Sample says so.
type PCPMap struct {
	// Layers is the number of hidden layers of G. If it is 0, it will be
	// defaulted to 3.
	Layers int
	// Width is the number of units of a layer. If it is 0, it will be
	// defaulted to 64.
	Width int
	// ContextWidth is the number of units of the layers that process c. If it
	// is 0, it will be defaulted to Width.
	ContextWidth int
}

var _ Architecture = PCPMap{}

func (PCPMap) kind() string { return "pcpmap" }

func (a PCPMap) resolve(_, _ int) (Architecture, error) {
	err := errors.Join(
		count("PCPMap", "Layers", &a.Layers, 3, 1),
		count("PCPMap", "Width", &a.Width, 64, 1),
		count("PCPMap", "ContextWidth", &a.ContextWidth, a.Width, 1),
	)
	if a.Layers > maxPCPLayers {
		err = errors.Join(err, fmt.Errorf("flow: PCPMap: Layers is %d, want at most %d", a.Layers, maxPCPLayers))
	}
	return a, err
}

func (PCPMap) training() training {
	return training{batch: 64, validEvery: 20, patience: 20, drops: 3, rate: 5e-3}
}

func (a PCPMap) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return newPCPMap(p, a, dx, dc)
}

func (a PCPMap) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return newPCPMap(p, a, dx, dc)
}

// pcpMap is a PCPMap of L layers, in the letters of the paper's appendix:
//
//	v₀ = c,   v_k = ELU(L_k v_{k-1} + l_k)
//	a₀ = W₀(x ∘ α₀) + u₀,   w_{k+1} = softplus(a_k)
//	a_k = W_k(w_k ∘ ω_k)/F + X_k(x ∘ α_k) + u_k,   k = 1, ..., L,   G = a_L
//
// where α₀ = relu(B₀c + β₀), ω_k = relu(B_k v_k + β_k), α_k = E_k v_k + ε_k and
// u_k = C_k v_k + γ_k do not depend on x, and the elements of W_k are not
// negative. a_L is a number, the other a_k have F elements.
type pcpMap[T kernel.Float] struct {
	d, dc, width int
	theta        autodiff.Param
	layers       []pcpLayer[T]
	solvers      sync.Pool // of *newton
}

// maxPCPLayers bounds the number of hidden layers.
const maxPCPLayers = 32

type pcpLayer[T kernel.Float] struct {
	context *nn.Linear[T] // L_k, nil for k = 0
	gate    *nn.Linear[T] // B_k
	scale   *nn.Linear[T] // E_k, nil for k = 0
	shift   *nn.Linear[T] // C_k
	w, x    autodiff.Param
}

var (
	_ density[float32]     = (*pcpMap[float32])(nil)
	_ projector[float32]   = (*pcpMap[float32])(nil)
	_ initializer[float32] = (*pcpMap[float32])(nil)
)

func newPCPMap[T kernel.Float](p *nn.Params[T], a PCPMap, dx, dc int) *pcpMap[T] {
	n := &pcpMap[T]{d: dx, dc: dc, width: a.Width}
	n.theta = p.Add("theta", 1, 3, func(dst []float64, _ *rand.Rand) { copy(dst, []float64{0, 0.1, 0.1}) }, 3)
	cw := max(dc, 1) // without conditions c is 0
	for k := range a.Layers + 1 {
		name := fmt.Sprintf("layers.%d.", k)
		out, in := a.Width, a.Width
		if k == a.Layers {
			out = 1
		}
		var l pcpLayer[T]
		if k == 0 {
			in = dx
		} else {
			l.context = nn.NewLinear(p, name+"context", cw, a.ContextWidth, kernel.Identity)
			cw = a.ContextWidth
			l.scale = nn.NewLinear(p, name+"scale", cw, dx, kernel.Identity)
			l.x = p.Add(name+"x", out, dx, nn.FanIn(dx))
		}
		l.gate = nn.NewLinear(p, name+"gate", cw, in, kernel.ReLU)
		l.shift = nn.NewLinear(p, name+"shift", cw, out, kernel.Identity)
		l.w = p.Add(name+"w", out, in, nn.FanIn(in))
		n.layers = append(n.layers, l)
	}
	return n
}

func (n *pcpMap[T]) initialize(p *nn.Params[T]) { n.project(p.Values) }

// project makes the elements of the W_k not negative.
func (n *pcpMap[T]) project(weights []T) {
	for _, l := range n.layers {
		w := of(weights, l.w)
		for i, v := range w {
			w[i] = max(v, 0)
		}
	}
}

// conditioned is what the conditions contribute to a layer: ω_k (α₀ for k = 0),
// α_k for k > 0, and u_k.
type conditioned struct{ gate, scale, shift autodiff.Var }

// conditions are those of all layers.
type conditions [maxPCPLayers + 1]conditioned

// condition records the contributions of c to each layer.
func (n *pcpMap[T]) condition(t *autodiff.Tape[T], c autodiff.Var, rows int) (out conditions) {
	if c == 0 {
		c = t.Fill(rows, 1, 0)
	}
	v := c
	for k, l := range n.layers {
		if k > 0 {
			v = t.ELU(l.context.Forward(t, v))
			out[k].scale = l.scale.Forward(t, v)
		}
		out[k].gate = l.gate.Forward(t, v)
		out[k].shift = l.shift.Forward(t, v)
	}
	return out
}

// derivatives records the gradient (rows×d) and the Hessian (rows×d²) of φ.
// With A_k = ∂a_k/∂x, and σ the derivative of softplus,
//
//	A₀ = W₀ diag(α₀),   A_k = W_k diag(ω_k ∘ σ(a_{k-1})) A_{k-1}/F + X_k diag(α_k)
//	∇G = A_L',   ∇²G = Σ_k A_k' diag(ζ_k ∘ σ'(a_k)) A_k,   k = 0, ..., L-1
//	ζ_{L-1} = ω_L ∘ W_L'/F,   ζ_{k-1} = ω_k ∘ W_k'(ζ_k ∘ σ(a_k))/F
//
// The tape has the A_k transposed: d rows for each row of x.
func (n *pcpMap[T]) derivatives(t *autodiff.Tape[T], x autodiff.Var, c *conditions) (grad, hess autodiff.Var) {
	rows, _ := t.Dims(x)
	d, last := n.d, len(n.layers)-1
	unit := t.Seed(x, 0, d).Tan
	linear := func(a, w autodiff.Var) autodiff.Var { return t.Linear(a, w, 0, kernel.Identity) }
	var jac, slope [maxPCPLayers + 1]autodiff.Var // A_k' and σ(a_k)
	scale := T(1) / T(n.width)
	var a autodiff.Var
	for k, l := range n.layers {
		w := t.Param(l.w)
		if k == 0 {
			a = linear(t.Mul(x, c[0].gate), w)
			jac[0] = linear(t.Mul(unit, t.RepeatRows(c[0].gate, d)), w)
		} else {
			wx := t.Param(l.x)
			a1 := t.Scale(scale, linear(t.Mul(t.Softplus(a), c[k].gate), w))
			a = t.Add(a1, linear(t.Mul(x, c[k].scale), wx))
			inner := t.Mul(jac[k-1], t.RepeatRows(t.Mul(slope[k-1], c[k].gate), d))
			jac[k] = t.Add(t.Scale(scale, linear(inner, w)), linear(t.Mul(unit, t.RepeatRows(c[k].scale, d)), wx))
		}
		a = t.Add(a, c[k].shift)
		if k < last {
			slope[k] = t.Sigmoid(a)
		}
	}
	grad = t.Reshape(jac[last], rows, d)
	zeta := t.Mul(c[last].gate, t.Scale(scale, t.Param(n.layers[last].w)))
	for k := last - 1; k >= 0; k-- {
		bend := t.Sub(slope[k], t.Square(slope[k]))
		weighted := t.Mul(jac[k], t.RepeatRows(t.Mul(zeta, bend), d))
		h := t.BatchMatMul(false, true, t.Reshape(weighted, rows, d*n.width), t.Reshape(jac[k], rows, d*n.width), d, d, n.width)
		if hess != 0 {
			h = t.Add(h, hess)
		}
		hess = h
		if k > 0 {
			back := t.MatMul(false, false, t.Mul(zeta, slope[k]), t.Param(n.layers[k].w))
			zeta = t.Mul(c[k].gate, t.Scale(scale, back))
		}
	}
	theta := t.Param(n.theta)
	soft := t.Softplus(theta)
	convex := t.Add(t.Activate(kernel.ReLU, t.Cols(theta, 1, 2)), t.Cols(soft, 2, 3)) // 1×1
	eye := t.Fill(rows, d*d, 0)
	for i, v := 0, t.Value(eye); i < rows*d; i++ {
		v[i/d*d*d+i%d*(d+1)] = 1
	}
	grad = t.Add(t.Mul(grad, t.Cols(soft, 0, 1)), t.Mul(x, convex))
	hess = t.Add(t.Mul(hess, t.Cols(soft, 0, 1)), t.Mul(eye, convex))
	return grad, hess
}

func (n *pcpMap[T]) logProb(t *autodiff.Tape[T], x, c autodiff.Var) autodiff.Var {
	return t.Neg(n.loss(t, nil, x, c))
}

// loss records -log q(x|c).
func (n *pcpMap[T]) loss(t *autodiff.Tape[T], _ *optim.Block, x, c autodiff.Var) autodiff.Var {
	rows, _ := t.Dims(x)
	at := n.condition(t, c, rows)
	z, hess := n.derivatives(t, x, &at)
	base := t.AddConst(t.Scale(0.5, t.RowSums(t.Square(z))), T(halfLog2Pi*float64(n.d)))
	return t.Sub(base, t.LogDet(hess, n.d))
}

func (n *pcpMap[T]) prepare(*nn.Params[T]) {}

func (n *pcpMap[T]) invert(w *workspace[T], z, logDet, x, c []T) {
	t, rows := w.begin(), len(logDet)
	at := n.condition(t, w.input(c, rows), rows)
	g, hess := n.derivatives(t, w.input(x, rows), &at)
	copy(z, t.Value(g))
	copy(logDet, t.Value(t.LogDet(hess, n.d)))
}
