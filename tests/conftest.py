"""The tables that the tests are crossed over: families, dtypes and seeds."""

import itertools
import os
from pathlib import Path

import haste

# To be set before JAX is imported.
os.environ["USERS_XLA_FLAGS"] = os.environ.get("USERS_XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
os.environ["XLA_FLAGS"] = f"{os.environ['USERS_XLA_FLAGS']} {haste.FLAGS}"
# What one worker has compiled, or an earlier run, the others and their subprocesses read.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import counting
import jax
import numpy as np
import pytest

import mixjax

# No silent promotion of ranks or dtypes anywhere in the package, on no thread.
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Linux only; where it is not, nothing limits them so tightly.
MEMORY_MAPS = Path("/proc/self/maps" if Path("/proc/self/maps").exists() else os.devnull)
FAMILIES = [
    mixjax.Gaussian,
    mixjax.TiedGaussian,
    mixjax.DiagonalGaussian,
    mixjax.SphericalGaussian,
    mixjax.Laplace,
    mixjax.MeanLaplace,
]
# MeanLaplace is no maximum-likelihood family: its M-step may raise the energy.
MONOTONE = [family for family in FAMILIES if family is not mixjax.MeanLaplace]


_tests_run = itertools.count(1)
_tally = counting.Tally()


def pytest_configure(config):
    counting.count()


@pytest.fixture(autouse=True)
def counted(request):
    """Tells the process that collects the reports how many programs a test compiled."""
    before = counting.n_compiled
    yield
    request.node.user_properties.append(("programs", counting.n_compiled - before))


def pytest_runtest_logreport(report):
    n = dict(report.user_properties).get("programs")
    if report.when == "teardown" and n is not None:
        _tally.add(report.location[0], n)


def pytest_sessionfinish(session):
    # Under xdist the reports of all workers come together in the process that started them.
    if not hasattr(session.config, "workerinput") and _tally.too_many():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for line in _tally.too_many():
        terminalreporter.write_line(f"too many programs compiled: {line}", red=True)


@pytest.fixture(autouse=True)
def few_programs():
    """Every compiled program holds memory maps, of which a process may have 65,530."""
    yield
    if next(_tests_run) % 20 == 0 and MEMORY_MAPS.read_text().count("\n") > 30_000:
        jax.clear_caches()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield np.dtype("float64")


@pytest.fixture(params=FAMILIES, ids=lambda family: family.__name__)
def family(request):
    return request.param


@pytest.fixture(params=[0, 1])
def seed(request):
    return request.param


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)
