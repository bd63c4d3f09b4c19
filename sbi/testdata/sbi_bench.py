"""Times neural posterior estimation with Python's sbi, for BenchmarkNPE.

    pip install sbi
    python sbi/testdata/sbi_bench.py [epochs] [threads]

10,000 simulations, sbi's own defaults (batches of 200, validation on a tenth),
a number of epochs that is the same for both libraries, and the best of three
times 10,000 draws given one observation: of the density estimator, and of the
posterior, which rejects those outside of the prior's support.
"""
import contextlib, io, math, sys, time, warnings

import torch

warnings.filterwarnings("ignore")
from sbi.inference import NPE
from sbi.utils import BoxUniform

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
n = 10_000


def two_moons(t):
    a = (torch.rand(len(t)) - 0.5) * math.pi
    r = 0.1 + 0.01 * torch.randn(len(t))
    p = torch.stack([r * a.cos() + 0.25, r * a.sin()], 1)
    return p + torch.stack([-(t[:, 0] + t[:, 1]).abs(), t[:, 1] - t[:, 0]], 1) / math.sqrt(2)


def slcp(t):
    s1, s2, rho = t[:, 2] ** 2, t[:, 3] ** 2, t[:, 4].tanh()
    z = torch.randn(len(t), 4, 2)
    y1 = t[:, :1] + s1[:, None] * z[..., 0]
    y2 = t[:, 1:2] + s2[:, None] * (rho[:, None] * z[..., 0] + (1 - rho**2).sqrt()[:, None] * z[..., 1])
    return torch.stack([y1, y2], 2).flatten(1)


for name, sim, d, bound in [("two_moons", two_moons, 2, 1.0), ("slcp", slcp, 5, 3.0)]:
    prior = BoxUniform(-bound * torch.ones(d), bound * torch.ones(d))
    theta = prior.sample((n,))
    x = sim(theta)
    for model in ["maf", "nsf"]:
        with contextlib.redirect_stdout(io.StringIO()):
            npe = NPE(prior=prior, density_estimator=model, show_progress_bars=False)
            npe.append_simulations(theta, x)
            start = time.time()
            q = npe.train(max_num_epochs=epochs)
            train = time.time() - start
            post = npe.build_posterior(q)
            best = [math.inf, math.inf]
            with torch.no_grad():
                for _ in range(3):
                    for i, draw in enumerate([
                        lambda: q.sample((n,), condition=x[:1]),
                        lambda: post.sample((n,), x=x[:1], show_progress_bars=False),
                    ]):
                        start = time.time()
                        draw()
                        best[i] = min(best[i], time.time() - start)
        print(f"{name:10} {model} {torch.get_num_threads()} threads: {1e3 * train / epochs:7.1f} ms an epoch, {1e3 * best[0]:7.2f} and {1e3 * best[1]:7.2f} ms for {n} draws", flush=True)
