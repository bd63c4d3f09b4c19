"""The training steps of bench_test.go in PyTorch, eager, on the CPU.

    pip install torch && python torch_bench.py [seconds per case [mlp] [maf] [unet]]

prints the median time of a step for one and two threads.
"""

import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0


def measure(name, step):
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for _ in range(20):
            step()
        times, end = [], time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            t = time.perf_counter()
            step()
            times.append(time.perf_counter() - t)
        print(f"{name:5s} threads={threads} median {1e6 * statistics.median(times):9.1f} us", flush=True)


def mlp():
    net = nn.Sequential(nn.Linear(32, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 32))
    opt = torch.optim.Adam(net.parameters())
    x, y = torch.randn(256, 32), torch.randn(256, 32)

    def step():
        opt.zero_grad()
        loss = ((net(x) - y) ** 2).sum(1).mean()
        loss.backward()
        opt.step()

    return step


class Made(nn.Module):
    def __init__(self, d, c, hidden):
        super().__init__()
        degrees = torch.cat([torch.arange(1, d + 1), torch.zeros(c, dtype=torch.long)])
        hidden_degrees = torch.arange(hidden) % d
        self.layers, self.masks = nn.ModuleList(), []
        for _ in range(2):
            self.layers.append(nn.Linear(len(degrees), hidden))
            self.masks.append((hidden_degrees[:, None] >= degrees).float())
            degrees = hidden_degrees
        self.layers.append(nn.Linear(hidden, 2 * d))
        self.masks.append((torch.arange(1, d + 1).repeat_interleave(2)[:, None] > degrees).float())

    def forward(self, x):
        for i, (layer, mask) in enumerate(zip(self.layers, self.masks)):
            x = F.linear(x, layer.weight * mask, layer.bias)
            if i < 2:
                x = torch.tanh(x)
        return x


def maf():
    d, c = 5, 10
    net = nn.ModuleList(Made(d, c, 50) for _ in range(5))
    opt = torch.optim.Adam(net.parameters())
    x, y = torch.randn(200, d), torch.randn(200, c)

    def step():
        opt.zero_grad()
        z, logdet = x, 0.0
        for made in net:
            raw = made(torch.cat([z, y], 1))
            s = F.softplus(raw[:, 0::2]) + 1e-3
            z = torch.flip(s * z + raw[:, 1::2], [1])
            logdet = logdet + torch.log(s).sum(1)
        loss = (0.5 * (z**2).sum(1) - logdet).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        opt.step()

    return step


class Block(nn.Module):
    def __init__(self, cin, cout, embed, groups=8):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, cin), nn.GroupNorm(groups, cout)
        self.conv1, self.conv2 = nn.Conv2d(cin, cout, 3, padding=1), nn.Conv2d(cout, cout, 3, padding=1)
        self.film = nn.Linear(embed, 2 * cout)
        self.skip = nn.Conv2d(cin, cout, 1) if cin != cout else nn.Identity()

    def forward(self, x, e):
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        gamma, beta = self.film(e)[:, :, None, None].chunk(2, 1)
        return self.skip(x) + self.conv2(F.silu(h * (1 + gamma) + beta))


class UNet(nn.Module):
    def __init__(self, c=32):
        super().__init__()
        e = 4 * c
        self.embed = nn.Sequential(nn.Linear(32, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.first = nn.Conv2d(1, c, 3, padding=1)
        self.down1, self.down2, self.middle = Block(c, c, e), Block(c, 2 * c, e), Block(2 * c, 2 * c, e)
        self.up2, self.up1 = Block(4 * c, 2 * c, e), Block(3 * c, c, e)
        self.norm, self.last = nn.GroupNorm(8, c), nn.Conv2d(c, 1, 3, padding=1)

    def forward(self, x, t):
        w = torch.exp(torch.linspace(0, math.log(100), 16))
        e = self.embed(torch.cat([torch.sin(t * w), torch.cos(t * w)], 1))
        a = self.down1(self.first(x), e)
        b = self.down2(F.avg_pool2d(a, 2), e)
        h = self.up2(torch.cat([self.middle(b, e), b], 1), e)
        h = self.up1(torch.cat([F.interpolate(h, scale_factor=2), a], 1), e)
        return self.last(F.silu(self.norm(h)))


def unet():
    net = UNet()
    opt = torch.optim.Adam(net.parameters())
    x, t = torch.randn(32, 1, 28, 28), torch.randn(32, 1)

    def step():
        opt.zero_grad()
        loss = ((net(x, t) - x) ** 2).sum((1, 2, 3)).mean()
        loss.backward()
        opt.step()

    return step


print("torch", torch.__version__)
for name, make in (("mlp", mlp), ("maf", maf), ("unet", unet)):
    if name in (sys.argv[2:] or name):
        torch.manual_seed(0)
        measure(name, make())
