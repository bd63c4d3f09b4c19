// Package inverse is the vocabulary of a library for Bayesian inverse
// problems: recover x from y = A(x) + noise, with honest uncertainty.
//
// A problem is three things, each a small type that users may write
// themselves:
//
//	x ~ prior.X    y | x ~ likelihood.Y(A, x)    A is an Operator
//
// and its solution is a Sampler of the posterior. What one can evaluate
// decides the route:
//
//	p(y|x) and its gradient      MCMC, VI, SMC, MAP            posterior, sampler
//	only draws of a simulator    neural posterior estimation   sbi, flow
//	a score of the prior         diffusion posterior sampling  diffusion, posterior
//	everything, in closed form   conjugate Gaussian, mixture   posterior
//
// All routes end in the same interface, so that each can be checked against
// the others. The architecture is Bayes' rule for gradients: a prior score
// plus a likelihood score is a posterior score.
//
// # Conventions
//
// A batch is a *mat.Dense with one row a draw. The destination comes first
// and is overwritten; it may not overlap an input unless a method says so.
//
// A static density has gonum's own methods,
//
//	LogProb(x []float64) float64
//	ScoreInput(score, x []float64) []float64
//
// so that a gonum distmv.Normal is a prior, and a posterior of this library
// is a target wherever gonum takes one.
//
// Constructors return an error that names the argument and what was wrong
// with it. A mismatch between the shapes of a caller's own matrices is a
// programmer's error and panics with both shapes, as in gonum. What depends
// on data is an error value, never a panic.
//
// Randomness comes from a rand.Source (math/rand/v2). A nil source means a
// freshly seeded one; pass a source for reproducible results, which are then
// the same bits for every GOMAXPROCS.
//
// Implementations of the interfaces in this package are safe for concurrent
// use unless their documentation says otherwise.
package inverse
