// Package posterior composes posteriors: densities by adding log densities,
// scores by adding scores, and closed forms where the problem has them.
//
//	post, err := posterior.New(pri, lik)            // for sampler.Run, MAP, Laplace
//	score, err := posterior.Sum(prior, guidance)    // for reverse diffusion
//	exact, err := posterior.NewGaussian(field, lik) // Gaussian prior, linear-Gaussian data
//
// [NewGaussian] and [NewMixture] are the ground truth of the library: exact
// means, exact draws and the evidence, against which every other route is
// tested.
//
// What is known exactly, the conservation of mass or the sign of a field, is
// imposed on the draws of any sampler by [Constrain] (equations) and [Truncate]
// (inequalities), and exactly so on those of a [Gaussian]:
//
//	hard, err := posterior.Constrain(post, mat.NewDense(1, n, ones), []float64{mass}, nil)
//	err = hard.Sample(ctx, draws)
package posterior
