package inverse

import (
	"context"

	"gonum.org/v1/gonum/mat"
)

// Operator is a forward model A: Rⁿ → Rᵐ, evaluated on a batch: one row an
// input.
//
// An Operator may also be [Linear], [Differentiable], a [Linearizer] or
// [Spectral]; functions that need one of these say so in their error.
type Operator interface {
	// Dims returns the number m of data and the number n of unknowns.
	Dims() (m, n int)
	// Apply sets row i of dst (r×m) to A(x_i), where x_i is row i of x (r×n).
	// A row where A cannot be evaluated is filled with NaN.
	Apply(dst, x *mat.Dense)
}

// Linear is an Operator that is a matrix, with its transpose.
type Linear interface {
	Operator
	// Adjoint sets row i of dst (r×n) to Aᵀy_i, where y_i is row i of y (r×m).
	Adjoint(dst, y *mat.Dense)
}

// Differentiable is an Operator with the transpose of its Jacobian J(x),
// the vector-Jacobian product of automatic differentiation.
type Differentiable interface {
	Operator
	// VJP sets row i of dst (r×n) to J(x_i)ᵀy_i for the rows of x (r×n) and
	// y (r×m).
	VJP(dst, x, y *mat.Dense)
}

// Linearizer is an Operator whose value and vector-Jacobian product share
// work, as those of differential equations do.
type Linearizer interface {
	Operator
	// Linearize returns a new workspace for evaluating the operator and its
	// vector-Jacobian product at the same points.
	Linearize() Linearization
}

// Linearization evaluates an operator and remembers where. It is a
// workspace: not safe for concurrent use, and free of allocation once warm.
type Linearization interface {
	// Apply sets the rows of dst to A(x_i) and keeps what VJP needs.
	Apply(dst, x *mat.Dense)
	// VJP sets row i of dst to J(x_i)ᵀy_i at the x of the last Apply.
	VJP(dst, y *mat.Dense)
}

// Spectral is a Linear operator with a singular value decomposition
// A = U Σ Vᵀ that can be applied without forming its factors.
//
// U (m×k) and V (n×k) have orthonormal columns, k = min(m, n), and Σ is
// diagonal with the singular values, which are not negative but need not be
// sorted: a structured operator keeps its natural order.
type Spectral interface {
	Linear
	// SingularValues returns the k singular values. The caller must not
	// modify the slice.
	SingularValues() []float64
	// MulV sets the rows of dst (r×n) to V c_i for the rows c_i of c (r×k).
	MulV(dst, c *mat.Dense)
	// MulVT sets the rows of dst (r×k) to Vᵀx_i for the rows x_i of x (r×n).
	MulVT(dst, x *mat.Dense)
	// MulU sets the rows of dst (r×m) to U c_i for the rows c_i of c (r×k).
	MulU(dst, c *mat.Dense)
	// MulUT sets the rows of dst (r×k) to Uᵀy_i for the rows y_i of y (r×m).
	MulUT(dst, y *mat.Dense)
}

// Density is a density on Rⁿ in gonum's spelling. It need not be normalised.
type Density interface {
	// LogProb returns the log density at x, -Inf outside the support.
	LogProb(x []float64) float64
}

// DifferentiableDensity is a Density with its score, in gonum's spelling.
// A gonum distmv.Normal is one.
type DifferentiableDensity interface {
	Density
	// ScoreInput stores the gradient of the log density at x in score and
	// returns it. A nil score is allocated.
	ScoreInput(score, x []float64) []float64
}

// LogProbScorer is a density whose value and score share work. Algorithms
// that want both use it where it is present.
type LogProbScorer interface {
	// LogProbScore stores the score at x in score, which is not nil, and
	// returns the log density.
	LogProbScore(score, x []float64) float64
}

// ScoreFunc is the gradient of a log density at diffusion time t, row by
// row; t = 0 is the density itself.
type ScoreFunc interface {
	// Dim returns the dimension n of the space.
	Dim() int
	// Score sets row i of dst (r×n) to ∇ log p_t at row i of x (r×n).
	Score(dst, x *mat.Dense, t float64)
}

// ScoreLinearizer is a ScoreFunc whose Jacobian, the Hessian of log p_t, can
// be applied to vectors: what guidance that differentiates a denoised mean
// needs.
type ScoreLinearizer interface {
	ScoreFunc
	// LinearizeScore returns a new workspace for evaluating the score and the
	// products with its Jacobian at the same points.
	LinearizeScore() ScoreLinearization
}

// ScoreLinearization evaluates a score and remembers where, as
// [Linearization] does for operators. It is a workspace: not safe for
// concurrent use, and free of allocation once warm.
type ScoreLinearization interface {
	// Score sets the rows of dst to ∇ log p_t(x_i) and keeps what VJP needs.
	Score(dst, x *mat.Dense, t float64)
	// VJP sets row i of dst to ∇² log p_t(x_i) v_i at the x and t of the last
	// Score. The Hessian is symmetric; of a learned score it is the transpose
	// of the Jacobian.
	VJP(dst, v *mat.Dense)
}

// Sampler fills a matrix with draws. Draws need not be independent of each
// other, but each row has the Sampler's distribution.
type Sampler interface {
	// Dim returns the dimension n of a draw.
	Dim() int
	// Sample fills the rows of dst (r×n) with draws. It returns early with
	// ctx's error, and then what dst holds is not specified.
	Sample(ctx context.Context, dst *mat.Dense) error
}

// ConditionalFlow is an invertible map x = g(z; y) that takes z ~ N(0, I) to
// a density q(x|y).
type ConditionalFlow interface {
	// Dims returns the dimensions of x and of y.
	Dims() (x, y int)
	// Generate sets the rows of dst to g(z_i; y_i).
	Generate(dst, z, y *mat.Dense)
	// Invert sets the rows of dst to z_i = g⁻¹(x_i; y_i) and logDet[i] to
	// log |det ∂z_i/∂x_i|. A nil logDet is not computed.
	Invert(dst *mat.Dense, logDet []float64, x, y *mat.Dense)
	// LogProb sets dst[i] to log q(x_i|y_i).
	LogProb(dst []float64, x, y *mat.Dense)
}
