// Package sbi is inference where only a simulator exists: campaigns of
// simulations, neural posterior and likelihood estimation, approximate Bayesian
// computation, and calibration, which says whether a sampler of any kind draws
// from the right posterior.
//
// A simulation campaign runs on all cores, or in a pool of processes of another
// program, and survives being killed:
//
//	sim := sbi.NewSimulator(2, 2, func(_ context.Context, y, theta []float64, src rand.Source) error {
//		...                                  // data for theta, all randomness from src
//		return nil
//	})
//	table, err := sbi.Simulate(ctx, pri, sim, 10_000, &sbi.SimulateOptions{File: "run.sim", Src: src})
//
// The table (parameters, data, seed, status) is plain text, so that a cluster
// can fill it in its own way; see [Table], [SimulateRow] and docs/campaigns.md.
// Simulations that fail end the campaign or are recorded, as a [Policy] says,
// and never vanish; likelihoods and ratios learn the probability of that, see
// [Validity].
//
// [NPE] learns the posterior for any data from such a table, by any
// architecture of package flow, those of flow matching and score estimation
// among them; [NLE] learns the likelihood and [NRE] the ratio of likelihood and
// evidence:
//
//	npe, err := sbi.NPE(ctx, pri, table, &sbi.Options{Flow: flow.NSF{}})
//	post := npe.Given(y)                     // a Sampler with LogProb; draws stay in the prior's support
//
// The sequential methods spend their simulations, round after round, near one
// observation: [TSNPE], [SNPE] with the corrections called SNPE-A, SNPE-B and
// SNPE-C, [SNLE] and [SNRE].
//
//	npe, table, err := sbi.TSNPE(ctx, pri, sim, y, 10_000, &sbi.Sequential{Rounds: 10})
//
// [Regression] learns a point estimate directly, the map from data to
// parameters that is not a posterior: to see what it does to noise, hand it to
// forward.Stability.
//
// # Which method
//
// Posteriors that have learned from one table are compared by ValidNLL: the
// lower, the better. [flow.NSF], [flow.MAF] and [flow.MDN], between which NPE and
// NLE choose by themselves, with and without a linear regression before, are the
// fastest; [flow.Diffusion] is better where a posterior has
// fine structure or several modes. With few simulations, an Ensemble helps, and
// with any number of them weights that are averaged over the steps:
//
//	&sbi.Options{
//		Ensemble: 5,                     // 3 with 10,000 simulations
//		Fit:      &flow.FitOptions{Rate: 1e-3, EMA: 0.999, Patience: 5, Drops: 3},
//	}
//
// Where standard deviations matter, flow.NSF wants a Bound of 5. Repeats that are
// side by side can be a [flow.Set] for NPE, which helps where simulations are few;
// ValidNLL tells. If the posterior given the data at hand turns out much narrower
// than the prior, say a fifth in each parameter, a sequential method makes more
// of the simulations: TSNPE, whose posteriors can be compared and calibrated
// like any other's. Likelihoods and ratios, whose gradients NUTS of package
// sampler can use, are for repeated data, and for data that are simpler given
// the parameters than the parameters given the data. For one observation, [SNLE]
// needs the fewest simulations of all on the tasks of the sbibm benchmark: data
// with densities, counts, or a hundred bits. RepeatSize in the options tells it
// of repeats that are side by side, and Screen leaves out data that are noise.
// There it has few rounds, so that the first are not too small to tell where to
// simulate next, and the options above:
//
//	nle, table, err := sbi.SNLE(ctx, pri, sim, y, 1000, &sbi.Sequential{Rounds: 3, Options: opt})
//
// Without networks: [RejectionABC] with [RegressionAdjust], [SMCABC], and
// [NewSyntheticLikelihood].
//
// Calibration asks whether a sampler is right, of whatever kind: Markov chains,
// variational inference, flows, diffusion, closed forms.
//
//	model := sbi.Model{Prior: pri, Simulator: sim}
//	res, err := sbi.SBC(ctx, model, func(y []float64) (inverse.Sampler, error) { ... }, &sbi.SBCOptions{Src: src})
//	fmt.Println(res)                         // ranks of each parameter, p-values, a verdict
//
// [ExpectedCoverage] and [TARP] rank other quantities in the same way, and
// [LC2ST] is a test for the data at hand. [Misspecification] asks whether the
// model can produce the data at all, [NewDomain] asks it once for many data, and
// [PosteriorPredictive] whether the posterior explains them. [C2ST], [MMD] and
// [SlicedWasserstein] compare draws with those of a reference.
package sbi
