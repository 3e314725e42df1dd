"""DAGMM: a training step against PyTorch, and a grid of models none of which may become NaN.

    python benchmarks/dagmm.py --only step                              # a minute
    python benchmarks/dagmm.py --only finite --data kdd_cup.npz         # an hour: 384 shapes
    python benchmarks/dagmm.py --smoke                                  # a few shapes

The step is that of the reference network (Zong et al. 2018: 118-60-30-10-1 and back, 3-10-4
with dropout, batch 1,024, Adam), in one process, in turn, where torch is installed.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import mixjax
from mixjax import dagmm
from mixjax.dagmm.epoch import batches_of, begun, epoch
from mixjax.files import check_outputs, write_text

BATCH, D = 1024, 118
ADAM = optax.adam(1e-4)
FAST = optax.adam(1e-3)


def jax_steps(n: int) -> Callable[[], Any]:
    """An epoch of n steps, as `dagmm.train` runs it: shuffling, gathering and scaling included."""
    key = jax.random.key(0)
    x = jax.random.normal(key, (n * BATCH, D))
    model = dagmm.DAGMM(key, D, autoencoder=dagmm.Autoencoder(latent=1))
    inputs = dagmm.Inputs.of(x)
    start = begun(key, model, x=x, inputs=inputs, optimizer=ADAM)
    step = functools.partial(
        epoch.thorough,
        x=x,
        labels=None,
        inputs=inputs,
        objective=dagmm.Objective(),
        optimizer=ADAM,
    )
    zero = jnp.zeros((), jnp.int32)

    def run() -> None:
        order = batches_of(key, 0, n * BATCH, BATCH)
        jax.block_until_ready(step(key, start, zero, order))

    return run


def torch_steps(n: int) -> Callable[[], Any]:
    """The same network, mixture and loss in PyTorch, vectorized over rows and components."""
    import torch
    from torch.nn import Dropout, Linear, Sequential, Softmax, Tanh

    torch.manual_seed(0)
    encoder = Sequential(
        Linear(D, 60), Tanh(), Linear(60, 30), Tanh(), Linear(30, 10), Tanh(), Linear(10, 1)
    )
    decoder = Sequential(
        Linear(1, 10), Tanh(), Linear(10, 30), Tanh(), Linear(30, 60), Tanh(), Linear(60, D)
    )
    estimation = Sequential(Linear(3, 10), Tanh(), Dropout(0.5), Linear(10, 4), Softmax(dim=1))
    parameters = [p for part in (encoder, decoder, estimation) for p in part.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-4)
    table = torch.randn(n * BATCH, D)

    def step(x: Any) -> None:
        code = encoder(x)
        back = decoder(code)
        relative = (x - back).norm(dim=1) / x.norm(dim=1)
        cosine = torch.cosine_similarity(x, back, dim=1)
        z = torch.cat([code, relative[:, None], cosine[:, None]], dim=1)
        gamma = estimation(z)
        count = gamma.sum(0)
        means = gamma.T @ z / count[:, None]
        difference = z[:, None] - means[None]
        covariance = torch.einsum("nk,nki,nkj->kij", gamma, difference, difference)
        covariance = covariance / count[:, None, None] + 1e-6 * torch.eye(3)
        density = torch.distributions.MultivariateNormal(means, covariance, validate_args=False)
        joint = torch.log(count / len(x)) + density.log_prob(z[:, None])
        energy = -torch.logsumexp(joint, dim=1).mean()
        penalty = (1 / covariance.diagonal(dim1=1, dim2=2)).sum()
        loss = ((x - back) ** 2).sum(1).mean() + 0.1 * energy + 0.005 * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run() -> None:
        order = torch.randperm(len(table))
        for i in range(n):
            step(table[order[i * BATCH : (i + 1) * BATCH]])

    return run


def step_times(n: int, repeats: int) -> dict[str, float]:
    """Median milliseconds a step, the two in turn after one warm-up each."""
    runs = {"mixjax": jax_steps(n)}
    if importlib.util.find_spec("torch"):
        runs["torch"] = torch_steps(n)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(0.1)  # the threads of the other's BLAS spin on for a while
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    row = {f"{name}_ms": 1e3 * statistics.median(values) / n for name, values in times.items()}
    if "torch" in runs:
        row["times_torch"] = row["torch_ms"] / row["mixjax_ms"]
    return row


def tables(data: Path | None, n: int) -> dict[str, np.ndarray]:
    """KDD rows where there are any, and a heavy-tailed table; a third of that is constant."""
    rng = np.random.default_rng(0)
    heavy = np.exp(3 * rng.normal(size=(n, D))).astype(np.float32)
    heavy[:, ::3] = 1.0
    out = {"constant columns": heavy}
    if data is not None:
        with np.load(data, allow_pickle=False) as file:
            table = file["kdd"]
        rows = rng.permutation(np.flatnonzero(table[:, -1] == 0))[:n]
        out["KDD rows"] = table[rows, :-1].astype(np.float32)
    return out


def finite(
    data: Path | None, latents: list[int], components: list[int], n_seeds: int
) -> dict[str, Any]:
    """Fifty steps of every model of the grid; how many leaves, statuses or scores were not finite."""
    size, n_steps = 256, 50
    chosen = tables(data, size * n_steps)
    kinds = (dagmm.Autoencoder, dagmm.VariationalAutoencoder, dagmm.VectorQuantizedAutoencoder)
    keys = jax.random.split(jax.random.key(0), n_seeds)
    bad: list[Any] = []
    count = 0
    for kind, latent, k in itertools.product(kinds, latents, components):

        def make(key: Any, kind: Any = kind, latent: int = latent, k: int = k) -> dagmm.DAGMM:
            return dagmm.DAGMM(key, D, autoencoder=kind(latent=latent), n_components=k)

        models = eqx.filter_jit(eqx.filter_vmap(make))(keys)
        for name, x in chosen.items():
            result = dagmm.train(
                keys,
                models,
                x,
                epochs=1,
                batch_size=size,
                optimizer=FAST,
                refit=None,
                progress=False,
            )
            scores = jax.vmap(dagmm.score, in_axes=(0, None))(result, jnp.asarray(x[:1000]))
            sound = result.status == dagmm.Status.COMPLETED
            for leaf in jax.tree.leaves((result, scores)):
                sound &= jnp.isfinite(leaf).reshape(n_seeds, -1).all(axis=1)
            count += n_seeds
            if not bool(sound.all()):
                bad.append([kind.__name__, latent, k, name, np.flatnonzero(~sound).tolist()])
        if count % (8 * n_seeds) == 0:
            jax.clear_caches()  # compiled programs hold memory maps
        print(
            kind.__name__, latent, k, f"{count} models, {len(bad)} bad", file=sys.stderr, flush=True
        )
    return {"models": count, "steps": n_steps, "seeds": n_seeds, "tables": list(chosen), "bad": bad}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["step", "finite"])
    parser.add_argument("--data", type=Path, help="kdd_cup.npz, for the grid")
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--latents", type=int, nargs="*", default=list(range(1, 17)))
    parser.add_argument("--components", type=int, nargs="*", default=list(range(1, 9)))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    if args.smoke:
        args.latents, args.components, args.seeds = [2], [2], 2
    results: dict[str, Any] = {"jax": jax.__version__, "mixjax": mixjax.__version__}
    if args.only in (None, "step"):
        results["step"] = step_times(10 if args.smoke else 100, 3 if args.smoke else 15)
        print("milliseconds a step:", {k: round(v, 2) for k, v in results["step"].items()})
    if args.only in (None, "finite"):
        results["finite"] = finite(args.data, args.latents, args.components, args.seeds)
        print("never NaN:", results["finite"])
    if args.json:
        write_text(args.json, json.dumps(results, indent=2))
    if results.get("finite", {}).get("bad"):
        sys.exit(1)


if __name__ == "__main__":
    main()
