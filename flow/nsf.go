package flow

import (
	"errors"
	"fmt"
	"math"

	"github.com/go-inverse/inverse/internal/kernel"
	"github.com/go-inverse/inverse/internal/nn"
)

// NSF is the neural spline flow of Durkan, Bekasov, Murray and Papamakarios
// (2019): a chain of maps that transform variables by monotone
// rational-quadratic splines, which networks of other variables and of the
// context select. In a coupling, every other variable is left as it is and
// selects the splines of the rest; autoregressive, x_1 to x_{i-1} select that
// of x_i. A trained linear map in between mixes the variables. Independent, the
// context alone selects all of them, behind an affine map that it selects too:
//
//	q(x|y) = Π_i q_i(x_i|y)
//
// as it is with measurements whose noises are independent.
//
// Outside of [-Bound, Bound] a spline is the identity. With the usual Bound of
// 3, one normal draw in 370 passes it unchanged in each variable, and where the
// density is much narrower than the standardised data it lands far outside. A
// Bound of 5 has hardly any of these.
type NSF struct {
	Transforms     int     // maps in the chain, 5 if 0, or 2 if Independent
	Bins           int     // pieces of a spline, 10 if 0
	Bound          float64 // a spline is the identity outside of [-Bound, Bound], 3 if 0
	Width          int     // of the networks, 50 if 0
	Blocks         int     // residual blocks of a coupling's network, or hidden layers of another, 2 if 0
	Autoregressive bool
	Independent    bool
}

var _ Architecture = NSF{}

func (NSF) kind() string { return "nsf" }

func (NSF) training() training { return estimation }

func (a NSF) resolve(dx, dc int) (Architecture, error) {
	if a.Bound == 0 {
		a.Bound = 3
	}
	if !(a.Bound > 0) || math.IsInf(a.Bound, 0) {
		return nil, fmt.Errorf("flow: NSF: Bound is %g, want it positive", a.Bound)
	}
	if a.Autoregressive && a.Independent {
		return nil, errors.New("flow: NSF: Autoregressive and Independent exclude each other")
	}
	transforms := 5
	if a.Independent {
		transforms = 2
	}
	if err := errors.Join(
		count("NSF", "Transforms", &a.Transforms, transforms, 1),
		count("NSF", "Bins", &a.Bins, 10, 2),
		count("NSF", "Width", &a.Width, 50, 1),
		count("NSF", "Blocks", &a.Blocks, 2, 1),
	); err != nil {
		return nil, err
	}
	if a.Bins > 500 {
		return nil, fmt.Errorf("flow: NSF: Bins is %d, want at most 500", a.Bins)
	}
	return a, nil
}

func (a NSF) build32(p *nn.Params[float32], dx, dc int) network[float32] {
	return buildNSF(p, a, dx, dc)
}
func (a NSF) build64(p *nn.Params[float64], dx, dc int) network[float64] {
	return buildNSF(p, a, dx, dc)
}

func buildNSF[T kernel.Float](p *nn.Params[T], a NSF, dx, dc int) network[T] {
	f := newRationalQuadratic[T](a.Bins, a.Bound)
	if !a.Autoregressive && !a.Independent {
		return buildCoupling[T](p, dx, dc, a.Transforms, a.Width, a.Blocks, f)
	}
	hidden := make([]int, a.Blocks)
	for i := range hidden {
		hidden[i] = a.Width
	}
	s := &stack[T]{dx: dx}
	if a.Independent {
		s.layers = append(s.layers, newAutoregressive[T](p, "affine", dx, dc, hidden, kernel.Tanh, affine[T]{}, true))
	}
	for i := range a.Transforms {
		if p.Err() != nil {
			break
		}
		name := fmt.Sprintf("transforms.%d", i)
		s.layers = append(s.layers, newAutoregressive[T](p, name+".made", dx, dc, hidden, kernel.ReLU, f, a.Independent))
		if dx > 1 && !a.Independent {
			s.layers = append(s.layers, newLinear(p, name+".linear", dx))
		}
	}
	return s
}
