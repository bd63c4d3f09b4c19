"""Writes diagnostics.json: what ArviZ says of the chains and weights that
golden_test.go makes too. The generator uses only +, -, *, / and sqrt of IEEE
doubles, so both languages make the same bits.

    pip install arviz-stats; python diagnostics.py > diagnostics.json
"""

import json
import math
import sys

import arviz_stats
import numpy as np
import scipy
from arviz_stats.base import array_stats
from arviz_stats.base.diagnostics import _DiagnosticsBase

MASK = (1 << 64) - 1


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        return ((z >> 11) + 0.5) / 9007199254740992.0

    def bell(self):
        """Nearly normal, variance 1/3."""
        a, b, c, d = (self.uniform() for _ in range(4))
        return ((a + b) + (c + d)) - 2.0


SHAPES = {
    "plain": lambda x, u: x,
    "cube": lambda x, u: (x * x) * x,
    "heavy": lambda x, u: x / u,
    "ties": lambda x, u: float(math.floor(4.0 * x)),
    "positive": lambda x, u: 1.0 / (0.1 + x * x),
}

# seed, chains, draws, autoregression, shift of the last chain, spread of the last chain, shape
CHAINS = [
    (1, 4, 1000, 0.0, 0.0, 1.0, "plain"),
    (2, 4, 1000, 0.9, 0.0, 1.0, "plain"),
    (3, 4, 1000, -0.7, 0.0, 1.0, "plain"),
    (4, 4, 500, 0.5, 1.0, 1.0, "plain"),
    (5, 4, 500, 0.5, 0.0, 3.0, "plain"),
    (6, 2, 1001, 0.3, 0.0, 1.0, "heavy"),
    (7, 8, 125, 0.8, 0.0, 1.0, "heavy"),
    (8, 4, 250, 0.6, 0.0, 1.0, "ties"),
    (9, 3, 333, 0.95, 0.0, 1.0, "cube"),
    (10, 4, 100, 0.99, 0.0, 1.0, "plain"),
    (11, 2, 20, 0.2, 0.0, 1.0, "plain"),
    (12, 4, 10, 0.5, 0.0, 1.0, "plain"),
    (13, 2, 7, 0.0, 0.0, 1.0, "plain"),
    (14, 2, 4, 0.0, 0.0, 1.0, "plain"),
    (15, 16, 64, 0.4, 0.2, 1.5, "positive"),
    (16, 1, 2000, 0.7, 0.0, 1.0, "positive"),
    (17, 4, 777, 0.999, 0.0, 1.0, "plain"),
    (18, 5, 401, -0.95, 0.0, 1.0, "cube"),
    (19, 4, 2048, 0.97, 0.0, 1.0, "plain"),
    (20, 4, 999, 0.5, 0.0, 1.0, "ties"),
]

# seed, weights, scale of the log weights, relative efficiency
WEIGHTS = [
    (101, 1000, 0.5, 1.0),
    (102, 1000, 3.0, 1.0),
    (103, 4000, 6.0, 1.0),
    (104, 4000, 2.0, 0.3),
    (105, 100, 1.0, 1.0),
    (106, 400, 15.0, 0.7),
]


def make_chains(seed, m, n, rho, shift, spread, shape):
    rng = SplitMix(seed)
    out = np.empty((m, n))
    noise = math.sqrt(1.0 - rho * rho)
    for i in range(m):
        x = rng.bell()
        for t in range(n):
            x = rho * x + noise * rng.bell()
            v = x
            if i == m - 1:
                v = shift + spread * x
            out[i, t] = SHAPES[shape](v, rng.uniform())
    return out


def make_weights(seed, n, scale):
    rng = SplitMix(seed)
    return np.array([scale * rng.bell() for _ in range(n)])


def main():
    d = _DiagnosticsBase()
    sets = []
    for args in CHAINS:
        x = make_chains(*args)
        seed, m, n, rho, shift, spread, shape = args
        out = {
            "seed": seed, "chains": m, "draws": n, "rho": rho,
            "shift": shift, "spread": spread, "shape": shape,
            "head": x[0, :4].tolist(), "last": float(x[-1, -1]),
            "ess": d._ess_mean(x), "ess_bulk": d._ess_bulk(x), "ess_tail": d._ess_tail(x, 0.05),
            "ess_sd": d._ess_sd(x),
            "mcse_mean": d._mcse_mean(x),
            "mcse_sd": d._mcse_sd(x),
            "mcse_q10": d._mcse_quantile(x, 0.1), "mcse_q50": d._mcse_quantile(x, 0.5),
            "quantiles": np.quantile(x, [0.05, 0.5, 0.95]).tolist(),
            "bfmi": float(d._bfmi(x)[0]),
            "autocorr": d.autocorr(x[0])[:4].tolist(),
        }
        if m > 1:
            out["rhat"] = d._rhat_rank(x)
        sets.append(out)
    weights = []
    for seed, n, scale, r_eff in WEIGHTS:
        lw = make_weights(seed, n, scale)
        smooth, k = array_stats.psislw(-lw, r_eff=r_eff)
        top = np.argsort(lw)[-3:]
        weights.append({
            "seed": seed, "n": n, "scale": scale, "r_eff": r_eff,
            "head": lw[:4].tolist(), "khat": float(k),
            "smoothed_head": smooth[:4].tolist(), "smoothed_top": smooth[top].tolist(),
        })
    json.dump({
        "made_by": "diagnostics.py",
        "versions": {"arviz-stats": arviz_stats.__version__, "numpy": np.__version__,
                     "scipy": scipy.__version__, "python": sys.version.split()[0]},
        "chains": sets, "weights": weights,
    }, sys.stdout, indent=1)


main()
