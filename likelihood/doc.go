// Package likelihood is p(y|x): a forward operator A, data y and a noise law.
//
// The law of the noise is apart from the operator, since the same pair is
// scored by MCMC, pulled back by diffusion guidance and drawn from by a
// simulator:
//
//	lik, err := likelihood.New(op, y, likelihood.Poisson{})
//	lik.LogProb(x)                  // log p(y | A(x))
//	lik.ScoreInput(score, x)        // J(x)ᵀ ∇_f log p(y|f) at f = A(x)
//	err = lik.Simulate(dst, x, src) // new data, one row for each row of x
//
// The laws are [Normal] (scalar, diagonal and full covariance), [StudentT],
// [Laplace] and [Huber] for data with outliers, [Poisson] counts, [BernoulliLogit]
// and [LogNormal]; any type with the three methods of [Noise] is another, and
// [CheckNoise] tests it. [NewGaussian] returns a [Gaussian], whose covariance
// can be applied, which is what exact posteriors need.
//
// For a model that is known to be wrong, [NewTempered] makes the data count for
// less. [NewResidual] is a soft constraint, a differential equation say.
//
// # Where the operator fails
//
// An operator that cannot be evaluated at x, say because an integration
// diverges, fills its row of the output with NaN. A likelihood takes such an
// x to be impossible: LogProb is -Inf there, never NaN, and the score is
// zero, so that no NaN reaches a sampler. The score is zero wherever
// LogProb is -Inf, that is also where the law itself rules x out, as a
// negative mean does for Poisson counts. [Likelihood.Simulate], which cannot
// draw data there, reports an error.
package likelihood
