"""EM against scikit-learn and gmmx: in one process, from one start, for one number of steps.

    python benchmarks/em.py                      # all of it, about ten minutes
    python benchmarks/em.py --smoke              # small shapes, under a minute
    python benchmarks/em.py --only iteration     # one part
    python benchmarks/em.py --json out.json --readme benchmarks/README.md

Times are medians of runs taken in turn, so that a noisy machine disturbs all alike.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
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

SHAPES = [(100_000, 2, 8), (200_000, 8, 16), (100_000, 16, 16), (50_000, 64, 16), (20_000, 128, 8)]
SMOKE_SHAPES = [(5_000, 2, 4), (5_000, 8, 4)]
FAMILIES: dict[str, Any] = {
    "full": mixjax.Gaussian,
    "tied": mixjax.TiedGaussian,
    "diag": mixjax.DiagonalGaussian,
    "spherical": mixjax.SphericalGaussian,
}


def clusters(n: int, d: int, k: int, seed: int = 0, spread: float = 3.0) -> np.ndarray:
    """Round unit clusters about normal centers: at spread 3 most are apart, at 1 none."""
    rng = np.random.default_rng(seed)
    centers = spread * rng.normal(size=(k, d))
    return centers[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def medians(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turn after one warm-up.

    The threads of a BLAS library go on spinning for some 30 ms after its last call: a
    pause before each run keeps one from paying for another.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            time.sleep(0.1)
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def unit_precisions(kind: str, k: int, d: int, dtype: Any) -> np.ndarray:
    return {
        "full": np.tile(np.eye(d, dtype=dtype), (k, 1, 1)),
        "tied": np.eye(d, dtype=dtype),
        "diag": np.ones((k, d), dtype),
        "spherical": np.ones(k, dtype),
    }[kind]


def start_mixture(kind: str, means: np.ndarray) -> mixjax.Mixture:
    """Unit components at the means, equally heavy."""
    k, d = means.shape
    reference = FAMILIES[kind].standard(k, d, means.dtype)
    components = type(reference)(jnp.asarray(means), *list(vars(reference).values())[1:])
    return mixjax.Mixture(jnp.full((k,), -math.log(k), means.dtype), components)


def sklearn_model(kind: str, means: np.ndarray, n_iter: int) -> Any:
    from sklearn.mixture import GaussianMixture

    k, d = means.shape
    return GaussianMixture(
        k, covariance_type=kind, tol=0.0, max_iter=n_iter, means_init=means,
        weights_init=np.full(k, 1 / k, means.dtype),
        precisions_init=unit_precisions(kind, k, d, means.dtype),
        init_params="random_from_data", random_state=0,
    )  # fmt: skip


def iteration(shape: tuple[int, int, int], kind: str, dtype: Any, repeats: int) -> dict[str, Any]:
    """Milliseconds an iteration, mixjax and its peers."""
    n, d, k = shape
    n_iter = 10
    table = clusters(n, d, k).astype(dtype)
    means = table[:k].copy()
    with jax.enable_x64(dtype == np.float64):
        x = jax.block_until_ready(jnp.asarray(table))
        mixture = start_mixture(kind, means)
        solver = mixjax.EM(reg_covar=1e-6)
        model = sklearn_model(kind, means, n_iter)

        def ours() -> mixjax.Fit:
            result = mixjax.fit_from(mixture, x, solver=solver, tol=0.0, max_iter=n_iter)
            return jax.block_until_ready(result)

        runs: dict[str, Callable[[], Any]] = {"mixjax": ours, "sklearn": lambda: model.fit(table)}
        if kind == "full" and dtype == np.float32 and d < 64:
            import gmmx

            peer = gmmx.GaussianMixtureModelJax.from_squeezed(
                weights=jnp.full((k,), 1 / k, dtype), means=jnp.asarray(means),
                covariances=jnp.asarray(unit_precisions("full", k, d, dtype)),
            )  # fmt: skip
            fitter = gmmx.EMFitter(tol=0.0, max_iter=n_iter)
            runs["gmmx"] = lambda: jax.block_until_ready(fitter.fit(x=x, gmm=peer).gmm.means)
        seconds = medians(runs, repeats)
        ours_fit = ours()
        difference = -float(ours_fit.energy) - model.score(table)
    row: dict[str, Any] = {
        "shape": shape, "family": kind, "dtype": np.dtype(dtype).name,
        "log_likelihood_minus_sklearn": difference,
    }  # fmt: skip
    for name, value in seconds.items():
        row[f"{name}_ms"] = 1e3 * value / n_iter
    for name in seconds:
        if name != "mixjax":
            row[f"times_{name}"] = seconds[name] / seconds["mixjax"]
    return row


def whole_fit(
    shape: tuple[int, int, int], repeats: int, seeds: int, spread: float = 3.0
) -> dict[str, Any]:
    """Default fits: time with and without compilation, and the likelihood reached."""
    from sklearn.mixture import GaussianMixture

    n, d, k = shape
    table = clusters(n, d, k, spread=spread).astype(np.float32)
    x = jnp.asarray(table)
    jax.clear_caches()
    begin = time.perf_counter()
    jax.block_until_ready(mixjax.fit(jax.random.key(0), x, k))
    first = time.perf_counter() - begin

    models = [GaussianMixture(k, random_state=seed) for seed in range(seeds)]
    fits: dict[int, mixjax.Fit] = {}

    def ours(seed: int) -> None:
        fits[seed] = jax.block_until_ready(mixjax.fit(jax.random.key(seed), x, k))

    runs: dict[str, Callable[[], Any]] = {}
    for seed in range(seeds):
        runs[f"mixjax {seed}"] = lambda seed=seed: ours(seed)
        runs[f"sklearn {seed}"] = lambda seed=seed: models[seed].fit(table)
    seconds = medians(runs, repeats)
    of = {
        name: statistics.median(seconds[f"{name} {seed}"] for seed in range(seeds))
        for name in ("mixjax", "sklearn")
    }
    return {
        "shape": shape, "spread": spread, "seeds": seeds, "mixjax_s": of["mixjax"], "sklearn_s": of["sklearn"],
        "mixjax_first_s": first, "times_sklearn": of["sklearn"] / of["mixjax"],
        "times_sklearn_with_compilation": of["sklearn"] / first,
        "mixjax_log_likelihood": [-float(fits[seed].energy) for seed in range(seeds)],
        "sklearn_log_likelihood": [float(model.score(table)) for model in models],
        "mixjax_iterations": [int(fits[seed].n_iter) for seed in range(seeds)],
        "sklearn_iterations": [int(model.n_iter_) for model in models],
    }  # fmt: skip


def many_small(n_models: int, repeats: int) -> dict[str, Any]:
    """``vmap(fit)`` over data sets of 200×2, K=3, against a loop over scikit-learn."""
    from sklearn.mixture import GaussianMixture

    n_iter = 20
    tables = np.stack([clusters(200, 2, 3, seed) for seed in range(n_models)]).astype(np.float32)
    xs = jnp.asarray(tables)
    keys = jax.random.split(jax.random.key(0), n_models)
    fit = jax.jit(jax.vmap(lambda key, x: mixjax.fit(key, x, 3, tol=0.0, max_iter=n_iter)))
    looped = tables[: max(1, n_models // 10)]

    def loop() -> None:
        for table in looped:
            GaussianMixture(3, tol=0.0, max_iter=n_iter, random_state=0).fit(table)

    seconds = medians(
        {"mixjax": lambda: jax.block_until_ready(fit(keys, xs)), "sklearn": loop}, repeats
    )
    ours, theirs = seconds["mixjax"] / n_models, seconds["sklearn"] / len(looped)
    return {
        "models": n_models, "iterations": n_iter, "mixjax_us": 1e6 * ours,
        "sklearn_us": 1e6 * theirs, "times_sklearn": theirs / ours,
    }  # fmt: skip


def peak_memory(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Peak resident memory of a fit in a process of its own, above the table's process."""
    n, d, k = shape

    code = (
        "import threading, time, jax, jax.numpy as jnp, numpy as np, mixjax\n"
        "def resident(): return int(open('/proc/self/statm').read().split()[1]) * 4096 / 2**20\n"
        f"x = jax.random.normal(jax.random.key(0), ({n}, {d}))\n"
        "small = jax.random.normal(jax.random.key(0), (1000, 2))\n"
        "jax.block_until_ready((x, mixjax.fit(jax.random.key(0), small, 2, max_iter=1)))\n"
        "before = resident(); peak = [before]; done = threading.Event()\n"
        "def watch():\n"
        "    while not done.wait(0.01): peak[0] = max(peak[0], resident())\n"
        "watcher = threading.Thread(target=watch); watcher.start()\n"
        f"jax.block_until_ready(mixjax.fit(jax.random.key(0), x, {k}, max_iter=3))\n"
        "done.set(); watcher.join(); print(before, peak[0])"
    )
    before, peak = map(
        float, subprocess.check_output([sys.executable, "-c", code], text=True).split()
    )
    return {"shape": shape, "table_mb": n * d * 4 / 2**20, "above_table_mb": peak - before}


def machine() -> dict[str, str]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    versions = {
        name: importlib.metadata.version(name)
        for name in ("mixjax", "jax", "jaxlib", "numpy", "scikit-learn", "gmmx")
    }
    return {
        "cpu": model, "cores": str(os.cpu_count()), "python": platform.python_version(),
        "device": str(jax.devices()[0]), **versions,
    }  # fmt: skip


def table_of(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    about = results["machine"]
    versions = ", ".join(
        f"{k} {v}" for k, v in about.items() if k not in ("cpu", "cores", "device")
    )
    lines = [f"{about['cores']} cores of {about['cpu']}, {about['device']}; {versions}.", ""]
    if rows := results.get("iteration"):
        lines += [
            "Milliseconds an EM iteration, whole call over ten iterations:", "",
            "| N, D, K | family | dtype | mixjax | scikit-learn | gmmx | × scikit-learn | × gmmx | Δ log-likelihood |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]  # fmt: skip
        for row in rows:
            n, d, k = row["shape"]
            gmmx = f"{row['gmmx_ms']:.0f}" if "gmmx_ms" in row else "–"
            times = f"{row['times_gmmx']:.1f}" if "gmmx_ms" in row else "–"
            lines.append(
                f"| {n:,}, {d}, {k} | {row['family']} | {row['dtype']} | {row['mixjax_ms']:.1f} "
                f"| {row['sklearn_ms']:.0f} | {gmmx} | {row['times_sklearn']:.1f} | {times} "
                f"| {row['log_likelihood_minus_sklearn']:.0e} |"
            )
        lines += ["", "Geometric means of the ratios:", "", *summary(rows), ""]
    for row in results.get("whole", []):
        n, d, k = row["shape"]
        lines.append(
            f"- Default fit, {n:,}×{d}, K={k}, clusters of spread {row['spread']:g}, float32, {row['seeds']} seeds: {row['mixjax_s']:.2f} s against "
            f"{row['sklearn_s']:.2f} s of scikit-learn, **{row['times_sklearn']:.1f}×**; compilation "
            f"included {row['mixjax_first_s']:.2f} s, {row['times_sklearn_with_compilation']:.1f}×. "
            f"Mean log-likelihood {np.mean(row['mixjax_log_likelihood']):.4f} against "
            f"{np.mean(row['sklearn_log_likelihood']):.4f} (best {max(row['mixjax_log_likelihood']):.4f} "
            f"and {max(row['sklearn_log_likelihood']):.4f})."
        )
    if row := results.get("small"):
        lines.append(
            f"- `vmap(fit)` over {row['models']:,} data sets of 200×2, K=3, {row['iterations']} iterations: "
            f"{row['mixjax_us']:.0f} µs a model against {row['sklearn_us']:.0f} µs, **{row['times_sklearn']:.0f}×**."
        )
    if row := results.get("memory"):
        n, d, k = row["shape"]
        lines.append(
            f"- Peak memory of a fit of {n:,}×{d}, K={k}: the table ({row['table_mb']:.0f} MB) plus "
            f"**{row['above_table_mb']:.0f} MB**."
        )
    return "\n".join(lines)


def summary(rows: list[dict[str, Any]]) -> list[str]:
    lines = []
    for dtype in ("float32", "float64"):
        for kind in FAMILIES:
            for label, wide in (("D ≤ 16", False), ("D ≥ 64", True)):
                chosen = [
                    row for row in rows
                    if row["family"] == kind and row["dtype"] == dtype
                    and (row["shape"][1] >= 64) == wide
                ]  # fmt: skip
                for peer in ("sklearn", "gmmx"):
                    ratios = [row[f"times_{peer}"] for row in chosen if f"times_{peer}" in row]
                    if ratios:
                        mean = geometric_mean(ratios)
                        lines.append(f"- {kind}, {dtype}, {label}: **{mean:.1f}×** {peer}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small shapes, under a minute")
    parser.add_argument("--only", choices=["iteration", "whole", "small", "memory"])
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", type=Path, help="fill the table between its markers")
    args = parser.parse_args()
    check_outputs({"--json": args.json, "--readme": args.readme})
    warnings.filterwarnings("ignore", category=Warning, module="sklearn")

    wanted = [args.only] if args.only else ["iteration", "whole", "small", "memory"]
    results: dict[str, Any] = {"machine": machine()}
    if "iteration" in wanted:
        results["iteration"] = []
        for dtype in (np.float32, np.float64):
            for kind in args.families:
                if args.smoke and dtype is np.float64 and kind != "full":
                    continue
                for shape in SMOKE_SHAPES if args.smoke else SHAPES:
                    row = iteration(shape, kind, dtype, args.repeats)
                    results["iteration"].append(row)
                    print(row, file=sys.stderr, flush=True)
    if "whole" in wanted:
        shapes = [(5_000, 4, 4)] if args.smoke else [(100_000, 8, 16), (200_000, 8, 16)]
        results["whole"] = [whole_fit(shape, 1, 1 if args.smoke else 5) for shape in shapes]
        if not args.smoke:
            results["whole"].append(whole_fit((200_000, 8, 16), 1, 2, spread=1.0))
    if "small" in wanted:
        results["small"] = many_small(20 if args.smoke else 1_000, args.repeats)
    if "memory" in wanted:
        results["memory"] = peak_memory((50_000, 4, 4) if args.smoke else (2_000_000, 16, 32))
    text = table_of(results)
    print(text)
    if args.json:
        write_text(args.json, json.dumps(results, indent=2))
    if args.readme:
        begin, end = "<!-- em: begin -->", "<!-- em: end -->"
        page = args.readme.read_text()
        if begin not in page or end not in page:
            raise SystemExit(f"{args.readme} lacks the markers {begin} and {end}")
        head, tail = page.split(begin)[0], page.split(end)[1]
        write_text(args.readme, f"{head}{begin}\n{text}\n{end}{tail}")


if __name__ == "__main__":
    main()
