"""Whether two versions of mixjax give the same results, on ten tables, by the public names alone.

python benchmarks/same_results.py before.npz                       # with the old version
python benchmarks/same_results.py after.npz --against before.npz   # with the new one
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import mixjax
from mixjax import dagmm

KEY = jax.random.key(0)
FAMILIES = ("Gaussian", "TiedGaussian", "DiagonalGaussian", "SphericalGaussian", "Laplace")
# Two results are equal to rounding where they differ by no more than this share.
ROUNDING = 1e-4


def tables():
    """Ten tables of one shape: apart, overlapping, heavy tails, units, offsets, copies."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        centers = rng.normal(size=(4, 5)) * (1, 2, 4)[seed % 3]
        labels = rng.integers(4, size=600)
        noise = rng.standard_t(3, (600, 5)) if seed % 4 == 3 else rng.normal(size=(600, 5))
        x = centers[labels] + noise
        if seed == 5:
            x *= [1e-6, 1, 1e3, 1, 1e6]
        if seed == 6:
            x += 1e6
        if seed == 7:
            x = np.round(x)
        if seed == 8:
            x[:, 2] = 7.0
        yield seed, x.astype("float32"), rng.integers(0, 3, 600).astype("float32")


def results():
    """Every result by its name."""
    for seed, x, weights in tables():
        for name in FAMILIES:
            fit = mixjax.fit(KEY, x, 4, family=getattr(mixjax, name), weights=weights)
            yield f"fit {name} {seed}", fit
        yield f"energy {seed}", mixjax.energy(fit.mixture, x)
        yield f"surprisal {seed}", mixjax.surprisal(fit.mixture, x[:50])
        solver = mixjax.EM(reg_covar=jnp.float32(1e-3))
        yield f"fit_from {seed}", mixjax.fit_from(fit.mixture, x, solver=solver, tol=0.0)
        yield f"fit_stream {seed}", mixjax.fit_stream(KEY, lambda x=x: np.array_split(x, 4), 4)
        yield f"starts {seed}", mixjax.kmeans(KEY, x, 4)
    every = [x for _, x, _ in tables()]
    yield "fit_batch", mixjax.fit_batch(KEY, every, 3, n_init=2)
    for seed in (0, 3, 7):
        selection = mixjax.select(KEY, every[seed], n_components=[1, 2, 4])
        yield f"select {seed}", (selection.fit, selection.scores)
        detector = mixjax.detect.fit(KEY, every[seed][:400], n_components=[1, 2, 4])
        yield f"detect {seed}", detector.judge(every[seed][400:])
        model = dagmm.DAGMM(KEY, 5)
        trained = dagmm.train(KEY, model, every[seed], epochs=3, batch_size=128, progress=False)
        yield f"dagmm {seed}", dagmm.score(trained, every[seed])
    for covariance_type in ("full", "tied", "diag", "spherical"):
        estimator = mixjax.sklearn.GaussianMixture(
            4, covariance_type=covariance_type, random_state=0
        )
        estimator.fit(every[0])
        yield f"sklearn {covariance_type}", (estimator.means_, estimator.lower_bound_)


def arrays():
    found = {}
    for name, tree in results():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            found[name + jax.tree_util.keystr(path)] = np.asarray(leaf)
        print(".", end="", flush=True)
    print()
    return found


def compared(new, old):
    """How many arrays are equal bit by bit, equal to rounding, and different."""
    same, close, other = 0, 0, []
    for name in sorted(new.keys() | old.keys()):
        if name not in new or name not in old or new[name].shape != old[name].shape:
            other.append(name)
            continue
        a, b = new[name].astype(float), old[name].astype(float)
        if np.array_equal(a, b, equal_nan=True):
            same += 1
            continue
        size = np.nanmax(np.abs(b)) or 1.0
        if np.array_equal(np.isnan(a), np.isnan(b)) and np.nanmax(np.abs(a - b)) <= ROUNDING * size:
            close += 1
        else:
            other.append(name)
    return same, close, other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    new = arrays()
    np.savez(options.out, **new)
    if options.against:
        same, close, other = compared(new, dict(np.load(options.against)))
        print(f"{same} equal, {close} equal to rounding, {len(other)} different", *other, sep="\n")
        raise SystemExit(bool(other))


if __name__ == "__main__":
    main()
