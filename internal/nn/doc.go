// Package nn builds neural networks on the tapes of internal/autodiff.
//
// The parameters of a model live in one flat vector, so that optimisers,
// averages of weights and checkpoints are loops over slices; a network holds
// where its tensors stand in it. Params draws them as PyTorch does by default,
// or takes them from a file: the same constructors build a network either way.
//
//	p := nn.NewParams[float32](src)
//	net := nn.NewMLP(p, "net", 2, 1, &nn.MLPOptions{Hidden: []int{64, 64}, Act: kernel.SiLU})
//	if err := p.Err(); err != nil { ... }
//
//	tape.Reset(p.Values, grads)
//	y := net.Forward(&tape, x)                   // training, or inference with nil grads
//
//	err := p.Save(w, "mlp", config)              // safetensors
//	saved, err := nn.Open(r)
//	p = nn.Restore[float32](saved)               // then NewMLP as above, and p.Close()
//
// In Python, a perceptron with one hidden layer is
//
//	from safetensors.numpy import load_file
//	w = load_file("model.safetensors")
//	h = np.tanh(x @ w["net.0.weight"].T + w["net.0.bias"])
//	y = h @ w["net.1.weight"].T + w["net.1.bias"]
//
// The names of the tensors, their shapes and initial distributions are those
// of PyTorch, but that images and convolution kernels have their channels
// last. Networks are immutable: all state is in the flat vector and on the
// tape, so one network can run on many goroutines, each with a tape.
package nn
