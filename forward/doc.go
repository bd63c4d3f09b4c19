// Package forward holds forward models: the operators A of y = A(x) + noise,
// their adjoints and derivatives, and the inversion of linear ones by least
// squares.
//
// Every operator works on batches: one row of a *mat.Dense is one input or one
// output. Images are stored in a row, one image row after the other.
//
//	psf, err := forward.GaussianPSF(2)
//	blur, err := forward.NewConv2D(256, 256, psf, &forward.Conv2DOptions{Boundary: forward.Reflect})
//	blur.Apply(y, x)      // x and y have rows of 65536 values
//	blur.Adjoint(x, y)    // the exact transpose, for every boundary
//
// # What an operator can do
//
// Capabilities are the interfaces of package inverse. A matrix is
// [inverse.Linear]; one with a singular value decomposition that its structure
// gives, by a fast transform or small factors, is [inverse.Spectral]; a
// nonlinear operator with a derivative is [inverse.Differentiable] or an
// [inverse.Linearizer]. [Linearize] returns the derivative in one form,
// whichever of these an operator has. Where the type that a constructor
// returns does not say what an operator can do, because it depends on the
// arguments, a type assertion tells:
//
//	if s, ok := blur.(inverse.Spectral); ok {
//		fmt.Println(s.SingularValues())
//	}
//
// [Compose], [Scale], [Sum], [Stack] and [Restrict] make operators of others,
// which can do what follows from their parts.
//
// Nonlinear operators are the solution of an ordinary differential equation
// ([NewODE]) or of an elliptic one ([NewDarcy]) as a function of parameters,
// phase retrieval ([NewPhase]), and any Go function ([NewFunc]).
//
// # Inversion
//
// [CGLS], [LSQR] and [Landweber] invert any linear operator, and report each
// iterate, so that one sees the error fall and rise again (semi-convergence).
// [TSVD] and [Tikhonov] use a singular value decomposition, [GeneralTikhonov]
// any penalty ‖L x‖². The discrepancy principle, generalised cross-validation
// or the L-curve choose the parameter:
//
//	inv, err := forward.CGLS(ctx, blur, y, &forward.IterOptions{Noise: sigma * math.Sqrt(m)})
//	fmt.Println(inv.Stop, inv.Param, inv.Residual)
//
// # Is a reconstruction stable?
//
// [Stability] puts any maps from data to estimates, a trained network for one,
// to the tests of Antun et al. (2020), next to [Regularized] ones: the worst
// perturbations of the data, noise, details, more data. [WorstCase] and
// [LocalLipschitz] are its parts.
//
//	report, err := forward.Stability(ctx, blur, x, []forward.Reconstruction{{Name: "network", Map: net}, ...}, nil)
//	fmt.Println(report)
//
// # Test problems
//
// [Deriv2], [Shaw], [Phillips], [Gravity], [Baart] and [Foxgood] are problems
// to try methods on.
//
// # One's own operators
//
// Any type with the methods of [inverse.Operator] will do. [CheckAdjoint] and
// [CheckVJP] hold it to what the rest of the library relies on, in a test:
//
//	if err := forward.CheckAdjoint(Gravity{}, nil); err != nil {
//		t.Error(err)
//	}
//
// # Memory and concurrency
//
// Operators are safe for concurrent use; their methods do not allocate in
// steady state. The rows of large batches and the parts of large images are
// spread over the cores, in a way that gives the same bits for every
// GOMAXPROCS.
//
// # Where an operator fails
//
// An operator that cannot be evaluated at an input, as when the integration
// of a differential equation stops, fills that row of the result with NaN,
// and so does its vector-Jacobian product. Other rows are not touched by it.
// A likelihood takes such an input to be impossible: its log probability is
// -Inf, and its score zero.
package forward
