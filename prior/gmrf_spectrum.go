package prior

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/go-inverse/inverse/internal/dft"
	"github.com/go-inverse/inverse/internal/kernel"
)

// laplacian returns eigenvalue k of the Laplacian of n cells in a line.
func laplacian(b Boundary, k, n int) float64 {
	var s float64
	switch b {
	case Neumann:
		s = math.Sin(math.Pi * float64(k) / float64(2*n))
	case Periodic:
		s = math.Sin(math.Pi * float64(k) / float64(n))
	case Dirichlet:
		s = math.Sin(math.Pi * float64(k+1) / float64(2*(n+1)))
	}
	return 4 * s * s
}

// Eigenvalues returns the eigenvalues q of the precision Q = V diag(q) Vᵀ, in
// the order of the coordinates of MulV. The caller must not modify the slice.
func (f *GMRF) Eigenvalues() []float64 { return f.q }

// MulV sets the rows of dst to V c_i, where the columns of V are the
// eigenvectors of Q: the orthonormal cosine (Neumann), real Fourier
// (Periodic) or sine (Dirichlet) basis of the grid.
func (f *GMRF) MulV(dst, c *mat.Dense) {
	checkRows(dst, c, f.Dim())
	for i := range c.RawMatrix().Rows {
		f.basis.inverse(dst.RawRowView(i), c.RawRowView(i))
	}
}

// MulVT sets the rows of dst to Vᵀx_i.
func (f *GMRF) MulVT(dst, x *mat.Dense) {
	checkRows(dst, x, f.Dim())
	for i := range x.RawMatrix().Rows {
		f.basis.forward(dst.RawRowView(i), x.RawRowView(i))
	}
}

// Variance stores the variance of each cell, the diagonal of Q⁻¹, in dst,
// which is allocated if nil, and returns it. It is exact, from the spectrum.
func (f *GMRF) Variance(dst []float64) []float64 {
	dst = use(dst, f.Dim())
	v := make([]float64, f.Dim())
	for i, q := range f.q {
		v[i] = 1 / q
	}
	f.SpectralVariance(dst, v)
	return dst
}

// SpectralVariance stores the diagonal of V diag(v) Vᵀ in dst. On a grid it
// costs rows·cols·(rows + cols) operations.
func (f *GMRF) SpectralVariance(dst, v []float64) {
	checkPoint(dst, f.Dim())
	checkPoint(v, f.Dim())
	if f.boundary == Periodic {
		f.periodicVariance(dst, v)
		return
	}
	// Σ_kl v_kl R_ik² C_jl² for the separable basis.
	r, c := squares(f.boundary, f.rows), squares(f.boundary, f.cols)
	if f.line {
		r = []float64{1}
	}
	half := make([]float64, f.Dim())
	kernel.Gemm(false, true, f.rows, f.cols, f.cols, 1, v, f.cols, c, f.cols, 0, half, f.cols)
	kernel.Gemm(false, false, f.rows, f.cols, f.rows, 1, r, f.rows, half, f.cols, 0, dst, f.cols)
}

// squares returns the squares of the cosine or sine basis of n cells, cell i
// in row i.
func squares(b Boundary, n int) []float64 {
	s := make([]float64, n*n)
	for i := range n {
		for k := range n {
			var v, norm float64
			switch {
			case b == Dirichlet:
				v = math.Sin(math.Pi * float64((k+1)*(i+1)%(2*(n+1))) / float64(n+1))
				norm = 2 / float64(n+1)
			case k == 0:
				v, norm = 1, 1/float64(n)
			default:
				v = math.Cos(math.Pi * float64(k*(2*i+1)%(4*n)) / float64(2*n))
				norm = 2 / float64(n)
			}
			s[i*n+k] = norm * v * v
		}
	}
	return s
}

// periodicVariance uses 2cos²θ = 1 + cos 2θ and 2sin²θ = 1 - cos 2θ: the
// variance is constant but for waves of twice the frequency where the cosine
// and the sine of one frequency differ in v.
func (f *GMRF) periodicVariance(dst, v []float64) {
	n := float64(f.Dim())
	c := make([]float64, f.Dim())
	for k := range f.rows {
		for l := range f.cols/2 + 1 {
			sine := k*f.cols + f.cols - l
			if l == 0 || 2*l == f.cols {
				if 2*k == 0 || 2*k >= f.rows {
					continue
				}
				sine = (f.rows-k)*f.cols + l
			}
			c[k*f.cols+l] = (v[k*f.cols+l] - v[sine]) / math.Sqrt(2*n)
		}
	}
	f.basis.inverse(c, c)
	mean := floats.Sum(v) / n
	for i := range f.rows {
		for j := range f.cols {
			dst[i*f.cols+j] = mean + c[2*i%f.rows*f.cols+2*j%f.cols]
		}
	}
}

// DiffusedLogProb, DiffusedScore, DiffusedVJP and Denoise make a GMRF
// Diffusible: with x_t = αx₀ + σz the covariance V diag(1/q) Vᵀ becomes
// V diag(α²/q + σ²) Vᵀ. A row costs n log n operations.
func (f *GMRF) DiffusedLogProb(dst []float64, x *mat.Dense, alpha, sigma float64) {
	if r, c := x.Dims(); r != len(dst) || c != f.Dim() {
		panic(fmt.Sprintf("prior: dst has length %d, x is %d×%d, want %d columns and as many rows", len(dst), r, c, f.Dim()))
	}
	logDet := 0.0
	for _, q := range f.q {
		logDet += math.Log(q / (alpha*alpha + sigma*sigma*q))
	}
	p := f.scratch.get(f.Dim())
	for i := range dst {
		floats.AddScaledTo(*p, x.RawRowView(i), -alpha, f.mean)
		f.basis.forward(*p, *p)
		quad := 0.0
		for k, c := range *p {
			quad += c * c * f.q[k] / (alpha*alpha + sigma*sigma*f.q[k])
		}
		dst[i] = 0.5 * (logDet - float64(f.Dim())*math.Log(2*math.Pi) - quad)
	}
	f.scratch.put(p)
}

// DiffusedScore: see Diffusible.
func (f *GMRF) DiffusedScore(dst, x *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, f.Dim())
	for i := range x.RawMatrix().Rows {
		to := dst.RawRowView(i)
		floats.AddScaledTo(to, x.RawRowView(i), -alpha, f.mean)
		f.mulDiffusedPrecision(to, alpha, sigma)
	}
}

// DiffusedVJP: see Diffusible. The derivative does not depend on x.
func (f *GMRF) DiffusedVJP(dst, x, v *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, f.Dim())
	checkRows(dst, v, f.Dim())
	for i := range v.RawMatrix().Rows {
		to := dst.RawRowView(i)
		copy(to, v.RawRowView(i))
		f.mulDiffusedPrecision(to, alpha, sigma)
	}
}

// mulDiffusedPrecision sets x to -(α²Q⁻¹ + σ²I)⁻¹x.
func (f *GMRF) mulDiffusedPrecision(x []float64, alpha, sigma float64) {
	f.basis.forward(x, x)
	for k, q := range f.q {
		x[k] *= -q / (alpha*alpha + sigma*sigma*q)
	}
	f.basis.inverse(x, x)
}

// Denoise: see Diffusible.
func (f *GMRF) Denoise(dst, x *mat.Dense, alpha, sigma float64) {
	checkRows(dst, x, f.Dim())
	for i := range x.RawMatrix().Rows {
		to := dst.RawRowView(i)
		floats.AddScaledTo(to, x.RawRowView(i), -alpha, f.mean)
		f.basis.forward(to, to)
		for k, q := range f.q {
			to[k] *= alpha / (alpha*alpha + sigma*sigma*q)
		}
		f.basis.inverse(to, to)
		floats.Add(to, f.mean)
	}
}

// basis is an orthonormal basis of a grid that diagonalises its Laplacian.
// The slices may be the same.
type basis interface {
	forward(dst, src []float64) // Vᵀ
	inverse(dst, src []float64) // V
}

func newBasis(b Boundary, rows, cols int) basis {
	switch b {
	case Periodic:
		t := &fourierBasis{fft: dft.NewFFT(rows, cols)}
		r, h := t.fft.SpectrumDims()
		t.spectra.New = func() any {
			c := make([]complex128, r*h)
			return &c
		}
		return t
	case Dirichlet:
		return sineBasis{dft.NewDST(rows, cols)}
	}
	return cosineBasis{dft.NewDCT(rows, cols)}
}

type cosineBasis struct{ t *dft.DCT }

func (b cosineBasis) forward(dst, src []float64) { b.t.Forward(dst, src) }
func (b cosineBasis) inverse(dst, src []float64) { b.t.Inverse(dst, src) }

type sineBasis struct{ t *dft.DST }

func (b sineBasis) forward(dst, src []float64) { b.t.Transform(dst, src) }
func (b sineBasis) inverse(dst, src []float64) { b.t.Transform(dst, src) }

type fourierBasis struct {
	fft     *dft.FFT
	spectra sync.Pool // *[]complex128
}

func (b *fourierBasis) forward(dst, src []float64) {
	c := b.spectra.Get().(*[]complex128)
	b.fft.Forward(*c, src)
	b.fft.Pack(dst, *c)
	b.spectra.Put(c)
}

func (b *fourierBasis) inverse(dst, src []float64) {
	c := b.spectra.Get().(*[]complex128)
	b.fft.Unpack(*c, src)
	b.fft.Inverse(dst, *c)
	b.spectra.Put(c)
}
