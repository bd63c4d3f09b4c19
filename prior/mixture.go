package prior

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"

	"github.com/go-inverse/inverse/internal/rng"
)

// MixtureOptions are the options of NewMixture.
type MixtureOptions struct {
	// Src is the source of Rand; nil means a freshly seeded one.
	Src rand.Source
}

// Mixture is the Gaussian mixture Σ w_k N(μ_k, S_k) on Rⁿ.
//
// Its diffused density and score are evaluated for whole batches by matrix
// products; components that share a covariance are evaluated together, and
// cost 2n operations each if it is diagonal.
type Mixture struct {
	weights, logW []float64
	means         *mat.Dense // row k is μ_k
	covs          []*covariance
	src           rand.Source
	scratch       scratch

	once     sync.Once
	diffused *diffused
}

var (
	_ Prior         = (*Mixture)(nil)
	_ distmv.Rander = (*Mixture)(nil)

	_ DiffusedLinearizer = (*Mixture)(nil)
)

// NewMixture returns the mixture of N(μ_k, S_k) with the rows of means (K×n)
// as μ_k and either one covariance for all or one for each component, each
// n×n. A *mat.DiagDense stays diagonal, and a covariance that stands in covs
// several times in a row is shared. Weights are normalised; nil means equal
// ones.
//
// It returns an error if the dimensions differ, if a weight is negative or
// all are 0, if a covariance is not positive definite, or if an element is
// not finite.
func NewMixture(weights []float64, means *mat.Dense, covs []mat.Symmetric, opt *MixtureOptions) (*Mixture, error) {
	if means == nil || means.IsEmpty() {
		return nil, errors.New("prior: Mixture: means is empty")
	}
	k, n := means.Dims()
	if len(covs) != 1 && len(covs) != k {
		return nil, fmt.Errorf("prior: Mixture: covs has length %d, want 1 or %d, one for each row of means", len(covs), k)
	}
	shared := make([]*covariance, k)
	for i := range shared {
		if i > 0 && (len(covs) == 1 || covs[i] == covs[i-1]) {
			shared[i] = shared[i-1]
			continue
		}
		c, err := newCovariance(fmt.Sprintf("covs[%d]", i), covs[i], false)
		if err != nil {
			return nil, fmt.Errorf("prior: Mixture: %w", err)
		}
		if c.n != n {
			return nil, fmt.Errorf("prior: Mixture: covs[%d] is %d×%d, want %d×%d", i, c.n, c.n, n, n)
		}
		shared[i] = c
	}
	return newMixture(weights, means, shared, opt)
}

// NewIsotropicMixture is NewMixture with covariances sd[k]² I. The slice sd
// has one element for all components or one for each.
func NewIsotropicMixture(weights []float64, means *mat.Dense, sd []float64, opt *MixtureOptions) (*Mixture, error) {
	if means == nil || means.IsEmpty() {
		return nil, errors.New("prior: Mixture: means is empty")
	}
	k, n := means.Dims()
	if len(sd) != 1 && len(sd) != k {
		return nil, fmt.Errorf("prior: Mixture: sd has length %d, want 1 or %d, one for each row of means", len(sd), k)
	}
	shared := make([]*covariance, k)
	for i := range shared {
		if i > 0 && (len(sd) == 1 || sd[i] == sd[i-1]) {
			shared[i] = shared[i-1]
			continue
		}
		if !(sd[i] > 0) || math.IsInf(sd[i], 1) {
			return nil, fmt.Errorf("prior: Mixture: sd[%d] is %g, want a positive number", i, sd[i])
		}
		all := make([]float64, n)
		floats.AddConst(sd[i], all)
		shared[i] = diagonalCovariance(all)
	}
	return newMixture(weights, means, shared, opt)
}

func newMixture(weights []float64, means *mat.Dense, covs []*covariance, opt *MixtureOptions) (*Mixture, error) {
	if opt == nil {
		opt = &MixtureOptions{}
	}
	k, n := means.Dims()
	for i := range k {
		for j, v := range means.RawRowView(i) {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("prior: Mixture: means: element (%d, %d) is %g", i, j, v)
			}
		}
	}
	if weights == nil {
		weights = make([]float64, k)
		floats.AddConst(1, weights)
	}
	if len(weights) != k {
		return nil, fmt.Errorf("prior: Mixture: weights has length %d, want one for each of the %d rows of means", len(weights), k)
	}
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 1) {
			return nil, fmt.Errorf("prior: Mixture: weights[%d] is %g", i, w)
		}
	}
	sum := floats.Sum(weights)
	if !(sum > 0) || math.IsInf(sum, 1) {
		return nil, fmt.Errorf("prior: Mixture: weights sum to %g", sum)
	}
	m := &Mixture{
		weights: make([]float64, k),
		logW:    make([]float64, k),
		means:   mat.NewDense(k, n, nil),
		covs:    covs,
		src:     rng.Or(opt.Src),
	}
	m.means.Copy(means)
	for i, w := range weights {
		m.weights[i] = w / sum
		m.logW[i] = math.Log(w / sum)
	}
	return m, nil
}

// Dim returns n.
func (m *Mixture) Dim() int { return m.means.RawMatrix().Cols }

// Len returns the number of components.
func (m *Mixture) Len() int { return len(m.weights) }

// Weights stores the normalised weights in dst, which is allocated if nil,
// and returns it.
func (m *Mixture) Weights(dst []float64) []float64 {
	dst = use(dst, m.Len())
	copy(dst, m.weights)
	return dst
}

// Component returns component k. Its Rand has a freshly seeded source.
func (m *Mixture) Component(k int) *Gaussian {
	g, err := newGaussian(m.means.RawRowView(k), m.covs[k], nil)
	if err != nil {
		panic(err) // unreachable: the mean was checked
	}
	return g
}

// Mean stores Σ w_k μ_k in dst, which is allocated if nil, and returns it.
func (m *Mixture) Mean(dst []float64) []float64 {
	dst = use(dst, m.Dim())
	clear(dst)
	for k, w := range m.weights {
		floats.AddScaled(dst, w, m.means.RawRowView(k))
	}
	return dst
}

// CovarianceMatrix stores Σ w_k (S_k + (μ_k - μ)(μ_k - μ)ᵀ) in dst, where μ
// is the mean. It may be empty.
func (m *Mixture) CovarianceMatrix(dst *mat.SymDense) {
	mean := mat.NewVecDense(m.Dim(), m.Mean(nil))
	if dst.IsEmpty() {
		*dst = *mat.NewSymDense(m.Dim(), nil)
	} else {
		dst.Zero()
	}
	var s mat.SymDense
	d := mat.NewVecDense(m.Dim(), nil)
	for k, w := range m.weights {
		if k == 0 || m.covs[k] != m.covs[k-1] {
			m.covs[k].to(&s)
		}
		for i := range m.Dim() {
			for j := i; j < m.Dim(); j++ {
				dst.SetSym(i, j, dst.At(i, j)+w*s.At(i, j))
			}
		}
		d.SubVec(m.means.RowView(k), mean)
		dst.SymRankOne(dst, w, d)
	}
}

// LogProb returns the log density at x.
func (m *Mixture) LogProb(x []float64) float64 {
	p := m.scratch.get(m.Len() + m.Dim())
	logp := m.terms(*p, nil, x)
	m.scratch.put(p)
	return logp
}

// ScoreInput stores the score at x in score, which is allocated if nil, and
// returns it.
func (m *Mixture) ScoreInput(score, x []float64) []float64 { return scoreOf(m, score, x) }

// LogProbScore stores the score in score and returns the log density.
func (m *Mixture) LogProbScore(score, x []float64) float64 {
	checkPoint(score, m.Dim())
	p := m.scratch.get(m.Len() * (1 + m.Dim()))
	resp, grads := (*p)[:m.Len()], (*p)[m.Len():]
	logp := m.terms(*p, grads, x)
	clear(score)
	for k, l := range resp {
		floats.AddScaled(score, math.Exp(l-logp), grads[k*len(x):(k+1)*len(x)])
	}
	m.scratch.put(p)
	return logp
}

// Responsibilities stores the probabilities that x comes from each component
// in dst, which is allocated if nil, and returns it.
func (m *Mixture) Responsibilities(dst, x []float64) []float64 {
	dst = use(dst, m.Len())
	p := m.scratch.get(m.Len() + m.Dim())
	logp := m.terms(*p, nil, x)
	for k, l := range (*p)[:m.Len()] {
		dst[k] = math.Exp(l - logp)
	}
	m.scratch.put(p)
	return dst
}

// terms stores log w_k N(x; μ_k, S_k) in the first elements of buf and, if
// grads is not nil, the scores of the components in grads, one after the
// other. It returns the log density.
func (m *Mixture) terms(buf, grads, x []float64) float64 {
	n := m.Dim()
	checkPoint(x, n)
	logs := buf[:m.Len()]
	d := buf[m.Len():][:n]
	for k, c := range m.covs {
		if grads != nil {
			d = grads[k*n : (k+1)*n]
		}
		floats.SubTo(d, m.means.RawRowView(k), x)
		c.whiten(d)
		logs[k] = m.logW[k] - 0.5*(float64(n)*math.Log(2*math.Pi)+c.logDet+floats.Dot(d, d))
		if grads != nil {
			c.whitenT(d)
		}
	}
	return floats.LogSumExp(logs)
}

// Rand draws from the options' source into x, which is allocated if nil.
func (m *Mixture) Rand(x []float64) []float64 { return randOf(m, x, m.src) }

// Draw fills the rows of dst with independent draws from src.
func (m *Mixture) Draw(dst *mat.Dense, src rand.Source) { drawRows(m, dst, src) }

func (m *Mixture) draw(x []float64, src rand.Source) {
	u := rand.New(src).Float64()
	k := 0
	for last := m.Len() - 1; k < last; k++ {
		if u -= m.weights[k]; u < 0 {
			break
		}
	}
	rng.FillNormal(x, src)
	m.covs[k].color(x)
	floats.Add(x, m.means.RawRowView(k))
}

// Condition returns the posterior given data y = A x + e with noise
// e ~ N(0, R), and the log evidence log p(y): the mixture of the posteriors
// of the components, see Gaussian.Condition, with weights proportional to
// w_k N(y; A μ_k, A S_k Aᵀ + R). Components that share a covariance share the
// work, and their posteriors share one. The posterior's Rand has a freshly
// seeded source.
func (m *Mixture) Condition(a mat.Matrix, y []float64, r mat.Symmetric) (post *Mixture, logEvidence float64, err error) {
	logW := make([]float64, m.Len())
	means := mat.NewDense(m.Len(), m.Dim(), nil)
	covs := make([]*covariance, m.Len())
	var u *update
	for k, c := range m.covs {
		if k == 0 || c != m.covs[k-1] {
			if u, err = newUpdate(c, a, r); err != nil {
				return nil, 0, fmt.Errorf("prior: Mixture: condition: %w", err)
			}
		}
		mean, l, err := u.mean(m.means.RawRowView(k), y)
		if err != nil {
			return nil, 0, fmt.Errorf("prior: Mixture: condition: %w", err)
		}
		means.SetRow(k, mean)
		covs[k] = u.post
		logW[k] = m.logW[k] + l
	}
	logEvidence = floats.LogSumExp(logW)
	weights := make([]float64, m.Len())
	for k, l := range logW {
		weights[k] = math.Exp(l - logEvidence)
	}
	post, err = newMixture(weights, means, covs, nil)
	if err != nil {
		return nil, 0, err
	}
	// What underflows as a weight is kept as its logarithm.
	for k, l := range logW {
		post.logW[k] = l - logEvidence
	}
	return post, logEvidence, nil
}

// DiffusedLogProb, DiffusedScore, DiffusedVJP and Denoise make a Mixture
// Diffusible. The first call finds the eigenvectors of covariances that are
// not diagonal.
func (m *Mixture) DiffusedLogProb(dst []float64, x *mat.Dense, alpha, sigma float64) {
	m.diffusible().logProb(dst, x, alpha, sigma)
}

// DiffusedScore: see Diffusible.
func (m *Mixture) DiffusedScore(dst, x *mat.Dense, alpha, sigma float64) {
	m.diffusible().score(dst, x, alpha, sigma)
}

// DiffusedVJP: see Diffusible.
func (m *Mixture) DiffusedVJP(dst, x, v *mat.Dense, alpha, sigma float64) {
	m.diffusible().vjp(dst, x, v, alpha, sigma)
}

// Denoise: see Diffusible.
func (m *Mixture) Denoise(dst, x *mat.Dense, alpha, sigma float64) {
	m.diffusible().denoise(dst, x, alpha, sigma)
}

// LinearizeDiffused returns a workspace for the diffused score and its
// derivative, which then costs about half of DiffusedVJP.
func (m *Mixture) LinearizeDiffused() DiffusedLinearization {
	return &linearized{diffused: m.diffusible()}
}

func (m *Mixture) diffusible() *diffused {
	m.once.Do(func() { m.diffused = newDiffused(m.logW, m.means, m.covs) })
	return m.diffused
}
