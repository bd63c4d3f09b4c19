// Package tasks has the problems that methods of simulation-based inference are
// compared on: the ten tasks of the sbibm benchmark (Lueckmann et al., 2021),
// built from their definitions, each with a sampler of its reference posterior,
// and the stochastic Lotka-Volterra system of the COT-Flow paper.
//
//	task, err := tasks.New("two_moons")
//	table, err := sbi.Simulate(ctx, task.Prior, task, 10_000, nil) // a Task is a simulator
//	err = task.Reference(ctx, draws, y, src)                       // draws of the posterior given y
//
// Two systems are named after Lotka and Volterra. The task lotka_volterra is an
// ordinary differential equation seen through log-normal noise; [Gillespie] is
// a Markov jump process seen through nine statistics.
package tasks
