// Package flow estimates conditional densities q(x|y) from pairs of x and y,
// by normalising flows: maps x = g(z; y) that take z ~ N(0, I) to x.
//
//	f, err := flow.Fit(ctx, flow.NSF{}, x, y, &flow.FitOptions{Src: src})
//	post := flow.Given(f, yObserved)             // a Sampler with LogProb
//	err = post.Sample(ctx, draws)
//	err = f.Save(w)
//
// An architecture is a struct of options whose zero value is a sound default:
// masked autoregressive flows ([MAF]), neural spline flows ([NSF]), affine
// couplings ([Coupling]) and mixture density networks ([MDN]); and those of
// optimal transport, continuous flows along straight paths ([COT], OT-Flow and
// COT-Flow), gradients of convex potentials ([PCPMap]), and continuous flows
// trained by flow matching ([Matching]) or denoising score matching
// ([Diffusion]). [Fit] trains most of them by maximum likelihood, in the
// direction from x to z,
//
//	log q(x|y) = log N(g⁻¹(x; y); 0, I) + log |det ∂g⁻¹/∂x|
//
// with x and y standardised by the training rows, a part of the rows kept for
// validation, and early stopping. What [Fit] returns is a [Flow], an
// inverse.ConditionalFlow in the units of the data.
//
// For x with bounded support, FitOptions.Transform names the target space: the
// network then works in unconstrained coordinates, and no draw can leave the
// support. Mass functions are [MADE], of bits, and [Counts], of whole numbers.
// FitOptions.Embedding adds a network that summarises y, of repeated
// observations ([Set]), of images or sequences ([Conv]), or of anything ([MLP]).
//
// # Which architecture
//
// [NSF] is a good first choice, [MDN] and [MAF] train fastest. [COT] and
// [PCPMap] need few rows: on tables of some hundred to a few thousand rows they
// are often the best, and cost more to train. [Matching] and [Diffusion] cost
// least for a step and most for a density; with ten thousand rows or more they
// come closest to densities with sharp features. An NSF that is Independent has
// least to learn of measurements with noise of their own. [Search] tries many,
// and [NewEnsemble] mixes those that did well, which is nearly always better than
// any one of them.
//
// # Files
//
// A saved flow is a safetensors file, which Python reads without this library:
//
//	import json
//	from safetensors import safe_open
//
//	with safe_open("flow.safetensors", framework="numpy") as f:
//	    meta = f.metadata()                    # format, version, kind
//	    config = json.loads(meta["config"])    # dimensions, options, standardisation
//	    weights = {name: f.get_tensor(name) for name in f.keys()}
//
//	print(meta["kind"], config["X"], config["Y"], config["Options"])
//	for name, w in weights.items():
//	    print(name, w.shape, w.dtype)
//
// Matrices are stored as PyTorch's torch.nn.Linear stores them, outputs×inputs.
package flow
