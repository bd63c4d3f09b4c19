package forward

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// A Problem is a test problem with a known solution, a discretised Fredholm
// integral equation of the first kind
//
//	∫ K(s,t) f(t) dt = g(s).
//
// The six of this package are those of P. C. Hansen's Regularization Tools
// (Numerical Algorithms 6, 1994), in his discretisations. With the midpoint
// rule, X and Y are values of f and g; with Galerkin's method they are the
// integrals of f and g with functions that are 1/√h on one cell of width h.
type Problem struct {
	A    *Dense
	X, Y []float64 // solution and data without noise
	T, S []float64 // the midpoints of the cells of X and of Y
}

// Deriv2 returns the second derivative, mildly ill-posed, on n cells by
// Galerkin's method: f = g” with g(0) = g(1) = 0,
//
//	K(s,t) = s(t-1) for s < t, t(s-1) for s ≥ t;   s, t in [0, 1].
//
// Its singular values tend to 1/(kπ)². The example is 1 for f(t) = t, 2 for
// f(t) = exp(t) and 3 for f(t) = min(t, 1-t), of which 2 does not vanish at the
// edges as the singular functions do.
func Deriv2(n, example int) (*Problem, error) {
	if n < 1 {
		return nil, cellsError("Deriv2", n)
	}
	// antiderivatives of f and g
	var f, g func(t float64) float64
	switch example {
	case 1:
		f = func(t float64) float64 { return t * t / 2 }
		g = func(s float64) float64 { return s * s * (s*s/2 - 1) / 12 }
	case 2:
		f = math.Exp
		g = func(s float64) float64 { return math.Exp(s) + (1-math.E)*s*s/2 - s }
	case 3:
		f = func(t float64) float64 {
			if t < 0.5 {
				return t * t / 2
			}
			return t - t*t/2 - 0.25
		}
		left := func(s float64) float64 { return s * s * (s*s - 1.5) / 24 }
		g = func(s float64) float64 {
			if s < 0.5 {
				return left(s)
			}
			return 2*left(0.5) - left(1-s)
		}
	default:
		return nil, fmt.Errorf("forward: Deriv2: example is %d, want 1, 2 or 3", example)
	}
	h := 1 / float64(n)
	s := midpoints(n, 0, 1)
	a := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, h*s[min(i, j)]*(s[max(i, j)]-1))
		}
		a.Set(i, i, a.At(i, i)+h*h/6) // the mean of min(s,t) in the cell is s_i - h/6
	}
	return newProblem(a, boxes(f, n, 0, 1), boxes(g, n, 0, 1), s, s)
}

// Shaw returns a one-dimensional model of image restoration, severely
// ill-posed, with n points by the midpoint rule: light that passes a slit,
//
//	K(s,t) = (cos s + cos t)² (sin u / u)²,   u = π(sin s + sin t),
//	f(t) = 2 exp(-6(t-0.8)²) + exp(-2(t+0.5)²);   s, t in [-π/2, π/2].
//
// Y is A X.
func Shaw(n int) (*Problem, error) {
	if n < 1 {
		return nil, cellsError("Shaw", n)
	}
	t := midpoints(n, -math.Pi/2, math.Pi/2)
	a := kernelMatrix(math.Pi/float64(n), t, t, func(s, t float64) float64 {
		c, u := math.Cos(s)+math.Cos(t), math.Pi*(math.Sin(s)+math.Sin(t))
		if u != 0 {
			c *= math.Sin(u) / u
		}
		return c * c
	})
	x := make([]float64, n)
	for j, t := range t {
		x[j] = 2*math.Exp(-6*(t-0.8)*(t-0.8)) + math.Exp(-2*(t+0.5)*(t+0.5))
	}
	return newProblem(a, x, nil, t, t)
}

// Phillips returns D. L. Phillips' problem (J. ACM 9, 1962), mildly ill-posed,
// on n cells by Galerkin's method: with φ(x) = 1 + cos(πx/3) for |x| < 3 and 0
// beyond,
//
//	K(s,t) = φ(s-t),   f(t) = φ(t),
//	g(s) = (6-|s|)(1 + cos(πs/3)/2) + 9/(2π) sin(π|s|/3);   s, t in [-6, 6].
//
// It is an error if n is not a multiple of 4.
func Phillips(n int) (*Problem, error) {
	if n < 4 || n%4 != 0 {
		return nil, fmt.Errorf("forward: Phillips: n is %d, want a positive multiple of 4", n)
	}
	h := 12 / float64(n)
	const omega = math.Pi / 3
	// The entry at distance d is ∫∫ φ(s-t) ds dt / h over two cells.
	row := make([]float64, n)
	for d := range n/4 + 1 {
		at := func(d int) float64 { return math.Cos(omega * h * float64(d)) }
		if d < n/4 {
			row[d] = h + (2*at(d)-at(d-1)-at(d+1))/(h*omega*omega)
		} else { // half of the square is in the support of φ
			row[d] = h/2 + (at(1)-1)/(h*omega*omega)
		}
	}
	a := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, row[max(i-j, j-i)])
		}
	}
	f := func(t float64) float64 {
		t = min(max(t, -3), 3)
		return t + math.Sin(omega*t)/omega
	}
	g := func(s float64) float64 {
		r := math.Abs(s)
		sin, cos := math.Sincos(omega * r)
		v := 6*r - r*r/2 + (6-r)*sin/(2*omega) + 2*(1-cos)/(omega*omega)
		return math.Copysign(v, s)
	}
	s := midpoints(n, -6, 6)
	return newProblem(a, boxes(f, n, -6, 6), boxes(g, n, -6, 6), s, s)
}

// Gravity returns gravity surveying, severely ill-posed, with n points by the
// midpoint rule: the vertical field at the surface of a mass density f at
// depth d,
//
//	K(s,t) = d (d² + (s-t)²)^(-3/2),   f(t) = sin πt + sin(2πt)/2;   s, t in [0, 1].
//
// The deeper, the worse posed: d = 0.25 is Hansen's default. Y is A X. It is
// an error if depth is not positive.
func Gravity(n int, depth float64) (*Problem, error) {
	if n < 1 {
		return nil, cellsError("Gravity", n)
	}
	if !(depth > 0) || math.IsInf(depth, 1) {
		return nil, fmt.Errorf("forward: Gravity: depth is %v, want a positive number", depth)
	}
	t := midpoints(n, 0, 1)
	a := kernelMatrix(1/float64(n), t, t, func(s, t float64) float64 {
		return depth * math.Pow(depth*depth+(s-t)*(s-t), -1.5)
	})
	x := make([]float64, n)
	for j, t := range t {
		x[j] = math.Sin(math.Pi*t) + math.Sin(2*math.Pi*t)/2
	}
	return newProblem(a, x, nil, t, t)
}

// Baart returns M. L. Baart's problem (IMA J. Numer. Anal. 2, 1982), severely
// ill-posed, on n cells by Galerkin's method, with Simpson's rule where the
// integrals have no closed form:
//
//	K(s,t) = exp(s cos t),   f(t) = sin t,   g(s) = 2 sinh(s)/s;
//	s in [0, π/2], t in [0, π].
func Baart(n int) (*Problem, error) {
	if n < 1 {
		return nil, cellsError("Baart", n)
	}
	hs, ht := math.Pi/float64(2*n), math.Pi/float64(n)
	// strip returns ∫ exp(s c) ds over cell i.
	strip := func(i int, c float64) float64 {
		if c == 0 {
			return hs
		}
		return math.Exp(float64(i)*hs*c) * math.Expm1(hs*c) / c
	}
	a := mat.NewDense(n, n, nil)
	for j := range n {
		c0, c1, c2 := math.Cos(float64(j)*ht), math.Cos((float64(j)+0.5)*ht), math.Cos(float64(j+1)*ht)
		for i := range n {
			a.Set(i, j, ht/6*(strip(i, c0)+4*strip(i, c1)+strip(i, c2))/math.Sqrt(hs*ht))
		}
	}
	g := func(s float64) float64 {
		if s == 0 {
			return 2
		}
		return 2 * math.Sinh(s) / s
	}
	y := make([]float64, n)
	for i := range y {
		s := float64(i) * hs
		y[i] = math.Sqrt(hs) / 6 * (g(s) + 4*g(s+hs/2) + g(s+hs))
	}
	f := func(t float64) float64 { return -math.Cos(t) }
	return newProblem(a, boxes(f, n, 0, math.Pi), y, midpoints(n, 0, math.Pi), midpoints(n, 0, math.Pi/2))
}

// Foxgood returns the problem of L. Fox and E. T. Goodwin (Phil. Trans. R.
// Soc. 245, 1953), severely ill-posed, with n points by the midpoint rule:
//
//	K(s,t) = sqrt(s² + t²),   f(t) = t,   g(s) = ((1+s²)^(3/2) - s³)/3;
//	s, t in [0, 1].
//
// Its data do not satisfy the discrete Picard condition for the small
// singular values.
func Foxgood(n int) (*Problem, error) {
	if n < 1 {
		return nil, cellsError("Foxgood", n)
	}
	t := midpoints(n, 0, 1)
	y := make([]float64, n)
	for i, s := range t {
		y[i] = (math.Pow(1+s*s, 1.5) - s*s*s) / 3
	}
	return newProblem(kernelMatrix(1/float64(n), t, t, math.Hypot), append([]float64(nil), t...), y, t, t)
}

func cellsError(name string, n int) error {
	return fmt.Errorf("forward: %s: n is %d, want a positive number", name, n)
}

// newProblem returns the Problem; a nil y is A x.
func newProblem(a *mat.Dense, x, y, t, s []float64) (*Problem, error) {
	op, err := NewDense(a)
	if err != nil {
		return nil, err
	}
	p := &Problem{A: op, X: x, Y: y, T: t, S: append([]float64(nil), s...)}
	if y == nil {
		m, n := a.Dims()
		p.Y = make([]float64, m)
		op.Apply(mat.NewDense(1, m, p.Y), mat.NewDense(1, n, x))
	}
	return p, nil
}

// midpoints returns those of n cells of [lo, hi].
func midpoints(n int, lo, hi float64) []float64 {
	t := make([]float64, n)
	for i := range t {
		t[i] = lo + (hi-lo)*(float64(i)+0.5)/float64(n)
	}
	return t
}

// kernelMatrix returns the midpoint rule with the weight h.
func kernelMatrix(h float64, s, t []float64, kernel func(s, t float64) float64) *mat.Dense {
	a := mat.NewDense(len(s), len(t), nil)
	for i, s := range s {
		for j, t := range t {
			a.Set(i, j, h*kernel(s, t))
		}
	}
	return a
}

// boxes returns the integrals over n cells of [lo, hi], divided by the square
// root of their width, of the function whose antiderivative is f.
func boxes(f func(t float64) float64, n int, lo, hi float64) []float64 {
	h := (hi - lo) / float64(n)
	c := make([]float64, n)
	for i := range c {
		c[i] = (f(lo+float64(i+1)*h) - f(lo+float64(i)*h)) / math.Sqrt(h)
	}
	return c
}
