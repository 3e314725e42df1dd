"""`mixjax.sklearn.GaussianMixture` in the place of scikit-learn's: whole fits, defaults, same seed.

    python benchmarks/estimator.py            # some minutes
    python benchmarks/estimator.py --smoke

Both start from scikit-learn's k-means and take the same steps, in turn in one process; quoted are
medians, their ratio, the first call of mixjax (which compiles), and how far the log-likelihoods are
apart.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer

from mixjax.sklearn import GaussianMixture

SHAPES = [(1000, 4, 4), (10_000, 8, 8), (100_000, 2, 8), (100_000, 8, 16), (50_000, 32, 16)]


def table(n: int, d: int, k: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return spread * rng.normal(size=(k, d))[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def measure(x: np.ndarray, k: int, repeats: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    bounds, iterations = {}, 0
    for _ in range(repeats + 1):
        for name, estimator in (("ours", GaussianMixture), ("theirs", Peer)):
            begin = time.perf_counter()
            fitted = estimator(k, random_state=0).fit(x)
            seconds[name].append(time.perf_counter() - begin)
            bounds[name], iterations = fitted.lower_bound_, fitted.n_iter_
    ours, theirs = (float(np.median(seconds[name][1:])) for name in ("ours", "theirs"))
    apart = abs(bounds["ours"] - bounds["theirs"])
    return {"ours": ours, "theirs": theirs, "first": seconds["ours"][0], "apart": apart,
            "iterations": iterations}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="one small table")
    options = parser.parse_args()
    shapes = [(500, 3, 3)] if options.smoke else SHAPES
    print(
        "| N, D, K | spread | dtype | iterations | mixjax, s | scikit-learn, s | × | "
        "first call, s | Δ log-likelihood |"
    )
    print("| --- " * 9 + "|")
    warnings.simplefilter("ignore", ConvergenceWarning)
    for n, d, k in shapes:
        for spread in (3.0, 1.0):
            for dtype in (np.float32, np.float64):
                row = measure(table(n, d, k, spread).astype(dtype), k, options.repeats)
                print(
                    f"| {n:,}, {d}, {k} | {spread:g} | {np.dtype(dtype).name} | "
                    f"{row['iterations']} | {row['ours']:.3g} | {row['theirs']:.3g} | "
                    f"{row['theirs'] / row['ours']:.1f} | {row['first']:.2g} | "
                    f"{row['apart']:.0e} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
