// Package prior has densities to put on the unknown of an inverse problem,
// before the data are seen.
//
//	Gaussian         N(μ, S) by covariance, precision or Cholesky factor
//	GMRF             Gaussian Markov random field on a line or a grid
//	NewGP            Gaussian process on points, by its kernel
//	Mixture          Gaussian mixture
//	Product          independent coordinates of any distuv distribution
//	Box              uniform on a box
//	RandomWalk       Laplace, Cauchy, Student-t, ... steps along a line
//	Differences2D    the same on a grid, up to a constant
//	TV               smoothed total variation, up to a constant
//
// A prior has gonum's methods LogProb, ScoreInput and Rand, a fused
// LogProbScore, and Draw for batches:
//
//	field, err := prior.NewGMRF2D(256, 256, &prior.GMRFOptions{Order: 2, Precision: 40})
//	if err != nil {
//		return err
//	}
//	draws := mat.NewDense(16, field.Dim(), nil)
//	field.Draw(draws, src)                  // one row a draw
//	logp := field.LogProb(draws.RawRowView(0))
//	score := field.ScoreInput(nil, draws.RawRowView(0))
//
// Gaussians and mixtures are the ground truth of the library. They know their
// posterior given linear-Gaussian data (Condition), and, as GMRFs do, the
// density, score and denoised mean of α x₀ + σ z at any diffusion time (see
// [Diffusible]).
//
// A [Transform] carries R^k onto a constrained set with its exact log
// determinant; [TransformOf] finds the one that belongs to a prior. A density
// or transform of one's own is tested with [CheckScore] or [CheckTransform].
//
// Everything but Rand is safe for concurrent use and, in steady state, free of
// allocation.
package prior
