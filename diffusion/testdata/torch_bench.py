"""The benchmarks of bench_test.go in PyTorch on the CPU.

    pip install torch && python torch_bench.py [seconds per case [names]]

prints the steps of draws a second, eager and compiled (torch.compile, which
wants a C++ compiler), each at the better of one and two threads: ancestral
sampling of a mixture of 25 components and of its posterior by DPS, in float32
as PyTorch has it by default, and the denoised means of a U-Net. Only the cases
whose names begin with one of those given are run.
"""

import functools
import math
import sys
import time

import torch
import torch._inductor.config
import torch.nn.functional as F
from torch import nn

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
NAMES = tuple(sys.argv[2:]) or ("",)


def measure(name, draws, make):
    if not name.startswith(NAMES):
        return
    step = make()
    best = 0, 0
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for _ in range(3):
            step()
        count, start = 0, time.perf_counter()
        while time.perf_counter() < start + SECONDS:
            step()
            count += 1
        best = max(best, (draws * count / (time.perf_counter() - start), threads))
    print(f"{name:22s} {best[0]:12.0f} draw-steps/s with {best[1]} threads", flush=True)


class Mixture:
    """Score of x_t = a x + s z for a mixture of unit Gaussians."""

    def __init__(self, d):
        grid = torch.cartesian_prod(torch.arange(-2.0, 3), torch.arange(-2.0, 3))
        self.means = 8 * grid.repeat(1, d // 2)
        self.logw = torch.log_softmax(torch.randn(25), 0)
        self.half = 0.5 * (self.means**2).sum(1)

    def score(self, x, a, s):
        v = a * a + s * s
        r = torch.softmax(self.logw + (a * (x @ self.means.T) - a * a * self.half) / v, 1)
        return (a * (r @ self.means) - x) / v


def level(k):
    b = k / 100 * (0.1 + 19.9 * k / 200)
    return math.exp(-b / 2), math.sqrt(-math.expm1(-b))


def ancestral(x, d, a, s, a2, s2):
    ratio = a * s2 / (a2 * s)
    v = s2 * (1 - ratio * ratio) ** 0.5
    old = (s2 * s2 - v * v) ** 0.5
    return old / s * x + (a2 - old * a / s) * d + v * torch.randn_like(x)


def prior_step(p, x, a, s, a2, s2):
    denoised = (x + s * s * p.score(x, a, s)) / a
    return ancestral(x, denoised, a, s, a2, s2)


def dps_step(p, matrix, y, x, a, s, a2, s2):
    def loss(x):
        denoised = (x + s * s * p.score(x, a, s)) / a
        return 0.5e-3 * ((y - denoised @ matrix.T) ** 2).sum(), denoised

    grad, denoised = torch.func.grad(loss, has_aux=True)(x)
    return ancestral(x, denoised - s * s / a * grad, a, s, a2, s2)


def dps_step_eager(p, matrix, y, x, a, s, a2, s2):
    x = x.detach().requires_grad_()
    denoised = (x + s * s * p.score(x, a, s)) / a
    loss = 0.5e-3 * ((y - denoised @ matrix.T) ** 2).sum()
    (grad,) = torch.autograd.grad(loss, x)
    with torch.no_grad():
        return ancestral(x, denoised - s * s / a * grad, a, s, a2, s2)


def walk(d, draws, f, numbers):
    """A step of f down the levels, whose α and σ are of the type numbers."""
    state = {"k": 100, "x": torch.randn(draws, d)}
    levels = [[numbers(v) for v in level(k)] for k in range(1, 101)]

    def step():
        k = state["k"]
        state["x"] = f(state["x"], *levels[k - 1], *levels[k - 2])
        state["k"] = k - 1 if k > 2 else 100

    return step


def prior(d, draws, compiled):
    f = torch.no_grad()(functools.partial(prior_step, Mixture(d)))
    return walk(d, draws, torch.compile(f) if compiled else f, torch.tensor if compiled else float)


def dps(d, draws, compiled):
    data = Mixture(d), torch.randn(2, d) / math.sqrt(d), torch.randn(2)
    if compiled:
        return walk(d, draws, torch.compile(functools.partial(dps_step, *data)), torch.tensor)
    return walk(d, draws, functools.partial(dps_step_eager, *data), float)


class Block(nn.Module):
    def __init__(self, cin, cout, embed):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, cin), nn.GroupNorm(8, cout)
        self.conv1, self.conv2 = nn.Conv2d(cin, cout, 3, padding=1), nn.Conv2d(cout, cout, 3, padding=1)
        self.film = nn.Linear(embed, 2 * cout)
        self.skip = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, e):
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        gamma, beta = self.film(e)[:, :, None, None].chunk(2, 1)
        return self.skip(x) + self.conv2(F.silu(h * (1 + gamma) + beta))


class UNet(nn.Module):
    def __init__(self, width=32, features=16):
        super().__init__()
        e = 4 * width
        self.embed = nn.Sequential(nn.Linear(features, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.head = nn.Conv2d(1, width, 3, padding=1)
        self.down1, self.down2 = Block(width, width, e), Block(width, 2 * width, e)
        self.middle = Block(2 * width, 2 * width, e)
        self.up2, self.up1 = Block(4 * width, 2 * width, e), Block(3 * width, width, e)
        self.norm, self.tail = nn.GroupNorm(8, width), nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, c):
        e = self.embed(c)
        a = self.down1(self.head(x), e)
        b = self.down2(F.avg_pool2d(a, 2), e)
        h = self.up2(torch.cat([self.middle(b, e), b], 1), e)
        h = self.up1(torch.cat([F.interpolate(h, scale_factor=2), a], 1), e)
        return self.tail(F.silu(self.norm(h)))


def network(draws, side, channels_last, compiled):
    net = UNet().eval()
    x, c = torch.randn(draws, 1, side, side), torch.randn(draws, 16)
    if channels_last:
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if compiled:
        net = torch.compile(net)

    @torch.no_grad()
    def step():
        net(x, c)

    return step


if __name__ == "__main__":
    torch.manual_seed(1)
    torch._inductor.config.fallback_random = True  # its own normal draws are slow
    print("PyTorch", torch.__version__)
    for compiled in (False, True):
        how = "/compiled" if compiled else ""
        for d in (8, 80):
            measure(f"prior/d={d}{how}", 2048, lambda: prior(d, 2048, compiled))
            measure(f"DPS/d={d}{how}", 2048, lambda: dps(d, 2048, compiled))
        for side in (8, 28):
            for last in (False, True):
                measure(f"UNet/{side}{'/nhwc' if last else ''}{how}", 64, lambda: network(64, side, last, compiled))
