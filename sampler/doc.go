// Package sampler draws from a density by Markov chain Monte Carlo, with the
// diagnostics that say whether to believe the draws.
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
// What a chain carries is a plain struct, so that a run can be saved at any
// iteration and resumed, bit for bit; and the same seed gives the same bits
// for every GOMAXPROCS.
package sampler
