"""The benchmarks of bench_test.go with nflows and zuko on PyTorch.

    python torch_bench.py [threads]
"""
import statistics
import sys
import time

import torch
import zuko
from nflows import distributions, flows, transforms
from nflows.nn import nets

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
D, C, BATCH, DRAWS = 5, 10, 200, 100_000


def nflows_maf():
    layers = []
    for _ in range(5):
        layers += [
            transforms.MaskedAffineAutoregressiveTransform(
                D, 50, context_features=C, num_blocks=2, use_residual_blocks=False, activation=torch.tanh),
            transforms.RandomPermutation(D)]
    return flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([D]))


def nflows_nsf():
    layers = []
    for i in range(5):
        mask = torch.arange(D) % 2 == i % 2
        layers += [
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                mask.int(), lambda i, o: nets.ResidualNet(i, o, hidden_features=50, context_features=C, num_blocks=2),
                num_bins=10, tails="linear", tail_bound=3.0),
            transforms.LULinear(D, identity_init=True)]
    return flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([D]))


class Zuko(torch.nn.Module):
    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def log_prob(self, x, context):
        return self.flow(context).log_prob(x)

    def sample(self, n, context):
        return self.flow(context[0]).sample((n,))


models = {
    "nflows MAF": nflows_maf,
    "nflows NSF (coupling)": nflows_nsf,
    "zuko MAF": lambda: Zuko(zuko.flows.MAF(D, C, transforms=5, hidden_features=(50, 50))),
    "zuko NSF (autoregressive)": lambda: Zuko(zuko.flows.NSF(D, C, bins=10, transforms=5, hidden_features=(50, 50))),
}


def median(f, repeats):
    f()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


print("torch", torch.__version__, "threads", torch.get_num_threads())
x, y = torch.randn(10_000, D), torch.randn(10_000, C)
for name, build in models.items():
    torch.manual_seed(0)
    m = build()
    opt = torch.optim.Adam(m.parameters(), lr=5e-4)

    def step():
        rows = torch.randint(10_000, (BATCH,))
        opt.zero_grad()
        loss = -m.log_prob(x[rows], context=y[rows]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(m.parameters(), 5.0)
        opt.step()

    train = median(step, 200)
    with torch.no_grad():
        sample = median(lambda: m.sample(DRAWS, context=y[:1]), 3)
        many = torch.randn(DRAWS, D)
        context = y[:1].expand(DRAWS, C)
        evaluate = median(lambda: m.log_prob(many, context=context), 3)
    print(f"{name:28s} step {1e6 * train:8.0f} µs   {DRAWS} draws {1e3 * sample:8.0f} ms   log densities {1e3 * evaluate:8.0f} ms")
