package posteriordb

import (
	"fmt"
	"math"
	"sync"

	"github.com/go-inverse/inverse/internal/kernel"
)

// gpRegr is Gaussian process regression with a squared exponential kernel:
//
//	rho ~ Gamma(25, 4)    alpha ~ N⁺(0, 2)    sigma ~ N⁺(0, 1)
//	y ~ N(0, K)    K_ij = alpha² exp(-(x_i - x_j)² / (2 rho²)) + sigma δ_ij
//
// with u the logarithms of (rho, alpha, sigma). It is sigma, not its square,
// that the database's model adds.
type gpRegr struct {
	X []float64 `json:"x"`
	Y []float64 `json:"y"`

	d2      []float64 // squares of the distances of inputs, n×n
	scratch sync.Pool // of *gpScratch
}

// gpScratch holds n×n exponentials, L and L⁻¹, and z and the reciprocals of
// the diagonal of L.
type gpScratch struct{ e, l, w, z, inv []float64 }

func (m *gpRegr) check() error {
	if len(m.X) == 0 || len(m.Y) != len(m.X) {
		return fmt.Errorf("%d inputs, %d outputs", len(m.X), len(m.Y))
	}
	n := len(m.X)
	for _, x := range m.X {
		for _, y := range m.X {
			m.d2 = append(m.d2, (x-y)*(x-y))
		}
	}
	m.scratch.New = func() any {
		return &gpScratch{
			e: make([]float64, n*n), l: make([]float64, n*n), w: make([]float64, n*n),
			z: make([]float64, n), inv: make([]float64, n),
		}
	}
	return nil
}

func (m *gpRegr) dim() int { return 3 }

func (m *gpRegr) params() []string { return []string{"rho", "alpha", "sigma"} }

func (m *gpRegr) constrain(x, u []float64) {
	for i, v := range u {
		x[i] = math.Exp(v)
	}
}

func (m *gpRegr) eval(score, u []float64) float64 {
	s := m.scratch.Get().(*gpScratch)
	defer m.scratch.Put(s)
	rho, alpha, sigma := math.Exp(u[0]), math.Exp(u[1]), math.Exp(u[2])
	n := len(m.X)

	// K = L Lᵀ, its lower triangle row by row, and z = L⁻¹y.
	a2, c := alpha*alpha, -1/(2*rho*rho)
	lp := 25*u[0] - 4*rho + u[1] - a2/8 + u[2] - sigma*sigma/2
	kernel.Scale(s.e, c, m.d2)
	kernel.Exp(s.e, s.e)
	diagonal := logProduct{product: 1}
	for i := range n {
		li, ei := s.l[i*n:i*n+i+1], s.e[i*n:i*n+i+1]
		v := m.Y[i]
		for j := range i {
			k := a2 * ei[j]
			lj := s.l[j*n : j*n+j+1]
			for t, x := range lj[:j] {
				k -= x * li[t]
			}
			li[j] = k * s.inv[j]
			v -= li[j] * s.z[j]
		}
		k := a2 + sigma
		for _, x := range li[:i] {
			k -= x * x
		}
		if !(k > 0) {
			return math.Inf(-1)
		}
		diagonal = diagonal.times(k)
		li[i] = math.Sqrt(k)
		s.inv[i] = 1 / li[i]
		s.z[i] = v * s.inv[i]
		lp -= s.z[i] * s.z[i] / 2
	}
	lp -= diagonal.log() / 2
	if score == nil {
		return lp
	}

	// W = L⁻¹, and K⁻¹y = Wᵀz.
	for i := range n {
		li, wi := s.l[i*n:i*n+i+1], s.w[i*n:i*n+i+1]
		for j := range i {
			var v float64
			for t := j; t < i; t++ {
				v -= li[t] * s.w[t*n+j]
			}
			wi[j] = v * s.inv[i]
		}
		wi[i] = s.inv[i]
	}
	for i := range n {
		var v float64
		for t := i; t < n; t++ {
			v += s.w[t*n+i] * s.z[t]
		}
		s.z[i] = v // entries before i are not read again
	}
	// The derivative by K is G = (K⁻¹y yᵀK⁻¹ - K⁻¹)/2, with K⁻¹ = WᵀW.
	var drho, dalpha, dsigma float64
	for i := range n {
		for j := range i + 1 {
			g := s.z[i] * s.z[j]
			for t := i; t < n; t++ {
				g -= s.w[t*n+i] * s.w[t*n+j]
			}
			if i == j {
				dsigma += g / 2
				dalpha += g / 2
				continue
			}
			ge := g * s.e[i*n+j]
			dalpha += ge
			drho += ge * m.d2[i*n+j]
		}
	}
	score[0] = 25 - 4*rho - 2*c*a2*drho
	score[1] = 1 - a2/4 + 2*a2*dalpha
	score[2] = 1 - sigma*sigma + sigma*dsigma
	return lp
}
