"""Thousands of fits: each lane is the fit of its table, whatever stands beside it."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FAMILIES
from problems import clusters

import mixjax
from mixjax.batching.table_set import padded_length

KEY = jax.random.key(5)


def lane_key(i):
    return jax.random.fold_in(KEY, i)


def tables(rng, n_tables, n, d, k=2, dtype="float32"):
    return np.stack([clusters(rng, n, d, k, dtype=dtype) for _ in range(n_tables)])


def assert_same_bits(a, b):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def assert_same_fit(a, b):
    """The same to rounding, of which EM makes more than it gets."""
    np.testing.assert_allclose(a.energy, b.energy, atol=1e-4)
    assert int(a.status) == int(b.status)
    for left, right in zip(jax.tree.leaves(a.mixture), jax.tree.leaves(b.mixture), strict=True):
        np.testing.assert_allclose(left, right, atol=5e-3, rtol=5e-3)


def test_a_lane_is_the_fit_of_its_table(family):
    options = {"family": family, "tol": 0.0, "max_iter": 5}
    for seed in range(3):
        xs = tables(np.random.default_rng(seed), 5, 70, 2)
        fits = mixjax.fit_batch(KEY, xs, 2, **options)
        assert len(fits) == 5
        for i, x in enumerate(xs):
            assert_same_fit(fits[i], mixjax.fit(lane_key(i), x, 2, **options))


def test_float64_stays_float64(float64):
    xs = tables(np.random.default_rng(0), 3, 60, 2, dtype="float64")
    fits = mixjax.fit_batch(KEY, xs, 2)
    assert fits.energy.dtype == float64
    assert_same_fit(fits[2], mixjax.fit(lane_key(2), xs[2], 2))


def test_the_result_does_not_depend_on_neighbors_or_their_number():
    xs = tables(np.random.default_rng(1), 80, 40, 2)
    options = {"tol": 1e-5, "max_iter": 200}
    all_ = mixjax.fit_batch(KEY, xs, 2, **options)
    assert len(np.unique(np.asarray(all_.n_iter))) > 5  # they do not end together
    for n in (1, 33):
        assert_same_bits(mixjax.fit_batch(KEY, xs[:n], 2, **options), all_[:n])
    spoilt = xs.copy()
    spoilt[3, 5, 1] = np.nan
    spoilt[40] = 7.0
    weights = np.ones((80, 40), "float32")
    weights[50] = 0
    again = mixjax.fit_batch(KEY, spoilt, 2, weights=weights, **options)
    others = np.setdiff1d(np.arange(80), [3, 40, 50])
    assert_same_bits(again[others], all_[others])
    assert int(again.status[3]) == mixjax.Status.NONFINITE
    assert int(again.status[50]) == mixjax.Status.TOO_FEW_ROWS
    assert np.isfinite(again.mixture.weights).all()
    with pytest.raises(mixjax.FitError, match="lanes 3"):
        mixjax.check(again)


def test_slow_lanes_end_as_they_would_alone(float64):
    """In double: in single, rounding decides after which iteration so small a tolerance is met."""
    rng = np.random.default_rng(2)
    xs = tables(rng, 70, 60, 2, k=2, dtype=float64)
    xs[[5, 37]] = rng.normal(size=(2, 60, 2))  # one cluster where two are asked for
    options = {"tol": 1e-7, "max_iter": 400}
    fits = mixjax.fit_batch(KEY, xs, 2, batch_size=32, **options)
    n_iter = np.asarray(fits.n_iter)
    assert n_iter.max() > 4 * np.median(n_iter)
    for i in (0, 5, 37, 69):
        alone = mixjax.fit(lane_key(i), xs[i], 2, **options)
        assert int(fits[i].n_iter) == int(alone.n_iter)
        assert_same_fit(fits[i], alone)


@pytest.mark.parametrize("kind", FAMILIES[:1] + FAMILIES[4:5], ids=lambda f: f.__name__)
def test_tables_of_any_length(kind):
    rng = np.random.default_rng(3)
    lengths = [25, 3, 0, 26, 1]
    xs = [clusters(rng, max(n, 1), 2, 2, dtype="float32")[:n] for n in lengths]
    options = {"family": kind, "tol": 0.0, "max_iter": 4}
    fits = mixjax.fit_batch(KEY, xs, 2, **options)
    few = mixjax.Status.TOO_FEW_ROWS
    assert [i for i, status in enumerate(fits.status) if status == few] == [2, 4]
    for i in (0, 1):
        assert_same_fit(fits[i], mixjax.fit(lane_key(i), xs[i], 2, **options))
    # Where a table stands next to others of other lengths, it is padded all the same.
    assert_same_bits(mixjax.fit_batch(KEY, xs[:2], 2, **options), fits[:2])
    with pytest.raises(mixjax.FitError, match=r"TOO_FEW_ROWS: 2 of 5 fits \(lanes 2, 4\)"):
        mixjax.check(fits)


def test_padding_wastes_little():
    for n in range(1, 5000):
        padded = padded_length(n)
        assert n <= padded <= max(8, 1.25 * n + 1)
        assert padded_length(padded) == padded
    assert len({padded_length(n) for n in range(1, 2**16)}) <= 4 * 14


def test_restarts_keep_the_best_of_each_table():
    xs = tables(np.random.default_rng(4), 6, 50, 2, k=4)
    start = mixjax.random_responsibilities
    fits = mixjax.fit_batch(KEY, xs, 3, start=start, n_init=4, max_iter=20)
    once = mixjax.fit_batch(KEY, xs, 3, start=start, max_iter=20)
    assert np.asarray(fits.energy).mean() < np.asarray(once.energy).mean()
    for i in range(3):
        alone = mixjax.fit(lane_key(i), xs[i], 3, start=start, n_init=4, max_iter=20)
        np.testing.assert_allclose(fits[i].energy, alone.energy, atol=2e-3)


def test_a_gradient_solver_fits_in_batches_too(float64):
    """Adam divides by the gradient's own size: in float32 rounding would grow with each step."""
    import optax

    xs = tables(np.random.default_rng(5), 3, 60, 2, dtype="float64")
    solver = mixjax.Gradient(optax.adam(1e-2))
    fits = mixjax.fit_batch(KEY, xs, 2, solver=solver, max_iter=10)
    alone = mixjax.fit(lane_key(1), xs[1], 2, solver=solver, max_iter=10)
    np.testing.assert_allclose(fits[1].energy, alone.energy, atol=1e-8)
    means = fits[1].mixture.components.means
    np.testing.assert_allclose(means, alone.mixture.components.means, atol=1e-6)


def test_groups_are_the_tables_of_their_rows():
    rng = np.random.default_rng(6)
    x = clusters(rng, 200, 2, 2, dtype="float32")
    groups = rng.choice(["pump", "valve", "fan"], 200, p=[0.6, 0.3, 0.1])
    weights = rng.uniform(0.5, 2, 200)
    names, fits = mixjax.fit_groups(KEY, x, groups, 2, weights=weights, tol=0.0, max_iter=4)
    assert names.tolist() == ["fan", "pump", "valve"]
    own = [x[groups == name] for name in names]
    by_hand = mixjax.fit_batch(
        KEY, own, 2, weights=[weights[groups == name] for name in names], tol=0.0, max_iter=4
    )
    assert_same_bits(fits, by_hand)


def test_many_energies_and_responsibilities():
    rng = np.random.default_rng(7)
    xs = tables(rng, 35, 30, 2)
    fits = mixjax.fit_batch(KEY, xs, 2, max_iter=3)
    energies = mixjax.energy_batch(fits.mixture, xs)
    resp = mixjax.responsibilities_batch(fits.mixture, xs)
    np.testing.assert_allclose(resp.sum(-1), 1, atol=1e-5)
    for i in (0, 34):
        alone = mixjax.energy(fits[i].mixture, xs[i])
        np.testing.assert_allclose(energies[i], alone, rtol=1e-5, atol=1e-6)  # some are near 0
    ragged = [x[: 5 + i % 3] for i, x in enumerate(xs)]
    several = mixjax.energy_batch(fits.mixture, ragged)
    assert [len(e) for e in several] == [len(x) for x in ragged]
    for own, all_, x in zip(several, energies, ragged, strict=True):
        np.testing.assert_allclose(own, all_[: len(x)], rtol=1e-5, atol=1e-6)


def test_one_of_many():
    fits = mixjax.fit_batch(KEY, tables(np.random.default_rng(8), 3, 30, 2), 2, max_iter=2)
    assert fits[-1].mixture.components.means.shape == (2, 2)
    assert len(fits[1:]) == 2
    assert [fit.energy.shape for fit in fits] == [()] * 3
    with pytest.raises(IndexError, match="3 fits"):
        fits[3]
    with pytest.raises(TypeError, match="single fit"):
        len(fits[0])
    assert fits[0]


def test_the_bar_counts_the_fits(capsys):
    xs = tables(np.random.default_rng(9), 3, 30, 2)
    mixjax.fit_batch(KEY, xs, 2, max_iter=2, n_init=2, progress=True)
    assert "6 of 6" in capsys.readouterr().err


def test_the_number_of_devices_does_not_matter(tmp_path):
    """A process with four simulated devices and one with one give the same bits."""
    program = textwrap.dedent("""
        import sys, jax, numpy as np, mixjax
        assert len(jax.local_devices()) == int(sys.argv[2])
        rng = np.random.default_rng(0)
        xs = (rng.normal(size=(150, 30, 2)) + 4 * rng.integers(0, 2, (150, 30, 1))).astype("f4")
        fits = mixjax.fit_batch(jax.random.key(0), xs, 2, tol=1e-5)
        np.savez(sys.argv[1], *[np.asarray(leaf) for leaf in jax.tree.leaves(fits)])
    """)
    saved = []
    for n in (1, 4):
        flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={n}"
        path = tmp_path / f"{n}.npz"
        command = [sys.executable, "-c", program, str(path), str(n)]
        subprocess.run(command, check=True, env={**os.environ, "XLA_FLAGS": flags}, timeout=300)
        saved.append(np.load(path))
    for name in saved[0].files:
        np.testing.assert_array_equal(saved[0][name], saved[1][name])


def test_bad_input_is_named():
    xs = tables(np.random.default_rng(10), 3, 30, 2)
    ragged = [xs[0], xs[1][:, :1], xs[2]]

    def refused(error, match, *args, **kwargs):
        with pytest.raises(error, match=match):
            mixjax.fit_batch(KEY, *args, **kwargs)

    refused(ValueError, r"xs\[1\] has 1 columns, but xs\[0\] has 2", ragged, 2)
    refused(ValueError, r"shape \(tables, rows, columns\).*xs\[None\]", xs[0], 2)
    refused(ValueError, "at least one table", [], 2)
    refused(TypeError, r"xs\[1\] must hold float32 or float64", [xs[0], xs[1].astype("f2")], 2)
    refused(TypeError, "an array .* or a list", (x for x in xs), 2)
    refused(ValueError, "between 1 and the number of rows", xs, 31)
    refused(ValueError, r"weights must have shape \(3, 30\)", xs, 2, weights=np.ones((3, 29)))
    refused(ValueError, "3 tables, but 2 weights", list(xs), 2, weights=[np.ones(30)] * 2)
    refused(ValueError, r"weights\[1\] must have shape", list(xs), 2,
            weights=[np.ones(30), np.ones(29), np.ones(30)])  # fmt: skip
    refused(ValueError, "must not be negative", xs, 2, weights=-np.ones((3, 30)))
    refused(ValueError, "batch_size must be at least 1", xs, 2, batch_size=0)
    with pytest.raises(TypeError, match=r"not under jit or vmap.*jax.vmap\(mixjax.fit\)"):
        jax.jit(lambda x: mixjax.fit_batch(KEY, x, 2))(jnp.asarray(xs))
    with pytest.raises(ValueError, match="one for each row"):
        mixjax.fit_groups(KEY, xs[0], np.zeros(29), 2)
    fits = mixjax.fit_batch(KEY, xs, 2, max_iter=1)
    with pytest.raises(ValueError, match="3 mixtures, but 2 tables"):
        mixjax.energy_batch(fits.mixture, xs[:2])
    with pytest.raises(ValueError, match="one leading axis"):
        mixjax.energy_batch(fits[0].mixture, xs)


def test_a_start_of_the_user(rng):
    """It sees each table as it was given."""

    def by_first_column(key, x, n_components, weights):
        return jax.nn.one_hot((x[:, 0] > 1000).astype(int), n_components)

    xs = [
        np.concatenate([rng.normal(size=(20, 2)), rng.normal(6, 1, (20 + i, 2))]) for i in range(3)
    ]
    xs = [(x + np.array([997, 0])).astype("float32") for x in xs]
    fits = mixjax.fit_batch(jax.random.key(0), xs, 2, start=by_first_column)
    for i, x in enumerate(xs):
        alone = mixjax.fit(jax.random.key(1), x, 2, start=by_first_column)
        np.testing.assert_allclose(fits[i].energy, alone.energy, rtol=1e-4)
