"""A GPU: the tests of precision, and EM, many fits and DAGMM beside what the machine can do.

    python benchmarks/gpu.py                          # all of it, some eight minutes
    python benchmarks/gpu.py --only em batch          # or: precision, first, dagmm
    python benchmarks/gpu.py --smoke                  # small shapes, also on a CPU

The ceilings are measured first: bytes copied a second, and a product of float32 matrices in full
precision. The floor of an EM iteration is the larger of two times: to read the rows once, and to do
the two dense products of the family, each at its ceiling.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import batch
import dagmm
import em
import jax
import jax.numpy as jnp
import numpy as np

import mixjax
from mixjax.files import check_outputs, write_text

# Tests in which digits are asserted: conditioning, units, far rows, factorizations, M-steps.
PRECISION = ["linalg", "m_step", "em", "units", "far", "conditioning", "families", "gradient"]
SHAPES = [
    ("full", 1_000_000, 8, 16), ("full", 1_000_000, 32, 64), ("full", 200_000, 128, 64),
    ("diag", 1_000_000, 32, 256), ("spherical", 1_000_000, 128, 1_024), ("diag", 200_000, 128, 64),
]  # fmt: skip
# A smoke run leaves these out: other scripts have smoke runs of the same.
ALONE = ("batch", "dagmm", "precision")
GMMX = importlib.util.find_spec("gmmx") is not None
SMOKE_SHAPES = [("full", 5_000, 8, 4), ("diag", 5_000, 8, 4), ("spherical", 5_000, 8, 4)]


def seconds_of(run: Callable[[], Any], repeats: int = 5) -> float:
    """The median of some runs, after one that compiles."""
    jax.block_until_ready(run())
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def ceilings(smoke: bool) -> dict[str, float]:
    """Bytes a second of a copy, read and written, and operations a second of a matrix product."""
    n = 2**10 if smoke else 2**13
    x = jax.random.normal(jax.random.key(0), (n, n))
    many = jnp.zeros((16 if smoke else 2**7, 2**20 if smoke else 2**22), jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    product = jax.jit(lambda x: jnp.matmul(x, x, precision="highest"))
    return {
        "bytes": 2 * many.nbytes / seconds_of(lambda: copy(many)),
        "operations": 2 * n**3 / seconds_of(lambda: product(x)),
    }


def needed(kind: str, n: int, d: int, k: int) -> tuple[int, int]:
    """Bytes and operations of an iteration: rows read once, distances and moments as products."""
    numbers_a_row = {"full": d * d, "diag": 2 * d, "spherical": d}[kind]
    return 4 * n * d, 2 * (2 * n * k * numbers_a_row)


def iteration(kind: str, shape: tuple[int, int, int], ceiling: dict[str, float]) -> dict[str, Any]:
    """An iteration beside its floor, and the energy beside that in double precision."""
    n, d, k = shape
    table = em.clusters(n, d, k).astype(np.float32)
    x = jnp.asarray(table)
    mixture = em.start_mixture(kind, table[:k].copy())

    def run(max_iter: int) -> mixjax.Fit:
        return mixjax.fit_from(mixture, x, tol=0.0, max_iter=max_iter)

    seconds = an_iteration(run)
    n_bytes, operations = needed(kind, n, d, k)
    by_bytes, by_operations = n_bytes / ceiling["bytes"], operations / ceiling["operations"]
    fit = run(25)
    double = energy_in_double(fit.mixture, table[:20_000])
    single = float(mixjax.energy(fit.mixture, x[:20_000]).mean())
    peer = {"gmmx_ms": 1e3 * an_iteration(gmmx_run(x, k))} if kind == "full" and GMMX else {}
    return {
        "family": kind, "shape": shape, "ms": 1e3 * seconds, **peer, "floor_ms": 1e3 * max(by_bytes, by_operations),
        "bandwidth": by_bytes / seconds, "matrix_rate": by_operations / seconds,
        "energy_error": single - double, "status": str(mixjax.Status(int(fit.status)).name),
    }  # fmt: skip


def an_iteration(run: Callable[[int], Any]) -> float:
    """Seconds an iteration: the difference between five and twenty-five of them."""
    return (seconds_of(lambda: run(25)) - seconds_of(lambda: run(5))) / 20


def gmmx_run(x: jax.Array, k: int) -> Callable[[int], Any]:
    """The same iterations by gmmx."""
    import gmmx

    start = gmmx.GaussianMixtureModelJax.from_squeezed(
        weights=jnp.full((k,), 1 / k), means=x[:k],
        covariances=jnp.asarray(em.unit_precisions("full", k, x.shape[1], np.float32)),
    )  # fmt: skip
    return lambda max_iter: gmmx.EMFitter(tol=0.0, max_iter=max_iter).fit(x=x, gmm=start).gmm.means


def energy_in_double(mixture: mixjax.Mixture, table: np.ndarray) -> float:
    """The mean energy by the same code in double precision."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), mixture)
        return float(np.mean(mixjax.energy(wide, np.asarray(table, np.float64))))


def many_fits(smoke: bool) -> dict[str, Any]:
    """Microseconds a model of 20 iterations from k-means, compiled, and the first call."""
    shape = (100, 200, 2, 3) if smoke else (100_000, 200, 2, 3)
    xs = batch.tables(*shape)

    def run() -> mixjax.Fit:
        return mixjax.fit_batch(batch.KEY, xs, shape[3], tol=0.0, max_iter=20)

    begin = time.perf_counter()
    fits = jax.block_until_ready(run())
    first = time.perf_counter() - begin
    return {
        "shape": shape, "us": 1e6 * seconds_of(run, 3) / shape[0], "first_call_s": first,
        "sound": float(np.isin(np.asarray(fits.status), (0, 1)).mean()),
    }  # fmt: skip


def first_calls() -> dict[str, float]:
    """Seconds of the first fit of each family, compiling included."""
    x = em.clusters(1_000, 4, 3).astype(np.float32)
    out = {}
    for kind, family in em.FAMILIES.items():
        begin = time.perf_counter()
        jax.block_until_ready(mixjax.fit(jax.random.key(0), x, 3, family=family))
        out[kind] = time.perf_counter() - begin
    return out


def precision(workers: int) -> dict[str, Any]:
    """The tests in which digits are asserted, on this device."""
    root = Path(__file__).parents[1]
    files = [str(root / "tests" / f"test_{name}.py") for name in PRECISION]
    command = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--tb=short"]
    command += ["-p", "no:benchmark", *files]
    # Every worker would take three quarters of the device's memory.
    environment = dict(os.environ, XLA_PYTHON_CLIENT_PREALLOCATE="false")
    result = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    print(result.stdout, file=sys.stderr)
    return {"summary": result.stdout.strip().splitlines()[-1], "passed": result.returncode == 0}


def table_of(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [f"{results['device']}; jax {results['jax']}.", ""]
    if ceiling := results.get("ceilings"):
        lines += [
            f"Ceilings: {ceiling['bytes'] / 1e12:.2f} TB/s copied, "
            f"{ceiling['operations'] / 1e12:.1f} TFLOP/s in float32 products.", ""
        ]  # fmt: skip
    if rows := results.get("em"):
        lines += [
            "| N, D, K | family | ms an iteration | gmmx | floor, ms | of bandwidth | of the matrix rate | energy − double |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]  # fmt: skip
        for row in rows:
            n, d, k = row["shape"]
            gmmx = f"{row['gmmx_ms']:.2f}" if "gmmx_ms" in row else "–"
            lines.append(
                f"| {n:,}, {d}, {k} | {row['family']} | {row['ms']:.2f} | {gmmx} | {row['floor_ms']:.2f} "
                f"| {row['bandwidth']:.0%} | {row['matrix_rate']:.0%} | {row['energy_error']:.0e} |"
            )
        lines.append("")
    if row := results.get("batch"):
        n_tables, n, d, k = row["shape"]
        lines.append(
            f"- {n_tables:,} tables of {n}×{d}, K={k}, 20 iterations: **{row['us']:.1f} µs a model**, "
            f"first call {row['first_call_s']:.1f} s, {row['sound']:.1%} sound."
        )
    if row := results.get("dagmm"):
        lines.append(f"- DAGMM: {', '.join(f'{k} {v:.3g}' for k, v in row.items())}.")
    if row := results.get("first"):
        seconds = ", ".join(f"{kind} {value:.1f} s" for kind, value in row.items())
        lines.append(f"- First fit of 1,000×4, K=3: {seconds}.")
    if row := results.get("precision"):
        lines.append(f"- Tests of precision: {row['summary'].strip('= ')}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["first", "em", "batch", "dagmm", "precision"]
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    parser.add_argument("--smoke", action="store_true", help="small shapes of EM alone")
    parser.add_argument("--workers", type=int, default=8, help="processes that run the tests")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    results: dict[str, Any] = {
        "device": jax.devices()[0].device_kind, "jax": jax.__version__, "mixjax": mixjax.__version__,
        "ceilings": ceilings(args.smoke), "em": [],
    }  # fmt: skip
    works: dict[str, Callable[[], None]] = {
        "first": lambda: results.update(first=first_calls()),
        "batch": lambda: results.update(batch=many_fits(args.smoke)),
        "dagmm": lambda: results.update(dagmm=dagmm.step_times(10 if args.smoke else 100, 5)),
        "precision": lambda: results.update(precision=precision(args.workers)),
    }
    for kind, *shape in SMOKE_SHAPES if args.smoke else SHAPES:
        works[f"em {kind} {shape}"] = lambda kind=kind, shape=shape: results["em"].append(
            iteration(kind, tuple(shape), results["ceilings"])
        )
    failed = []
    # Work that fails is named at the end; on a machine lent for minutes the rest must go on.
    for name in sorted(works, key=lambda name: parts.index(name.split()[0])):
        if name.split()[0] not in args.only or (args.smoke and name in ALONE):
            continue
        begin = time.perf_counter()
        try:
            works[name]()
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
        if args.json:
            write_text(args.json, json.dumps(results, indent=2))
    print(table_of(results))
    if failed or not results.get("precision", {}).get("passed", True):
        sys.exit(f"failed: {', '.join(failed) or 'tests of precision'}")


if __name__ == "__main__":
    main()
