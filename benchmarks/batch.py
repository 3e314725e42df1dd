"""Thousands of fits: `fit_batch` against a loop over scikit-learn, and against plain `vmap`.

    python benchmarks/batch.py                 # all of it, some five minutes
    python benchmarks/batch.py --smoke
    python benchmarks/batch.py --only speed    # or: uneven, memory

Times are medians of runs taken in turn. scikit-learn fits a part of the tables; its time is
a table's. Both start from k-means (a default of both) and do the same number of iterations.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mixjax
from mixjax.files import check_outputs, write_text

KEY = jax.random.key(0)


def tables(n_tables: int, n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    """Round unit clusters about normal centers, spread 3."""
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(n_tables, k, d))
    labels = rng.integers(k, size=(n_tables, n))
    rows = np.take_along_axis(centers, labels[:, :, None], axis=1)
    return (rows + rng.normal(size=rows.shape)).astype(np.float32)


def medians(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, in turn after one warm-up; the pause lets BLAS threads rest."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(0.2)
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def plain_vmap(k: int, **options: Any) -> Callable[[np.ndarray], Any]:
    fit = jax.jit(jax.vmap(lambda key, x: mixjax.fit(key, x, k, **options)))
    in_turn = jax.jit(
        lambda n: jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(n)), static_argnums=0
    )
    return lambda xs: jax.block_until_ready(fit(in_turn(len(xs)), xs))


def speed(shape: tuple[int, int, int, int], n_looped: int, repeats: int) -> dict[str, Any]:
    """The same number of iterations, 20, from k-means."""
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    n_tables, k = shape[0], shape[3]
    xs = tables(*shape)
    vmapped = plain_vmap(k, tol=0.0, max_iter=20)

    def loop() -> None:
        for x in xs[:n_looped]:
            GaussianMixture(k, tol=0.0, max_iter=20, random_state=0).fit(x)

    def loop_on_one_thread() -> None:
        with threadpool_limits(1):  # its threads cost more than they bring on small tables
            loop()

    def batch() -> Any:
        return jax.block_until_ready(mixjax.fit_batch(KEY, xs, k, tol=0.0, max_iter=20))

    begin = time.perf_counter()
    fits = batch()
    first = time.perf_counter() - begin
    sound = float(np.isin(np.asarray(fits.status), (0, 1)).mean())
    runs = {
        "fit_batch": batch,
        "vmap": lambda: vmapped(xs),
        "sklearn": loop,
        "one thread": loop_on_one_thread,
    }
    seconds = medians(runs, repeats)
    ours, theirs = seconds["fit_batch"] / n_tables, seconds["sklearn"] / n_looped
    one_thread = seconds["one thread"] / n_looped
    return {
        "shape": shape, "fit_batch_us": 1e6 * ours, "vmap_us": 1e6 * seconds["vmap"] / n_tables,
        "sklearn_us": 1e6 * theirs, "times_sklearn": theirs / ours, "first_call_s": first,
        "one_thread_us": 1e6 * one_thread, "times_one_thread": one_thread / ours,
        "sound": sound,
    }  # fmt: skip


def uneven(n_tables: int, repeats: int) -> dict[str, Any]:
    """A hundredth of the tables need some fifty times the iterations of the others."""
    rng = np.random.default_rng(1)
    xs = 20 * np.eye(3)[rng.integers(3, size=(n_tables, 200))] + rng.normal(size=(n_tables, 200, 3))
    slow = rng.choice(n_tables, max(1, n_tables // 100), replace=False)
    xs[slow] = rng.normal(size=(len(slow), 200, 3))  # one cluster where three are asked for
    xs = xs.astype(np.float32)
    options: dict[str, Any] = {"tol": 1e-7, "max_iter": 150}
    vmapped = plain_vmap(3, **options)
    n_iter = np.asarray(mixjax.fit_batch(KEY, xs, 3, **options).n_iter)
    seconds = medians(
        {
            "fit_batch": lambda: jax.block_until_ready(mixjax.fit_batch(KEY, xs, 3, **options)),
            "vmap": lambda: vmapped(xs),
        },
        repeats,
    )
    others = np.setdiff1d(np.arange(n_tables), slow)
    return {
        "tables": n_tables, "iterations_of_most": float(n_iter[others].mean()),
        "iterations_of_the_slow": float(n_iter[slow].mean()), **seconds,
        "times_vmap": seconds["vmap"] / seconds["fit_batch"],
    }  # fmt: skip


def memory(n_tables: int) -> dict[str, Any]:
    """The peak of a process that makes the tables and fits them all."""
    code = (
        "import resource, time, jax, numpy as np, mixjax\n"
        f"xs = np.random.default_rng(0).normal(size=({n_tables}, 100, 2)).astype('float32')\n"
        "xs[:, ::2] += 6\n"
        "begin = time.perf_counter()\n"
        "fits = jax.block_until_ready(mixjax.fit_batch(jax.random.key(0), xs, 2))\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(peak / 2**20, time.perf_counter() - begin)"
    )
    peak, seconds = map(
        float, subprocess.check_output([sys.executable, "-c", code], text=True).split()
    )
    return {"tables": n_tables, "peak_gb": peak, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a few tables")
    parser.add_argument("--only", choices=["speed", "uneven", "memory"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    warnings.filterwarnings("ignore", category=Warning, module="sklearn")
    wanted = [args.only] if args.only else ["speed", "uneven", "memory"]
    results: dict[str, Any] = {"jax": jax.__version__, "mixjax": mixjax.__version__}
    if "speed" in wanted:
        shapes = [(10_000, 200, 2, 3), (4_096, 500, 4, 4)]
        if args.smoke:
            shapes = [(40, 50, 2, 2)]
        results["speed"] = [
            speed(shape, 5 if args.smoke else 200, args.repeats) for shape in shapes
        ]
        for row in results["speed"]:
            n_tables, n, d, k = row["shape"]
            print(
                f"{n_tables:,} tables of {n}×{d}, K={k}, 20 iterations: {row['fit_batch_us']:.0f} µs a "
                f"model, vmap(fit) {row['vmap_us']:.0f} µs, scikit-learn {row['sklearn_us']:.0f} µs: "
                f"{row['times_sklearn']:.0f}× (on one thread {row['one_thread_us']:.0f} µs: "
                f"{row['times_one_thread']:.0f}×); first call {row['first_call_s']:.1f} s"
            )
    if "uneven" in wanted:
        row = results["uneven"] = uneven(100 if args.smoke else 4_000, args.repeats)
        print(
            f"{row['tables']:,} tables, {row['iterations_of_most']:.1f} iterations and "
            f"{row['iterations_of_the_slow']:.0f} for one in a hundred: {row['fit_batch']:.2f} s, "
            f"vmap(fit) {row['vmap']:.2f} s: {row['times_vmap']:.1f}×"
        )
    if "memory" in wanted:
        row = results["memory"] = memory(1_000 if args.smoke else 100_000)
        print(
            f"{row['tables']:,} tables of 100×2, K=2: peak {row['peak_gb']:.2f} GB, "
            f"{row['seconds']:.1f} s with compilation"
        )
    if args.json:
        write_text(args.json, json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
