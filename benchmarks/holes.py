"""Tables with holes: what an iteration costs, and how well missing values are filled.

    python benchmarks/holes.py                # all of it, about two minutes
    python benchmarks/holes.py --smoke        # small shapes

An iteration with a fifth of the values missing is compared with one on the complete table, from the
same mixture, in one process. Iris with 30 % of its cells removed is imputed beside scikit-learn's
imputers, on ten seeds.
"""

import argparse
import json
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.datasets import load_iris
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.metrics import adjusted_rand_score

import mixjax
from mixjax.files import check_outputs, write_text

KEY = jax.random.key(0)
SHAPES = [(100_000, 4, 8), (100_000, 8, 8), (20_000, 16, 8)]


def with_holes(x: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The rows with this share of their values missing."""
    gone = np.random.default_rng(seed).random(x.shape) < share
    return np.where(gone, np.nan, x).astype(x.dtype)


def iteration(begin: mixjax.Mixture, rows: Any, repeats: int) -> float:
    """Seconds of an iteration: the difference between eight and two of them."""

    def run(n: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(mixjax.fit_from(begin, rows, tol=0.0, max_iter=n))
        return time.perf_counter() - start

    run(1)
    two, eight = (min(run(n) for _ in range(repeats)) for n in (2, 8))
    return (eight - two) / 6


def speed(shapes: list[tuple[int, int, int]], repeats: int) -> list[dict[str, Any]]:
    """Iterations on complete tables and on ones with holes."""
    found = []
    for n, d, k in shapes:
        rng = np.random.default_rng(0)
        centers = 3 * rng.normal(size=(k, d))
        x = (centers[rng.integers(k, size=n)] + rng.normal(size=(n, d))).astype(np.float32)
        begin = mixjax.fit(KEY, x, k, max_iter=3).mixture
        rows = mixjax.Observed(with_holes(x, 0.2, 0))
        whole, part = (iteration(begin, table, repeats) for table in (x, rows))
        found.append({"rows": n, "columns": d, "components": k, "complete": whole, "holes": part})
        print(
            f"{n:,} x {d}, K = {k}: complete {1e3 * whole:.1f} ms, holes {1e3 * part:.1f} ms, "
            f"{part / whole:.1f} times",
            flush=True,
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return found


def many(n_tables: int) -> dict[str, float]:
    """Microseconds a model for many small tables, complete and with holes."""
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(n_tables, 200, 2)).astype(np.float32)
    xs[:, 100:] += 4
    found = {}
    for name, tables in (("complete", xs), ("holes", mixjax.Observed(with_holes(xs, 0.2, 0)))):
        mixjax.fit_batch(KEY, tables, 2)
        begin = time.perf_counter()
        mixjax.fit_batch(KEY, tables, 2)
        found[name] = 1e6 * (time.perf_counter() - begin) / n_tables
    print(
        f"{n_tables:,} tables of 200 x 2: " + ", ".join(f"{k} {v:.0f} us" for k, v in found.items())
    )
    return found


def imputation(seeds: int) -> dict[str, float]:
    """Errors in standard deviations, and adjusted Rand indices of the three irises."""
    x, kinds = load_iris(return_X_y=True)
    x = x.astype(np.float32)
    rows = []
    for seed in range(seeds):
        holes = with_holes(x, 0.3, seed)
        gone, key = np.isnan(holes), jax.random.key(seed)

        def error(filled: np.ndarray, gone: np.ndarray = gone) -> float:
            return float(np.sqrt(np.square(((filled - x) / x.std(axis=0))[gone]).mean()))

        def agreement(mixture: mixjax.Mixture, table: Any) -> float:
            found = np.asarray(mixjax.responsibilities(mixture, table)).argmax(axis=1)
            return float(adjusted_rand_score(kinds, found))

        known = mixjax.Observed(holes)
        whole = mixjax.fit(key, x, 3, n_init=5).mixture
        part = mixjax.fit(key, known, 3, n_init=5).mixture
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chained = IterativeImputer(random_state=seed, max_iter=30).fit_transform(holes)
        rows.append(
            {
                "error, mixjax.impute": error(np.asarray(mixjax.impute(part, known))),
                "error, IterativeImputer": error(chained),
                "error, KNNImputer": error(KNNImputer().fit_transform(holes)),
                "Rand, complete fit and rows": agreement(whole, x),
                "Rand, fit with holes, complete rows": agreement(part, x),
                "Rand, fit with holes, rows with holes": agreement(part, known),
                "Rand, complete fit, rows with holes": agreement(whole, known),
            }
        )
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    for name, value in found.items():
        print(f"{name}: {value:.3f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true", help="small shapes, one seed")
    options = parser.parse_args()
    check_outputs({"--json": options.json})
    shapes = [(2_000, 5, 2)] if options.smoke else SHAPES
    found = {
        "iteration": speed(shapes, 1 if options.smoke else 3),
        "many": many(20 if options.smoke else 2_000),
        "imputation": imputation(1 if options.smoke else 10),
    }
    if options.json:
        write_text(options.json, json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
