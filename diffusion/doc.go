// Package diffusion samples priors and posteriors by running a diffusion
// backwards in time.
//
// A [Schedule] says how signal turns into noise, x_t = α_t x₀ + σ_t z. A
// [Score] is ∇ log p_t, the gradient of the log density of x_t: of a prior in
// closed form ([Diffuse]), learned from data ([Train]) or any function
// ([NewScore]). [Reverse] starts from noise and follows the score back to
// t = 0, with a [Solver] of choice.
//
// For a posterior, a [Guidance] approximates the likelihood score
// ∇ log p(y|x_t), and scores add:
//
//	vp := diffusion.NewVP(0.1, 20)
//	score, err := diffusion.Diffuse(pri, vp)
//	guide, err := diffusion.NewMMPS(score, lik)
//	post, err := posterior.Sum(score, guide)
//	s := &diffusion.Reverse{Score: post, Schedule: vp, Solver: diffusion.DPMSolver{}, Steps: 20, Src: src}
//	err = s.Sample(ctx, draws)
//
// A prior that is only known by examples is learned once, and then serves any
// number of forward models:
//
//	score, err := diffusion.Train(ctx, images, vp, &diffusion.TrainOptions{Net: diffusion.UNet{Side: 28}, Src: src})
//
// # Which guidance
//
// With x₀ given x_t of mean D and covariance C, and J = ∂D/∂x_t = (α/σ²) C:
//
//	NewExact   the posterior's own score          exact, for Gaussian and mixture priors
//	NewMMPS    C by Tweedie's formula             exact for Gaussian priors
//	NewTMPD    A C Aᵀ by its row sums             exact for Gaussian priors and one datum
//	NewPiGDM   C = r²I                            exact for the prior N(μ, vI)
//	NewDPS     C = 0; any likelihood              exact for t → 0 only
//	NewFlat    x₀ given x_t is N(x_t/α, σ²/α² I)  exact for a flat prior
//
// Only the first is exact for priors with several modes. How far the others
// are off depends on the problem: here are the posterior of three modes of
// 0.001, 0.801 and 0.198 that TestBimodalFigures samples with 1000
// Euler-Maruyama steps, and the Wasserstein distances to it.
//
//	          mean   std    mass of the small mode   W1
//	Exact     0.348  0.620  0.0013                   0.002
//	MMPS      0.344  0.700  0.017                    0.051
//	PiGDM     0.427  0.644  0.004                    0.085
//	Flat      0.302  0.550  0.008                    0.090
//	DPS       0.484  0.599  0.0000                   0.135
//
// DPS follows the data too closely. If it is switched off for t > 0.21, in the
// form that replaces J by I/α, the mode that the data exclude comes back with a
// mass of 0.07, and the standard deviation grows to 0.82.
//
// # Samplers of their own
//
// [TDS] and [MCGDiff] are particle filters: their draws are those of the
// posterior as particles become more, and they estimate the evidence. At 64
// particles and 100 steps, TDS with the twist of PiGDM has W1 = 0.012 on the
// example above, MCGDiff 0.04. [SplitGibbs] converges as its ρ falls and its
// chains become longer. [DDRM], [DiffPIR], [DAPS] and [DPSStep] are heuristics
// for restoring images, and miss this posterior by 0.08 to 0.4.
//
// # Reproducibility
//
// Draws go through all steps in blocks of rows, each with its own random
// stream: the same seed gives the same bits for every number of workers.
package diffusion
