// Package optim trains networks: one loop for all of them.
//
//	train, valid := optim.Split(n, 0.1, src)
//	tr, err := optim.NewTrainer(p.Values, func(t *autodiff.Tape[float32], b *optim.Block) autodiff.Var {
//		x, y := t.InputRows(xs, 3, b.Rows), t.InputRows(ys, 1, b.Rows)
//		return t.RowSums(t.Square(t.Sub(net.Forward(t, x), y)))
//	}, train, valid, &optim.Settings{Batch: 128, Epochs: 200, Patience: 20, Src: src})
//	report, err := tr.Run(ctx)                  // p.Values are the best weights
//
// A step cuts its minibatch into blocks of rows whose number depends on the
// size of the batch alone. Workers take blocks, each with a tape of its own,
// and the gradients are added in the order of the blocks. So the weights are
// the same bits for every number of workers.
//
// All randomness is derived from one number drawn from Settings.Src, the
// number of the step and that of the block; the state of a run is its weights,
// moments and counters, and a run that is saved and resumed continues as if it
// had not been interrupted.
package optim
