// Package sampler draws from a density by Markov chain Monte Carlo, sequential
// Monte Carlo and variational inference, with the diagnostics that say whether
// to believe the draws.
//
//	run, err := sampler.Run(ctx, post, &sampler.NUTS{}, &sampler.Settings{Chains: 4, Src: src})
//	if err != nil {
//		return err
//	}
//	fmt.Println(run.Summary()) // mean, sd, MCSE, ESS, R-hat, and a verdict
//
// # Targets
//
// A target is anything with gonum's LogProb, and for algorithms that use
// gradients ScoreInput: a distmv.Normal, a posterior of package posterior, a
// type of one's own. A target whose value and score share work implements
// inverse.LogProbScorer, one whose evaluation can fail [Evaluator]. Bounded
// parameters go through a prior.Transform, and the draws are those of the
// target's own parameters.
//
// # Kernels
//
// [Run] is the one loop: warm-up, draws, thinning, chains in parallel,
// progress, checkpoints. An algorithm is a [Kernel] that plugs into it:
//
//	[NUTS], [HMC]              gradients; the first choice where there are any
//	[MALA], [Barker], [MCLMC]  gradients, one or a few an iteration
//	[ULA], [MYULA]             a score and no density; biased by their step size
//	[PCN], [EllipticalSlice]   a Gaussian prior, in any number of dimensions
//	[RandomWalk], [AdaptiveMetropolis], [DRAM], [Independence], [Slice]
//	                           no gradients
//	[Gibbs]                    blocks, each with its own kernel or conditional draw
//	[Tempering]                several modes
//
// [SMC] goes from a distribution that can be drawn from to the target, and
// estimates the evidence.
//
// # Approximations
//
// [Fit] approximates the target by a distribution, with far fewer gradients,
// and by importance sampling says how good it is:
//
//	a, err := sampler.Fit(ctx, post, &sampler.Pathfinder{}, nil)
//	fmt.Println(a) // a table, the evidence lower bound, PSIS k-hat and a verdict
//
// The families are [ADVI] (mean-field, full-rank, low-rank plus diagonal),
// [Pathfinder] and [SVGD]. An [Approximation] is good for a first look and for
// points to start chains from.
//
// # Diagnostics
//
// [RHat], [ESSBulk], [ESSTail] and the others take the chains of one scalar
// from any source; [Summarize] makes the table. [WriteCSV] and [WriteNPY] hand
// draws to ArviZ, R and NumPy.
//
// # Reproducibility
//
// What a chain carries is a plain struct, so that a run can be saved at any
// iteration and resumed, bit for bit; and the same seed gives the same bits
// for every GOMAXPROCS.
package sampler
