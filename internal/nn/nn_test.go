package nn

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-inverse/inverse/internal/autodiff"
	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/rng"
)

// networks are one of each kind, with their inputs: the rows and columns of x
// and of the context.
var networks = []struct {
	name       string
	rows, x, c int
	build      func(p *Params[float64]) func(t *autodiff.Tape[float64], x, c autodiff.Var) autodiff.Var
}{
	{"MLP", 5, 3, 0, func(p *Params[float64]) forward {
		n := NewMLP(p, "net", 3, 2, &MLPOptions{Hidden: []int{7, 6}, Act: kernel.SiLU})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x) }
	}},
	{"MLP trace", 5, 3, 0, func(p *Params[float64]) forward {
		n := NewMLP(p, "net", 3, 3, &MLPOptions{Hidden: []int{7, 6}, Act: kernel.Tanh})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return t.Trace(n.ForwardDual(t, t.Seed(x, 0, 3))) }
	}},
	{"ResNet concat", 5, 3, 2, resNet(ResNetOptions{Condition: Concat, LayerNorm: true})},
	{"ResNet GLU", 5, 3, 2, resNet(ResNetOptions{Condition: GLU})},
	{"ResNet FiLM", 5, 3, 2, resNet(ResNetOptions{Condition: FiLM})},
	{"MADE", 5, 4, 2, made(MADEOptions{Hidden: []int{9, 8}, Act: kernel.Tanh, Context: 2, Outputs: 3})},
	{"MADE residual", 5, 4, 0, made(MADEOptions{Hidden: []int{9, 9, 9}, Act: kernel.SiLU, Residual: true})},
	{"SetEncoder", 6, 3, 0, func(p *Params[float64]) forward {
		n := NewSetEncoder(p, "set", 3, 4, 2, &MLPOptions{Hidden: []int{6}, Act: kernel.Tanh})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x, 3, 0) }
	}},
	{"SetEncoder weights", 6, 3, 1, func(p *Params[float64]) forward {
		n := NewSetEncoder(p, "set", 3, 4, 2, &MLPOptions{Hidden: []int{6}, Act: kernel.Tanh})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x, 3, t.Exp(c)) }
	}},
	{"ConvNet", 2, 7 * 6 * 2, 0, func(p *Params[float64]) forward {
		n := NewConvNet(p, "conv", 7, 6, 2, 3, &ConvNetOptions{Channels: []int{3, 4}, Act: kernel.SiLU})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x) }
	}},
	{"ConvNet sequence", 2, 9 * 2, 0, func(p *Params[float64]) forward {
		n := NewConvNet(p, "conv", 1, 9, 2, 3, &ConvNetOptions{Channels: []int{3, 4}, Act: kernel.SiLU, Kernel: 5})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x) }
	}},
	{"UNet", 2, 4 * 4, 1, func(p *Params[float64]) forward {
		n := NewUNet(p, "unet", &UNetOptions{H: 4, W: 4, In: 1, Width: 4, Groups: 2, Embed: 5, Context: 4})
		f := NewFourier[float64](4, 1, 10)
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x, f.Forward(t, c)) }
	}},
	{"UNet of squares", 2, 4 * 8 * 2, 0, func(p *Params[float64]) forward {
		n := NewUNet(p, "unet", &UNetOptions{H: 4, W: 8, In: 2, Out: 1, Patch: 2, Width: 4, Groups: 2})
		return func(t *tape, x, c autodiff.Var) autodiff.Var { return n.Forward(t, x, c) }
	}},
}

// A UNet of squares is the UNet of the image whose pixels are the squares.
func TestUNetOfSquares(t *testing.T) {
	const h, w, in, out, k = 6, 4, 2, 1, 2
	build := func(o UNetOptions) (*Params[float64], *UNet[float64]) {
		p := NewParams[float64](rng.New(1, 0))
		o.Width, o.Groups, o.Mult = 4, 2, []int{1}
		n := NewUNet(p, "unet", &o)
		if err := p.Err(); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		for i := range p.Values {
			p.Values[i] += 0.3 * r.NormFloat64()
		}
		return p, n
	}
	p, n := build(UNetOptions{H: h, W: w, In: in, Out: out, Patch: k})
	plainParams, plain := build(UNetOptions{H: h / k, W: w / k, In: in * k * k, Out: out * k * k})
	r := rand.New(rand.NewPCG(3, 4))
	var tp, tq tape
	tp.Reset(p.Values, nil)
	tq.Reset(plainParams.Values, nil)
	x, z := tp.Input(1, h*w*in), tq.Input(1, h*w*in)
	place := func(i, j, c, channels int) int { // of a pixel's channel among the squares
		return ((i/k*(w/k)+j/k)*k*k+i%k*k+j%k)*channels + c
	}
	for i := range h {
		for j := range w {
			for c := range in {
				v := r.NormFloat64()
				tp.Value(x)[(i*w+j)*in+c] = v
				tq.Value(z)[place(i, j, c, in)] = v
			}
		}
	}
	got, want := tp.Value(n.Forward(&tp, x, 0)), tq.Value(plain.Forward(&tq, z, 0))
	for i := range h {
		for j := range w {
			if g, u := got[i*w+j], want[place(i, j, 0, out)]; g != u || g == 0 {
				t.Errorf("pixel (%d, %d) is %g, want %g", i, j, g, u)
			}
		}
	}
}

type (
	tape    = autodiff.Tape[float64]
	forward = func(t *tape, x, c autodiff.Var) autodiff.Var
)

func resNet(o ResNetOptions) func(p *Params[float64]) forward {
	return func(p *Params[float64]) forward {
		o.Width, o.Blocks, o.Act, o.Context = 6, 2, kernel.GELU, 2
		return NewResNet(p, "res", 3, 2, &o).Forward
	}
}

func made(o MADEOptions) func(p *Params[float64]) forward {
	return func(p *Params[float64]) forward { return NewMADE(p, "made", 4, &o).Forward }
}

// Gradients of every network at its parameters and inputs agree with
// extrapolated central differences.
func TestGradients(t *testing.T) {
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			p := NewParams[float64](rng.New(1, 0))
			f := n.build(p)
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			structural := make([]bool, p.Len()) // zeros of a mask
			for i, v := range p.Values {
				structural[i] = v == 0 && n.name[:2] == "MA"
				if !structural[i] {
					p.Values[i] += 0.3 * r.NormFloat64() // the zeros of initialisers, too
				}
			}
			inputs := make([]float64, n.rows*(n.x+n.c))
			for i := range inputs {
				inputs[i] = r.NormFloat64()
			}
			grads := make([]float64, p.Len())
			var tp tape
			var cot []float64
			value := func(grads []float64, variable bool) (x, c autodiff.Var, s float64) {
				tp.Reset(p.Values, grads)
				leaf := tp.Input
				if variable {
					leaf = tp.Variable
				}
				x = leaf(n.rows, n.x)
				copy(tp.Value(x), inputs)
				if n.c > 0 {
					c = leaf(n.rows, n.c)
					copy(tp.Value(c), inputs[n.rows*n.x:])
				}
				y := f(&tp, x, c)
				for len(cot) < len(tp.Value(y)) {
					cot = append(cot, r.NormFloat64())
				}
				for i, v := range tp.Value(y) {
					s += cot[i] * v
				}
				if variable {
					tp.Pullback(y, cot)
				}
				return x, c, s
			}
			x, c, s := value(grads, true)
			if _, _, plain := value(nil, false); plain != s {
				t.Errorf("value %v in training, %v in inference", s, plain)
			}
			value(grads, true)
			gx := slices.Clone(tp.Grad(x))
			if n.c > 0 {
				gx = append(gx, tp.Grad(c)...)
			}
			compare := func(what string, at, got []float64, skip []bool) {
				scale := 0.
				for _, g := range got {
					scale = max(scale, math.Abs(g))
				}
				stride := 1
				if testing.Short() {
					stride = 1 + len(at)/50
				}
				for i := 0; i < len(at); i += stride {
					if skip != nil && skip[i] {
						if got[i] != 0 {
							t.Errorf("%s %d is masked and has gradient %g", what, i, got[i])
						}
						continue
					}
					d := func(h float64) float64 {
						v := at[i]
						at[i] = v + h
						_, _, up := value(nil, false)
						at[i] = v - h
						_, _, down := value(nil, false)
						at[i] = v
						return (up - down) / (2 * h)
					}
					const h = 1e-3
					want := (4*d(h/2) - d(h)) / 3
					if !(math.Abs(got[i]-want) <= 1e-7*scale) {
						t.Errorf("%s %d: gradient %.12g, differences give %.12g", what, i, got[i], want)
					}
				}
			}
			compare("parameter", p.Values, grads, structural)
			compare("input", inputs, gx, nil)
		})
	}
}

// The weights and biases of a layer have PyTorch's default distribution,
// U(-1/√in, 1/√in), of standard deviation 1/√(3 in).
func TestInitialisation(t *testing.T) {
	p := NewParams[float64](rng.New(5, 0))
	NewLinear(p, "a", 50, 400, kernel.Identity)
	NewConv(p, "c", &autodiff.Conv{H: 4, W: 4, In: 8, Out: 200, KH: 3, KW: 3, Stride: 1}, kernel.Identity)
	for name, in := range map[string]int{"a.weight": 50, "a.bias": 50, "c.weight": 72, "c.bias": 72} {
		v, _ := p.Named(name)
		bound := 1 / math.Sqrt(float64(in))
		var ss float64
		for _, x := range v {
			if math.Abs(x) > bound {
				t.Fatalf("%s: %g is beyond %g", name, x, bound)
			}
			ss += x * x / float64(len(v))
		}
		// The mean of x² is b²/3; x² has standard deviation b² √(4/45).
		se := bound * bound * math.Sqrt(4./45/float64(len(v)))
		if d := ss - bound*bound/3; math.Abs(d) > 4*se {
			t.Errorf("%s: mean square %g, want %g ± %g", name, ss, bound*bound/3, se)
		}
	}
	// float32 has the same draws, rounded.
	q := NewParams[float32](rng.New(5, 0))
	NewLinear(q, "a", 50, 400, kernel.Identity)
	for i, v := range q.Values {
		if v != float32(p.Values[i]) {
			t.Fatalf("element %d: %g and %g", i, v, p.Values[i])
		}
	}
}

// Outputs for variable i change with the variables before it and no others.
func TestMADEIsAutoregressive(t *testing.T) {
	for d := 1; d <= 5; d++ {
		p := NewParams[float64](rng.New(uint64(d), 0))
		m := NewMADE(p, "made", d, &MADEOptions{Hidden: []int{16, 16}, Act: kernel.Tanh, Context: 1, Outputs: 2})
		var tp tape
		outputs := func(change int) []float64 {
			tp.Reset(p.Values, nil)
			x := tp.Fill(1, d+1, 0.5)
			if change >= 0 {
				tp.Value(x)[change] = 2
			}
			return slices.Clone(tp.Value(m.Forward(&tp, tp.Cols(x, 0, d), tp.Cols(x, d, d+1))))
		}
		base := outputs(-1)
		for change := range d + 1 {
			for j, v := range outputs(change) {
				depends := change == d && d > 0 || change < j/2
				if (v != base[j]) != depends {
					t.Errorf("d = %d: output %d changes with input %d: %t", d, j, change, v != base[j])
				}
			}
		}
	}
}

func TestSetEncoderIgnoresOrderAndPadding(t *testing.T) {
	p := NewParams[float64](rng.New(9, 0))
	s := NewSetEncoder(p, "set", 2, 8, 3, &MLPOptions{Hidden: []int{8}, Act: kernel.ReLU})
	var tp tape
	run := func(x, weight []float64) []float64 {
		tp.Reset(p.Values, nil)
		v := tp.Input(len(x)/2, 2)
		copy(tp.Value(v), x)
		var w autodiff.Var
		if weight != nil {
			w = tp.Input(len(weight), 1)
			copy(tp.Value(w), weight)
		}
		return slices.Clone(tp.Value(s.Forward(&tp, v, len(x)/2, w)))
	}
	want := run([]float64{1, 2, 3, 4, 5, 6}, nil)
	for _, got := range [][]float64{
		run([]float64{5, 6, 1, 2, 3, 4}, nil),
		run([]float64{1, 2, 99, 99, 3, 4, 5, 6}, []float64{1, 0, 1, 1}),
	} {
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-14 {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
}
