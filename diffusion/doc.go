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
// MMPS and DPS also take operators that are not linear, MMPS to first order
// about D.
//
// Only the first is exact for priors with several modes. How far the others
// are off depends on the problem: here are the posterior of three modes of
// 0.001, 0.801 and 0.198 that TestBimodalFigures samples with 1000
// Euler-Maruyama steps, and the Wasserstein distances to it.
//
//	          mean   std    mass of the small mode   W1
//	Exact     0.351  0.620  0.0013                   0.002
//	MMPS      0.349  0.695  0.016                    0.051
//	PiGDM     0.430  0.642  0.004                    0.088
//	Flat      0.305  0.547  0.007                    0.089
//	DPS       0.487  0.599  0.0000                   0.137
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
// particles and 100 steps, TDS with the twist of MMPS has W1 = 0.002 on the
// example above, with that of PiGDM 0.011, and MCGDiff 0.002. [SplitGibbs]
// converges as its ρ falls and its chains become longer. [DDRM], [DiffPIR],
// [DAPS] and [DPSStep] are heuristics for restoring images, and miss this
// posterior by 0.06 to 0.4. DAPS takes any likelihood with a derivative,
// DPSStep and [REDDiff] Gaussian noise and any operator with one; the others
// want a linear operator and Gaussian noise.
//
// A harder problem is the mixture of 25 components of Cardoso et al. (2024), of
// which d_y random projections are seen. What counts are the weights of modes
// far apart. Mean sliced Wasserstein distances of 2000 draws to the posterior
// over 20 random problems, with their 95 % intervals, and the medians in
// brackets:
//
//	d = 8                d_y = 1              d_y = 2              d_y = 4
//	exact draws          0.20 ± 0.03 (0.19)   0.12 ± 0.05 (0.05)   0.04 ± 0.01 (0.04)
//	exact score          0.19 ± 0.04 (0.15)   0.10 ± 0.04 (0.05)   0.04 ± 0.01 (0.03)
//	TDS, MMPS, larger    0.25 ± 0.06 (0.25)   0.16 ± 0.07 (0.08)   0.05 ± 0.01 (0.04)
//	TDS, MMPS            0.28 ± 0.06 (0.24)   0.14 ± 0.08 (0.07)   0.05 ± 0.01 (0.04)
//	MCGDiff              0.87 ± 0.40 (0.56)   0.37 ± 0.21 (0.12)   0.10 ± 0.04 (0.06)
//	MCGDiff, published   1.62 ± 0.54 (1.34)   0.68 ± 0.34 (0.21)   0.22 ± 0.07 (0.15)
//	TDS, PiGDM           2.01 ± 0.72 (1.38)   1.72 ± 1.35 (0.15)   0.11 ± 0.06 (0.06)
//	MMPS                 2.75 ± 0.88 (1.97)   1.27 ± 0.78 (0.49)   0.42 ± 0.25 (0.12)
//	DPS, published       2.73 ± 0.98 (1.71)   2.17 ± 0.88 (1.34)   1.06 ± 0.47 (0.36)
//	PiGDM                3.77 ± 1.48 (3.21)   3.32 ± 1.25 (2.58)   3.03 ± 1.31 (2.68)
//	DDRM, published      3.85 ± 0.83 (3.64)   2.89 ± 1.25 (2.53)   1.07 ± 0.62 (0.30)
//
//	d = 80
//	exact draws          0.15 ± 0.03 (0.14)   0.08 ± 0.03 (0.05)   0.06 ± 0.01 (0.04)
//	exact score          0.18 ± 0.04 (0.15)   0.09 ± 0.03 (0.05)   0.06 ± 0.02 (0.04)
//	TDS, MMPS, larger    0.18 ± 0.05 (0.16)   0.08 ± 0.02 (0.05)   0.07 ± 0.03 (0.05)
//	TDS, MMPS            0.32 ± 0.18 (0.17)   0.09 ± 0.03 (0.06)   0.07 ± 0.02 (0.05)
//	MCGDiff              0.68 ± 0.29 (0.56)   0.29 ± 0.15 (0.12)   0.23 ± 0.24 (0.09)
//	MCGDiff, published   1.74 ± 0.65 (1.13)   0.45 ± 0.22 (0.24)   0.53 ± 0.33 (0.19)
//	TDS, PiGDM           3.38 ± 1.82 (2.25)   0.81 ± 0.72 (0.07)   0.70 ± 0.96 (0.06)
//	MMPS                 2.12 ± 0.84 (1.37)   1.01 ± 0.48 (0.60)   0.67 ± 0.32 (0.49)
//	DPS, published       2.21 ± 0.95 (1.58)   1.90 ± 0.95 (0.88)   0.66 ± 0.29 (0.29)
//	PiGDM                4.78 ± 2.03 (2.75)   3.22 ± 1.79 (1.34)   3.72 ± 1.61 (1.78)
//	DDRM, published      5.55 ± 1.09 (5.09)   7.84 ± 0.83 (7.80)   6.86 ± 1.28 (5.89)
//
//	d = 800, 8 problems
//	exact draws          0.11 ± 0.02 (0.09)   0.07 ± 0.04 (0.05)   0.04 ± 0.00 (0.04)
//	TDS, MMPS            0.16 ± 0.05 (0.14)   0.07 ± 0.03 (0.06)   0.05 ± 0.00 (0.05)
//	MCGDiff              0.64 ± 0.39 (0.44)   0.39 ± 0.37 (0.09)   0.10 ± 0.03 (0.08)
//
// So TDS with the twist of MMPS is the sampler to take if the posterior may
// have several modes and the data are few. What it costs are 1 + d_y passes
// for each of 1000 particles and 100 steps, for the larger one of 2000 and
// 200. DPS with the weight of Bayes' rule diverges on 16 of these 120
// problems, and is at 5 to 10 on the others.
//
// The rows that are called published are as the authors' program has them. It
// spaces times evenly in α, so that few of them are where σ/α is as large as
// the distances between modes and draws choose among them; it starts where α
// times these distances is not small yet; and its MCGDiff resamples with the
// weights of the step before. The other rows have times spaced evenly in the
// log signal-to-noise ratio, and start above the last level of the program's
// schedule. Take both for data with modes far apart. The table is that of
// TestMixture25, which says how to run all of it.
//
// Each problem has weights of its own; the authors draw them once for each d,
// and then the means depend on that draw: for three of them and d = 80, d_y = 1,
// DDRM has 4.6, 5.5 and 7.9 and MCGDiff 1.2, 1.5 and 2.4, as published, with
// intervals of about ±1.3 and ±0.7.
//
// [Distill] trains a network that replaces the many steps of the reverse
// diffusion of a score by one, or a few, see [Consistency].
//
// # Reproducibility
//
// Draws go through all steps in blocks of rows, each with its own random
// stream: the same seed gives the same bits for every number of workers.
package diffusion
