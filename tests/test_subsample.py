"""Samples of rows: even over the table, and of no phase that rows in turn could share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from mixjax.fitting.lloyd import SAMPLE, part_of
from mixjax.rows.blocks import Table
from mixjax.rows.sharded import gathered
from mixjax.rows.subsample import offsets, places, places_by_mass

PERIODS = (2, 10, 64, 1000)


def assert_as_if_shuffled(place, n_rows):
    """Each tenth of the table as often as another; each sensor, but for chance, as well."""
    place = np.asarray(place).astype(np.int64)
    tenths = np.histogram(place, 10, (0, n_rows))[0]
    assert np.ptp(tenths) <= 4, tenths
    for period in PERIODS:
        counts = np.bincount(place % period, minlength=period)
        chi2 = ((counts - len(place) / period) ** 2).sum() * period / len(place)
        assert chi2 < period + 6 * np.sqrt(2 * period) + 6, (period, chi2)


@pytest.mark.parametrize("n_rows", [182_400, 10**7, 2**31 - 1])
def test_places_are_even_and_without_a_phase(n_rows):
    for n in (8_192, 65_536):
        place = places(n_rows, n, 1, np)
        assert (np.diff(place) > 0).all()
        assert place[0] >= 0
        assert place[-1] < n_rows
        assert_as_if_shuffled(place, n_rows)
        np.testing.assert_array_equal(jax.jit(places, static_argnums=(0, 1))(n_rows, n, 1), place)


def test_places_of_a_short_table_are_all_rows():
    for n in (1, 2, 7, 100):
        assert places(n, n, 5, np).tolist() == list(range(n))


def test_places_by_mass_are_even_and_without_a_phase():
    for n_blocks, n in ((60, 16_384), (11_000, 8_192)):  # 182,400 rows, and beyond 2^24
        place = places_by_mass(jnp.ones((n_blocks, 3040)), n, 3)
        assert_as_if_shuffled(place, n_blocks * 3040)


def test_rows_without_mass_are_not_drawn():
    rng = np.random.default_rng(0)
    mass = rng.exponential(size=(50, 400)).astype("float32") * (rng.random((50, 400)) < 0.1)
    place = np.asarray(places_by_mass(jnp.asarray(mass), 5000, 7))
    drawn = np.bincount(place, minlength=mass.size)
    assert (drawn[mass.reshape(-1) == 0] == 0).all()
    assert abs(drawn - 5000 * mass.reshape(-1) / mass.sum()).max() < 2


def test_another_seed_is_another_sample():
    a, b = (np.asarray(offsets(10_000, seed, np)) for seed in (0, 1))
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.04
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.04


def test_kmeans_looks_at_all_sensors_that_take_turns():
    for period, n in ((10, 182_400), (64, 200_000)):
        x = (jnp.arange(n) % period).astype("float32")[:, None]
        rows = Table.of(x, None, 10).standardized(jnp.zeros(1), jnp.ones(1))
        part = part_of(jnp.uint32(0), rows, SAMPLE)
        present = np.asarray(part.weights).reshape(-1) > 0
        values = np.asarray(part.x).astype(int).reshape(-1)[present]
        sensors = np.bincount(values, minlength=period)
        assert sensors.sum() < n / 2
        assert abs(sensors * period / sensors.sum() - 1).max() < 0.3, sensors
        other = part_of(jnp.uint32(1), rows, SAMPLE)
        assert (part.x != other.x).any()


def test_rows_on_devices_are_gathered_evenly():
    n = 10**7
    mesh = Mesh(np.array(jax.devices()[:1]), ("rows",))
    x = jnp.arange(n, dtype=jnp.int32)
    run = jax.shard_map(
        lambda x: gathered(x, ("rows",), 2**16), mesh=mesh, in_specs=P("rows"), out_specs=P(),
        check_vma=False,
    )  # fmt: skip
    assert_as_if_shuffled(jax.jit(run)(x), n)
