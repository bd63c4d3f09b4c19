package prior

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// diffuse returns the density of alpha x + sigma z by building it, for x from
// the mixture m.
func diffuse(t *testing.T, m *Mixture, alpha, sigma float64) *Mixture {
	t.Helper()
	means := mat.NewDense(m.Len(), m.Dim(), nil)
	covs := make([]mat.Symmetric, m.Len())
	for k := range covs {
		g := m.Component(k)
		means.SetRow(k, g.Mean(nil))
		s := new(mat.SymDense)
		g.CovarianceMatrix(s)
		s.ScaleSym(alpha*alpha, s)
		for i := range m.Dim() {
			s.SetSym(i, i, s.At(i, i)+sigma*sigma)
		}
		covs[k] = s
	}
	means.Scale(alpha, means)
	return mustMixture(t, m.Weights(nil), means, covs...)
}

// checkDiffused compares the diffused quantities of d with want, the diffused
// density built explicitly, and with finite differences and Tweedie's formula.
func checkDiffused(t *testing.T, name string, d Diffusible, want Prior, alpha, sigma float64) {
	t.Helper()
	n := d.Dim()
	const rows = rowBlock + 3 // more than one block
	x, v := randomDense(rows, n, 11), randomDense(rows, n, 12)
	x.Scale(2, x)
	logp := make([]float64, rows)
	score, hv, mean := mat.NewDense(rows, n, nil), mat.NewDense(rows, n, nil), mat.NewDense(rows, n, nil)
	d.DiffusedLogProb(logp, x, alpha, sigma)
	d.DiffusedScore(score, x, alpha, sigma)
	d.DiffusedVJP(hv, x, v, alpha, sigma)
	d.Denoise(mean, x, alpha, sigma)
	for i := range rows {
		at := x.RawRowView(i)
		if got := want.LogProb(at); !closeTo(logp[i], got, 1e-10) {
			t.Errorf("%s: log density %v, want %v", name, logp[i], got)
		}
		s := want.ScoreInput(nil, at)
		if j := differ(s, score.RawRowView(i), 1e-10); j >= 0 {
			t.Errorf("%s: score %v, want %v", name, score.RawRowView(i), s)
		}
		if i%16 > 0 {
			continue
		}
		moved := make([]float64, n)
		for j := range n {
			if tweedie := (at[j] + sigma*sigma*s[j]) / alpha; !closeTo(mean.At(i, j), tweedie, 1e-9) {
				t.Errorf("%s: denoised mean %v, by Tweedie's formula %v", name, mean.At(i, j), tweedie)
			}
			diff, _ := derivative(func(h float64) float64 {
				for l := range moved {
					moved[l] = at[l] + h*v.At(i, l)
				}
				return want.ScoreInput(nil, moved)[j]
			}, 0)
			if !closeTo(hv.At(i, j), diff, 1e-6) {
				t.Errorf("%s: VJP %v, by differences %v", name, hv.At(i, j), diff)
			}
		}
		if t.Failed() {
			return
		}
	}
	if l, ok := d.(DiffusedLinearizer); ok {
		checkLinearized(t, name, l.LinearizeDiffused(), x, v, score, hv, alpha, sigma)
	}
	// Into the inputs themselves, and without allocation.
	same := mat.DenseCopyOf(x)
	if d.DiffusedScore(same, same, alpha, sigma); !mat.Equal(same, score) {
		t.Errorf("%s: score in place differs", name)
	}
	same.Copy(v)
	if d.DiffusedVJP(same, x, same, alpha, sigma); !mat.Equal(same, hv) {
		t.Errorf("%s: VJP in place differs", name)
	}
	same.Copy(x)
	if d.Denoise(same, same, alpha, sigma); !mat.Equal(same, mean) {
		t.Errorf("%s: denoised mean in place differs", name)
	}
	noAllocations(t, name, func() {
		d.DiffusedLogProb(logp, x, alpha, sigma)
		d.DiffusedScore(score, x, alpha, sigma)
		d.DiffusedVJP(hv, x, v, alpha, sigma)
		d.Denoise(mean, x, alpha, sigma)
	})
}

// checkLinearized holds a linearization to the score and its derivative, also
// with matrices whose rows are apart, in place, and after other points.
func checkLinearized(t *testing.T, name string, l DiffusedLinearization, x, v, score, hv *mat.Dense, alpha, sigma float64) {
	t.Helper()
	rows, n := x.Dims()
	part := func(from *mat.Dense) *mat.Dense {
		m := mat.NewDense(rows, n+2, nil).Slice(0, rows, 1, n+1).(*mat.Dense)
		m.Copy(from)
		return m
	}
	at, along := part(x), part(v)
	for range 2 {
		l.Score(mat.NewDense(1, n, nil), randomDense(1, n, 13), 0.5, 0.7)
		at.Copy(x)
		if l.Score(at, at, alpha, sigma); !mat.EqualApprox(at, score, 1e-14) {
			t.Errorf("%s: linearized score differs", name)
		}
		for range 2 {
			along.Copy(v)
			if l.VJP(along, along); !mat.EqualApprox(along, hv, 1e-13) {
				t.Errorf("%s: VJP of the linearization differs", name)
			}
		}
	}
	noAllocations(t, name, func() {
		l.Score(at, x, alpha, sigma)
		l.VJP(along, v)
	})
}

var diffusionTimes = [][2]float64{{1, 0}, {0.9, 0.4}, {0.1, 0.99}, {1, 5}}

func TestMixtureDiffused(t *testing.T) {
	for name, m := range mixtures(t) {
		for _, at := range diffusionTimes {
			checkDiffused(t, fmt.Sprint(name, at), m, diffuse(t, m, at[0], at[1]), at[0], at[1])
		}
	}
}

func TestGaussianDiffused(t *testing.T) {
	full, diagonal, mean, cov, _ := gaussians(t, 4)
	for _, at := range diffusionTimes {
		one := mustMixture(t, nil, mat.NewDense(1, 4, mean), cov)
		for name, g := range full {
			checkDiffused(t, fmt.Sprint(name, at), g, diffuse(t, one, at[0], at[1]), at[0], at[1])
		}
		var s mat.SymDense
		diagonal["precision"].CovarianceMatrix(&s)
		one = mustMixture(t, nil, mat.NewDense(1, 4, mean), &s)
		checkDiffused(t, fmt.Sprint("diagonal ", at), diagonal["precision"], diffuse(t, one, at[0], at[1]), at[0], at[1])
	}
}

// Batches on several goroutines, from the first call on, are those of one.
func TestDiffusedConcurrently(t *testing.T) {
	for name, m := range mixtures(t) {
		x := randomDense(100, 3, 1)
		scores := make([]*mat.Dense, 4)
		var wg sync.WaitGroup
		for i := range scores {
			scores[i] = mat.NewDense(100, 3, nil)
			wg.Add(1)
			go func() {
				defer wg.Done()
				m.DiffusedScore(scores[i], x, 0.8, 0.6)
			}()
		}
		wg.Wait()
		for _, s := range scores[1:] {
			if !mat.Equal(s, scores[0]) {
				t.Errorf("%s: scores differ", name)
			}
		}
	}
}

// Without signal the denoised mean is the prior mean, without noise it is the
// scaled data.
func TestDenoiseLimits(t *testing.T) {
	x := randomDense(2, 3, 1)
	for name, m := range mixtures(t) {
		got, want := mat.NewDense(2, 3, nil), m.Mean(nil)
		m.Denoise(got, x, 0, 2)
		for j, v := range want {
			if !closeTo(got.At(1, j), v, 1e-13) {
				t.Errorf("%s: denoised mean of noise is %v, prior mean %v", name, got.At(1, j), v)
			}
		}
		m.Denoise(got, x, 2, 0)
		for j := range want {
			if !closeTo(got.At(1, j), x.At(1, j)/2, 1e-12) {
				t.Errorf("%s: denoised mean is %v without noise, want %v", name, got.At(1, j), x.At(1, j)/2)
			}
		}
	}
}

// The inner loop of diffusion on the mixture of 25 components at means
// (-8i, -8j) repeated, of Cardoso et al. (2023).
func BenchmarkMixtureDiffusedScore(b *testing.B) {
	for _, n := range []int{8, 80, 800} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			means := mat.NewDense(25, n, nil)
			for k := range 25 {
				for j := range n {
					means.Set(k, j, -8*float64([2]int{k/5 - 2, k%5 - 2}[j%2]))
				}
			}
			m := mustIsotropic(b, nil, means, 1)
			const rows = 1024
			x := mat.NewDense(rows, n, nil)
			m.Draw(x, nil)
			dst := mat.NewDense(rows, n, nil)
			b.ReportAllocs()
			for b.Loop() {
				m.DiffusedScore(dst, x, 0.6, 0.8)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			if math.IsNaN(dst.At(0, 0)) {
				b.Fatal("NaN")
			}
		})
	}
}
