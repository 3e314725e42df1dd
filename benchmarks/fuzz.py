"""Tables over the whole range of floats, fitted for so many minutes: what does not hold is counted.

python benchmarks/fuzz.py --minutes 10
"""

import argparse
import collections
import os
import sys
import time
from pathlib import Path

# A few programs are run thousands of times on tiny tables: half of the time would be compiling.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import numpy as np

import mixjax

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import fuzzing

FAMILIES = (
    mixjax.Gaussian, mixjax.TiedGaussian, mixjax.DiagonalGaussian, mixjax.SphericalGaussian,
    mixjax.Laplace, mixjax.MeanLaplace,
)  # fmt: skip
FITS_A_CASE = 3  # as it is, with other rows of weight zero, and in other units


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, for a test")
    options = parser.parse_args()
    seconds = 20.0 if options.smoke else 60 * options.minutes
    rng = np.random.default_rng(options.seed)
    cases: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        dtype = "float64" if rng.random() < 0.3 else "float32"
        with jax.enable_x64(dtype == "float64"):
            case = fuzzing.drawn(rng, dtype)
            for family in FAMILIES:
                cases[f"{family.__name__}, {dtype}"] += 1
                failures += fuzzing.failures(family, case)
    for name, n in sorted(cases.items()):
        print(f"{name:<28} {FITS_A_CASE * n:>7,} fits")
    print(f"{'in all':<28} {FITS_A_CASE * cases.total():>7,} fits, {len(failures)} failures")
    for text in failures[:20]:
        print(text)
    return min(1, len(failures))


if __name__ == "__main__":
    sys.exit(main())
