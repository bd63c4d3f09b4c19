"""The problem of examples/routes with Python's libraries: mean, sd, C2ST against
exact draws, and seconds, imports and compilation included.

    python peers.py [numpyro] [blackjax] [sbi] [torch]

C2ST is that of the sbibm benchmark, with scikit-learn's perceptron. Needs numpy,
scikit-learn, and the library that is named.
"""
import sys
import time

import numpy as np

N = 2000
W = np.array([0.4, 0.35, 0.25])
M = np.array([[-1.2, 1], [1, 0.6], [1.4, -1.4]])
S = np.array([[[0.5, 0.2], [0.2, 0.4]], [[0.3, -0.15], [-0.15, 0.5]], [[0.25, 0.05], [0.05, 0.2]]])
A, Y, SIGMA, SIMULATIONS = np.array([1, 0.5]), 1.2, 0.5, 10_000


def exact(rng):
    w, mean, cov = [], [], []
    for k in range(3):
        g = S[k] @ A
        v = A @ g + SIGMA**2
        w.append(W[k] * np.exp(-((Y - A @ M[k]) ** 2) / (2 * v)) / np.sqrt(v))
        mean.append(M[k] + g * (Y - A @ M[k]) / v)
        cov.append(S[k] - np.outer(g, g) / v)
    k = rng.choice(3, N, p=np.array(w) / sum(w))
    z = rng.standard_normal((N, 2))
    return np.stack([mean[i] + np.linalg.cholesky(cov[i]) @ z[j] for j, i in enumerate(k)])


def prior(rng, n):
    k = rng.choice(3, n, p=W)
    z = rng.standard_normal((n, 2))
    return M[k] + np.einsum("nij,nj->ni", np.linalg.cholesky(S)[k], z)


def c2st(p, q):
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    m, s = p.mean(0), p.std(0, ddof=1)
    x = np.concatenate([(p - m) / s, (q - m) / s])
    label = np.concatenate([np.zeros(len(p)), np.ones(len(q))])
    net = MLPClassifier(activation="relu", hidden_layer_sizes=(20, 20), max_iter=10000, solver="adam", random_state=1)
    return cross_val_score(net, x, label, cv=KFold(5, shuffle=True, random_state=1), scoring="accuracy").mean()


def log_posterior(jnp, x):
    terms = jnp.stack([
        np.log(W[k]) - 0.5 * (x - M[k]) @ np.linalg.inv(S[k]) @ (x - M[k]) - 0.5 * np.log(np.linalg.det(S[k]))
        for k in range(3)
    ])
    return jnp.log(jnp.exp(terms - terms.max()).sum()) + terms.max() - (Y - A @ x) ** 2 / (2 * SIGMA**2)


def numpyro():
    import jax
    import jax.numpy as jnp
    from numpyro.infer import MCMC, NUTS

    kernel = NUTS(potential_fn=lambda x: -log_posterior(jnp, x))
    run = MCMC(kernel, num_warmup=1000, num_samples=2500, num_chains=4, chain_method="vectorized", progress_bar=False)
    init = jax.random.uniform(jax.random.PRNGKey(1), (4, 2), minval=-2, maxval=2)
    run.run(jax.random.PRNGKey(0), init_params=init)
    x = np.asarray(run.get_samples())
    return x[np.random.default_rng(0).choice(len(x), N)]


def blackjax():
    import blackjax
    import jax
    import jax.numpy as jnp

    density = lambda x: log_posterior(jnp, x)

    def one(key, start):
        warm, keep = jax.random.split(key)
        (state, p), _ = blackjax.window_adaptation(blackjax.nuts, density).run(warm, start, num_steps=1000)
        kernel = blackjax.nuts(density, **p)

        def step(s, k):
            s, _ = kernel.step(k, s)
            return s, s.position

        return jax.lax.scan(step, state, jax.random.split(keep, 2500))[1]

    init = jax.random.uniform(jax.random.PRNGKey(1), (4, 2), minval=-2, maxval=2)
    x = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.PRNGKey(0), 4), init)).reshape(-1, 2)
    return x[np.random.default_rng(0).choice(len(x), N)]


def sbi():
    import torch
    from sbi.inference import NPE

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    theta = prior(rng, SIMULATIONS)
    y = theta @ A + SIGMA * rng.standard_normal(SIMULATIONS)
    f = lambda v: torch.tensor(v, dtype=torch.float32)
    q = NPE(density_estimator="nsf", show_progress_bars=False).append_simulations(f(theta), f(y)[:, None]).train()
    return q.sample((N,), condition=f([[Y]])).reshape(N, 2).detach().numpy()


def torch():
    """The exact score of the prior, guidance with Tweedie's second moment, 100
    steps of DDIM evenly spaced in log signal-to-noise ratio, by autograd."""
    import torch

    w, m, s = (torch.tensor(v, dtype=torch.float32) for v in (W, M, S))
    a, eye = torch.tensor(A, dtype=torch.float32), torch.eye(2)
    x = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    level = lambda t: np.exp(-0.5 * (0.1 * t + 9.95 * t * t))
    fine = np.linspace(1e-3, 1, 20001)
    snr = np.log(level(fine) ** 2 / (1 - level(fine) ** 2))
    alphas = level(np.interp(np.linspace(snr[-1], snr[0], 100), snr[::-1], fine[::-1])).tolist() + [1.0]
    for alpha, after in zip(alphas, alphas[1:]):
        sig = np.sqrt(1 - alpha**2)
        cov = alpha**2 * s + sig**2 * eye
        inv = torch.linalg.inv(cov)
        v = x.clone().requires_grad_(True)
        d = v[:, None] - alpha * m
        r = torch.softmax(torch.log(w) - 0.5 * torch.einsum("nki,kij,nkj->nk", d, inv, d) - 0.5 * torch.logdet(cov), 1)
        score = -torch.einsum("nk,kij,nkj->ni", r, inv, d)
        mean = (v + sig**2 * score) / alpha
        (jta,) = torch.autograd.grad((mean @ a).sum(), v)
        with torch.no_grad():
            spread = sig**2 / alpha * (jta @ a) + SIGMA**2
            guided = score + jta * ((Y - mean @ a) / spread)[:, None]
            mean = (x + sig**2 * guided) / alpha
            x = after * mean + np.sqrt(1 - after**2) / sig * (x - alpha * mean)
    return x.numpy()


if __name__ == "__main__":
    truth = exact(np.random.default_rng(7))
    for name in sys.argv[1:] or ["numpyro", "blackjax", "sbi", "torch"]:
        start = time.time()
        x = globals()[name]()
        seconds = time.time() - start
        print(f"{name:10s} mean {x.mean(0)} sd {x.std(0)} C2ST {c2st(truth, x):.3f} seconds {seconds:.2f}", flush=True)
