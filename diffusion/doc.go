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
// # Constraints
//
// [Constrain] makes a score whose draws obey linear equations, such as a
// conservation law, whatever the solver, by moving the denoised mean: a
// projection, or, for one more product with the Hessian for each equation, what
// is exact for Gaussian densities.
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
// A harder problem is the mixture of 25 components of Cardoso et al. (2024), of
// which d_y random projections are seen: the mean sliced Wasserstein distances
// of 2000 draws to the posterior in 8 dimensions, over 20 random problems, with
// their 95 % intervals, at 100 steps. What counts are the weights of modes far
// apart.
//
//	                 d_y = 1       d_y = 2       d_y = 4
//	exact draws      0.19 ± 0.05   0.10 ± 0.04   0.04 ± 0.01
//	exact score      0.28 ± 0.07   0.15 ± 0.06   0.06 ± 0.01
//	TDS, MMPS        0.40 ± 0.12   0.22 ± 0.13   0.06 ± 0.01   1000 particles
//	MCGDiff          0.73 ± 0.21   0.36 ± 0.22   0.11 ± 0.02   1000 particles
//	MMPS             2.75 ± 0.82   1.35 ± 0.81   0.44 ± 0.25
//	TDS, PiGDM       2.99 ± 1.38   2.30 ± 1.32   1.60 ± 1.07   1000 particles
//	DPSStep, ζ=0.2   3.09 ± 0.90   2.45 ± 0.94   1.67 ± 0.63
//	DDRM             4.09 ± 0.74   3.08 ± 1.19   1.38 ± 0.79
//	PiGDM            4.74 ± 1.70   4.21 ± 1.51   3.69 ± 1.09
//
// In 80 dimensions with one datum, where the exact score at 100 steps is at
// 0.59 ± 0.17 for the steps alone, TDS with MMPS is at 1.04 ± 0.45, MCGDiff at
// 1.27 ± 0.68, MMPS at 2.13 ± 0.80 and DDRM at 5.86 ± 1.02.
//
// So the twist matters: TDS with MMPS is the sampler to take if the posterior
// may have several modes and the data are few. DPS with the weight of Bayes'
// rule diverges on some of these problems. The table is that of
// TestMixture25, which says how to run all of it.
//
// [Distill] trains a network that replaces the many steps of the reverse
// diffusion of a score by one, or a few, see [Consistency].
//
// # Reproducibility
//
// Draws go through all steps in blocks of rows, each with its own random
// stream: the same seed gives the same bits for every number of workers.
package diffusion
