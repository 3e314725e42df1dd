"""Long work is resumed where it was stopped, and ends as if it had not been."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import mixjax
from mixjax import detect

KEY = jax.random.key(0)
OPTIONS = {"families": [mixjax.DiagonalGaussian], "n_components": [1, 2], "tol": 1e-4}


def tables(rng, n=60):
    return [rng.normal(size=(20 + i % 7, 2)).astype("float32") for i in range(n)]


def assert_same(a, b):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


class StoppedError(Exception):
    """What stops the work, instead of a person."""


def stopping(method, after):
    """The method, which stops the work after so many calls."""
    calls = []

    def stopped(*arguments):
        method(*arguments)
        calls.append(arguments)
        if len(calls) >= after:
            raise StoppedError

    return stopped, calls


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_batch_goes_on_where_it_was_stopped(n_init, rng, tmp_path, monkeypatch):
    from mixjax.batching.queue import Queue

    xs, path = tables(rng), tmp_path / "fits.npz"
    options = {"n_init": n_init, "batch_size": 16}
    whole = mixjax.fit_batch(KEY, xs, 2, **options)
    put = Queue.put
    with monkeypatch.context() as patch:
        patch.setattr(Queue, "put", stopping(put, 2)[0])
        with pytest.raises(StoppedError):
            mixjax.fit_batch(KEY, xs, 2, checkpoint=path, **options)
    fitted = []
    monkeypatch.setattr(Queue, "put", lambda *a: (put(*a), fitted.extend(a[1].tolist())))
    resumed = mixjax.fit_batch(KEY, xs, 2, checkpoint=path, **options)
    assert 0 < len(fitted) < n_init * len(xs)
    assert_same(resumed, whole)
    n_before = len(fitted)
    assert_same(mixjax.fit_batch(KEY, xs, 2, checkpoint=path, **options), whole)
    assert len(fitted) == n_before  # nothing is left to fit
    for others, key, more in (
        (xs[1:], KEY, {}),
        (xs, jax.random.key(1), {}),
        (xs, KEY, {"tol": 1}),
    ):
        with pytest.raises(ValueError, match="checkpoint of another batch"):
            mixjax.fit_batch(key, others, 2, checkpoint=path, **options, **more)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a whole mixjax batch file"):
        mixjax.fit_batch(KEY, xs, 2, checkpoint=path, **options)


def test_groups_and_tables_with_holes_are_resumed_too(rng, tmp_path):
    x = rng.normal(size=(200, 2)).astype("float32")
    x[rng.random(x.shape) < 0.2] = np.nan
    groups = rng.integers(0, 5, 200)
    rows, path = mixjax.Observed(x), tmp_path / "fits.npz"
    _, whole = mixjax.fit_groups(KEY, rows, groups, 1, checkpoint=path)
    _, again = mixjax.fit_groups(KEY, rows, groups, 1, checkpoint=path)
    assert_same(again, whole)
    with pytest.raises(ValueError, match="checkpoint of another batch"):
        mixjax.fit_groups(KEY, mixjax.Observed(x, np.ones(2)), groups, 1, checkpoint=path)


BATCH = """
import jax, numpy as np, sys, mixjax
rng = np.random.default_rng(0)
xs = [rng.normal(size=(400, 3)).astype("float32") for _ in range(1500)]
fits = mixjax.fit_batch(jax.random.key(0), xs, 8, tol=0.0, max_iter=40, batch_size=64,
                        checkpoint=sys.argv[1], checkpoint_seconds=0.0)
np.save(sys.argv[2], fits.energy)
"""


def test_a_killed_process_loses_nothing(tmp_path):
    """The process is killed as soon as a first checkpoint is there, and started again."""
    path, result = tmp_path / "fits.npz", tmp_path / "energy.npy"
    command = [sys.executable, "-c", BATCH, str(path), str(result)]
    process = subprocess.Popen(command)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not result.exists()
    with np.load(path) as archive:
        n_before = int(archive["finished"].sum())
        energies = archive[".energy"][archive["finished"]]
    assert 0 < n_before < 1500
    subprocess.run(command, check=True, timeout=300)
    with np.load(path) as archive:
        assert archive["finished"].all()
    found = np.load(result)
    assert np.isin(energies, found).all()
    assert np.isfinite(found).all()
    assert not [name for name in os.listdir(tmp_path) if "tmp" in name]


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "holes"])
def test_a_detector_is_learned_on_where_it_was_stopped(holes, rng, tmp_path, monkeypatch):
    from mixjax.selection.journal import Journal

    x = rng.normal(size=(120, 2)).astype("float32")
    x[:, 1] = np.round(np.abs(x[:, 1]))
    if holes:
        x[rng.random(x.shape) < 0.1] = np.nan
    rows = mixjax.Observed(x) if holes else x
    path = tmp_path / "search.npz"
    options = {**OPTIONS, "contamination": 0.05, "kinds": "auto"}
    whole = detect.fit(KEY, rows, **options)
    add = Journal.add
    for after in (3, 9):
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "add", stopping(add, after)[0])
            with pytest.raises(StoppedError):
                detect.fit(KEY, rows, checkpoint=path, **options)
    added = []
    monkeypatch.setattr(Journal, "add", lambda *a: (add(*a), added.append(a[1])))
    resumed = detect.fit(KEY, rows, checkpoint=path, **options)
    assert added
    assert not [name for name in added if name.startswith("comparing 0 0/")]
    assert_same(resumed, whole)
    assert_same(detect.fit(KEY, rows, checkpoint=path, **options), whole)
    for other, more in (
        (rows, {"max_iter": 7}),
        (x[1:] if not holes else mixjax.Observed(x[1:]), {}),
    ):
        with pytest.raises(ValueError, match="checkpoint of another search"):
            detect.fit(KEY, other, checkpoint=path, **options, **more)
