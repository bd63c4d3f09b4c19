"""Plain Python's simulations per second of the stochastic Lotka-Volterra system,
for comparison with

    go test -run xxx -bench 'Gillespie|BareLoop' -cpu 1 ./internal/tasks

Run as

    python internal/tasks/testdata/gillespie.py
"""
import math
import random
import time

import numpy as np


def path(theta):
    """The path on the grid, with the standard library's generator."""
    c1, c2, c3, c4 = (math.exp(t) for t in theta)
    expovariate, uniform = random.expovariate, random.random
    x, y, t, n = 50, 100, 0.0, 0
    xs, ys = [x], [y]
    for k in range(1, 150):
        at = 0.2 * k
        while t < at:
            xy = x * y
            h1, h2, h3 = c1 * xy, c2 * x, c3 * y
            h = h1 + h2 + h3 + c4 * xy
            if h == 0:
                t = math.inf
                break
            t += expovariate(h)
            n += 1
            if n > 10_000:
                return n, None
            u = uniform() * h
            if u < h1:
                x += 1
            elif u < h1 + h2:
                x -= 1
            elif u < h1 + h2 + h3:
                y += 1
            else:
                y -= 1
        xs.append(x)
        ys.append(y)
    return n, (xs, ys)


def path_numpy(theta):
    """The same with NumPy's arrays and generator, as is common."""
    c = np.exp(theta)
    rng = np.random
    steps = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    s, t, n = np.array([50, 100]), 0.0, 0
    states = [s]
    for k in range(1, 150):
        at = 0.2 * k
        while t < at:
            h = c * np.array([s[0] * s[1], s[0], s[1], s[0] * s[1]])
            total = h.sum()
            if total == 0:
                t = math.inf
                break
            t += rng.exponential(1 / total)
            n += 1
            if n > 10_000:
                return n, None
            s = s + steps[rng.choice(4, p=h / total)]
        states.append(s)
    return n, states


def rate(f, simulations):
    rng = np.random.RandomState(1)
    thetas = rng.uniform(-5, 2, (simulations, 4))
    start = time.perf_counter()
    reactions = sum(f(list(t))[0] for t in thetas)
    seconds = time.perf_counter() - start
    print(f"{f.__name__}: {simulations / seconds:.1f} simulations/s, {reactions / seconds / 1e6:.4f} Mreactions/s")


rate(path, 3000)
rate(path_numpy, 100)
