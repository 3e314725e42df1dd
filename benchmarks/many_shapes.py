"""A loop over tables of ever new shapes, in one process: what it holds as it goes on.

Every shape is a program of some hundred memory maps, of which Linux allows a process 65,530.

    python benchmarks/many_shapes.py           # 500 tables, 60 detectors, 20 optimizers
    python benchmarks/many_shapes.py --smoke   # 12 tables
"""

import argparse
import resource
import time
from pathlib import Path

import jax
import numpy as np
import optax

import mixjax

MOST_MAPS, MOST_MEGABYTES = 40_000, 2_000


def table(i):
    """The i-th table: no two have as many rows."""
    rng = np.random.default_rng(i)
    centers = 5 * rng.normal(size=(3, 2 + i % 4))
    return (
        centers[rng.integers(3, size=100 + 3 * i)] + rng.normal(size=(100 + 3 * i, 2 + i % 4))
    ).astype("float32")


def megabytes():
    """What the process holds now, and the most that it ever held."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20, most


def report(i, counts, began):
    now, most = megabytes()
    print(
        f"{i:6d} {counts['detectors']:9d} {counts['optimizers']:10d} "
        f"{mixjax.programs.n_kept():8d} {mixjax.programs.n_maps():7d} {now:6.0f} {most:6.0f} "
        f"{time.perf_counter() - began:7.0f}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="12 tables, in a minute")
    smoke = parser.parse_args().smoke
    n_tables, n_detectors, n_optimizers = (12, 1, 2) if smoke else (500, 60, 20)
    if smoke:
        mixjax.programs.keep(12)
    key, began = jax.random.key(0), time.perf_counter()
    counts = {"detectors": 0, "optimizers": 0}
    print("tables detectors optimizers programs    maps     MB   peak seconds")
    for i in range(n_tables):
        x = table(i)
        fit = mixjax.fit(key, x, 1 + i % 3)
        energy = mixjax.energy(fit.mixture, x).mean()
        np.testing.assert_allclose(energy, fit.energy, rtol=1e-4)
        if i == 0:
            first = fit.energy
        if (i + 1) * n_detectors // n_tables > counts["detectors"]:
            options = {"n_components": [1, 2], "families": [mixjax.Gaussian]} if smoke else {}
            detector = mixjax.detect.fit(key, x, **options)
            assert not np.asarray(detector.predict(x)).all()
            counts["detectors"] += 1
        if (i + 1) * n_optimizers // n_tables > counts["optimizers"]:
            adam = mixjax.Gradient(optax.adam(1e-2))
            mixjax.fit_from(fit.mixture, x, solver=adam, max_iter=10)
            counts["optimizers"] += 1
        if (i + 1) % (n_tables // 12) == 0:
            report(i + 1, counts, began)
    again = mixjax.fit(key, table(0), 1).energy
    np.testing.assert_array_equal(again, first)
    assert mixjax.programs.n_maps() < MOST_MAPS, "too many memory maps"
    assert megabytes()[1] < MOST_MEGABYTES, "too much memory"


if __name__ == "__main__":
    main()
