"""BenchmarkCOTStep of cot_bench_test.go with the code of the method's authors,
in a clone of EmoryMLIP/COT-Flow, on PyTorch.

    python cotflow_bench.py CLONE [threads ...]
"""
import statistics
import sys
import time

sys.path.insert(0, sys.argv[1])
import torch
from src.OTFlowProblem import OTFlowProblem
from src.Phi import Phi

print("torch", torch.__version__)
for threads in [int(a) for a in sys.argv[2:]] or [1, 2]:
    torch.set_num_threads(threads)
    for width, batch in (32, 32), (64, 256), (128, 256):
        torch.manual_seed(0)
        net = Phi(nTh=2, m=width, dx=4, dy=9, alph=[1.0, 10.0, 3.0])
        opt = torch.optim.Adam(net.parameters(), lr=5e-3)
        x, y = torch.randn(64 * batch, 4), torch.randn(64 * batch, 9)

        def step():
            rows = torch.randint(64 * batch, (batch,))
            for p in net.parameters():
                p.data = torch.clamp(p.data, -1.5, 1.5)
            opt.zero_grad()
            loss, _ = OTFlowProblem(x[rows], y[rows], net, [0, 1], nt=8, stepper="rk4", alph=net.alph)
            loss.backward()
            opt.step()

        times = []
        for _ in range(5):
            step()
        end = time.perf_counter() + 3
        while time.perf_counter() < end:
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        print(f"width {width:3d}, batch {batch:3d}, {threads} threads: {1e3 * statistics.median(times):7.1f} ms a step", flush=True)
