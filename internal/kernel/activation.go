package kernel

import (
	"fmt"
	"math"
)

// Activation is a function applied to each element of a layer's output.
type Activation uint8

// The activations. GELU is the exact one, with the normal distribution
// function, not its approximation by tanh.
const (
	Identity Activation = iota // z
	ReLU                       // max(z, 0)
	Tanh                       // tanh z
	Sigmoid                    // 1/(1 + e⁻ᶻ)
	Softplus                   // log(1 + eᶻ)
	SiLU                       // z/(1 + e⁻ᶻ)
	GELU                       // z Φ(z)
	LogCosh                    // log cosh z
)

var activations = [...]struct {
	name              string
	simd              bool // there is assembly for it
	forward, backward op
}{
	Identity: {name: "identity"},
	ReLU:     {"relu", true, opRelu, opMulReLU},
	Tanh:     {"tanh", true, opTanh, opMulTanh},
	Sigmoid:  {"sigmoid", true, opSigmoid, opMulSigmoid},
	Softplus: {"softplus", true, opSoftplus, opMulSoftplus},
	SiLU:     {"silu", true, opSilu, opMulSiLU},
	GELU:     {"gelu", true, opGelu, opMulGELU},
	LogCosh:  {"logcosh", true, opLogCosh, opMulLogCosh},
}

// String returns the name of the activation in lower case.
func (a Activation) String() string {
	if int(a) < len(activations) {
		return activations[a].name
	}
	return fmt.Sprintf("Activation(%d)", uint8(a))
}

// FromOutput reports whether the derivative is a function of the activation's
// output σ(z), so that z need not be kept for the backward pass.
func (a Activation) FromOutput() bool { return a <= Sigmoid }

// Activate sets dst[i] = σ(z[i]). dst may be z itself.
func Activate[T Float](a Activation, dst, z []T) {
	checkLen("Activate", len(dst), len(z))
	if int(a) < len(activations) && activations[a].simd && run(activations[a].forward, dst, z, nil, 0) {
		return
	}
	switch a {
	case Identity:
		copy(dst, z)
	case ReLU:
		for i, v := range z {
			dst[i] = max(v, 0)
		}
	case Tanh:
		apply(dst, z, math.Tanh)
	case Sigmoid:
		apply(dst, z, sigmoid)
	case Softplus:
		apply(dst, z, softplus)
	case SiLU:
		apply(dst, z, silu)
	case GELU:
		apply(dst, z, gelu)
	case LogCosh:
		apply(dst, z, logCosh)
	default:
		panic("kernel: unknown " + a.String())
	}
}

// MulDerivative sets dst[i] = d[i] σ'(z[i]), the backward pass of [Activate]
// (and its forward-mode derivative as well). ref holds σ(z) if a.FromOutput,
// else z. dst may be d or ref itself.
func MulDerivative[T Float](a Activation, dst, d, ref []T) {
	checkLen("MulDerivative", len(dst), len(d), len(ref))
	if int(a) < len(activations) && activations[a].simd && run(activations[a].backward, dst, d, ref, 0) {
		return
	}
	switch a {
	case Identity:
		copy(dst, d)
	case ReLU:
		for i, y := range ref {
			if y <= 0 {
				dst[i] = 0
			} else {
				dst[i] = d[i]
			}
		}
	case Tanh:
		for i, y := range ref {
			dst[i] = d[i] * ((1 - y) * (1 + y))
		}
	case Sigmoid:
		for i, y := range ref {
			dst[i] = d[i] * (y * (1 - y))
		}
	case Softplus:
		for i, z := range ref {
			dst[i] = d[i] * T(sigmoid(float64(z)))
		}
	case SiLU:
		for i, z := range ref {
			dst[i] = d[i] * T(siluPrime(float64(z)))
		}
	case GELU:
		for i, z := range ref {
			dst[i] = d[i] * T(geluPrime(float64(z)))
		}
	case LogCosh:
		for i, z := range ref {
			dst[i] = d[i] * T(math.Tanh(float64(z)))
		}
	default:
		panic("kernel: unknown " + a.String())
	}
}

// sigmoid returns 1/(1 + e⁻ˣ).
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// softplus returns log(1 + eˣ).
func softplus(x float64) float64 {
	return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
}

// silu returns x/(1 + e⁻ˣ), -0 at -Inf.
func silu(x float64) float64 {
	switch {
	case x < -800:
		return math.Copysign(0, x)
	case x < -600: // eˣ may be subnormal where x eˣ is not
		return x * math.Exp(x+200) * math.Exp(-200)
	}
	return x * sigmoid(x)
}

// siluPrime returns s (1 + x (1 - s)) where s is the sigmoid of x.
func siluPrime(x float64) float64 {
	switch {
	case x > 800:
		return 1
	case x < -800:
		return 0
	}
	return sigmoid(x) * (1 + x*sigmoid(-x))
}

// gelu returns x Φ(x), -0 at -Inf.
func gelu(x float64) float64 {
	if x < -40 {
		return math.Copysign(0, x)
	}
	return x * normalCDF(x)
}

// normalCDF returns Φ(x) = erfc(-x/√2)/2. The rounding error of the argument
// is made good to first order.
func normalCDF(x float64) float64 {
	const low = -4.833646656726457e-17 // of 1/√2
	a := -x * (1 / math.Sqrt2)
	y := 0.5 * math.Erfc(a)
	if a > 0.5 {
		d := math.FMA(-x, 1/math.Sqrt2, -a) - x*low
		y -= d * math.Exp(-a*a) * (1 / math.SqrtPi)
	}
	return y
}

// geluPrime returns Φ(x) + x φ(x).
func geluPrime(x float64) float64 {
	switch {
	case x > 40:
		return 1
	case x < -40:
		return 0
	}
	const invSqrt2Pi = 1 / (math.SqrtPi * math.Sqrt2)
	return normalCDF(x) + x*invSqrt2Pi*math.Exp(-0.5*x*x)
}

// logCosh returns log cosh x.
func logCosh(x float64) float64 {
	x = math.Abs(x)
	if x < 1 {
		s := math.Sinh(0.5 * x)
		return math.Log1p(2 * s * s) // cosh x = 1 + 2 sinh²(x/2)
	}
	return x + (math.Log1p(math.Exp(-2*x)) - math.Ln2)
}
