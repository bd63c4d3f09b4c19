// Package forward holds forward models: the operators A of y = A(x) + noise.
//
// # Where an operator fails
//
// An operator that cannot be evaluated at an input, as when the integration
// of a differential equation stops, fills that row of the result with NaN,
// and so does its vector-Jacobian product. Other rows are not touched by it.
// A likelihood takes such an input to be impossible: its log probability is
// -Inf, and its score zero.
package forward
