import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clusters
from sklearn.cluster import KMeans, kmeans_plusplus

import mixjax
from mixjax.fitting.assigning import assigned
from mixjax.fitting.lloyd import drawn
from mixjax.fitting.on_host import solved

STARTS = [mixjax.kmeans_plus_plus, mixjax.kmeans, mixjax.random_responsibilities]


@pytest.fixture(params=STARTS, ids=lambda start: start.__name__)
def start(request):
    return request.param


def inertia(x, resp):
    resp = np.asarray(resp, float)
    centers = resp.T @ x / resp.sum(0)[:, None]
    return (resp * ((x[:, None] - centers) ** 2).sum(2)).sum()


def test_rows_sum_to_one_and_every_component_has_some(start, dtype, seed, rng):
    x = jnp.asarray(clusters(rng, 100, 2, 4), dtype)
    resp = np.asarray(start(jax.random.key(seed), x, 4), float)
    assert resp.shape == (100, 4)
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-5)
    assert (resp.sum(0) > 0).all()


def test_zero_weight_rows_are_absent_rows(start, dtype, seed, rng):
    """Wherever they stand and whatever they hold."""
    x = clusters(rng, 120, 2, 3, dtype=dtype)
    keep = rng.permutation(120) < 60
    junk = x.copy()
    junk[~keep] = rng.choice([np.nan, 1e20, -5.0], size=(~keep).sum())[:, None]
    key = jax.random.key(seed)
    resp = start(key, jnp.asarray(junk), 3, jnp.asarray(keep, dtype))
    alone = start(key, jnp.asarray(x[keep]), 3)
    np.testing.assert_allclose(np.asarray(resp)[keep], alone, atol=1e-6)


def test_duplicated_rows_and_fewer_places_than_components(start, dtype, seed):
    x = jnp.asarray([[0.0, 1.0]] * 6 + [[5.0, 5.0]] * 2, dtype)
    resp = np.asarray(start(jax.random.key(seed), x, 4), float)
    assert np.isfinite(resp).all()
    np.testing.assert_allclose(resp.sum(1), 1, rtol=1e-5)


def test_another_key_is_another_start(start, rng):
    x = jnp.asarray(rng.normal(size=(200, 2)), "float32")
    results = [np.asarray(start(jax.random.key(i), x, 5)) for i in range(4)]
    assert any((results[0] != other).any() for other in results[1:])
    assert (results[0] == np.asarray(start(jax.random.key(0), x, 5))).all()


def test_kmeans_plus_plus_finds_separate_clusters(dtype, seed, rng):
    labels = rng.integers(6, size=600)
    x = 100 * np.stack([labels % 3, labels // 3], 1) + rng.normal(size=(600, 2))
    resp = np.asarray(mixjax.kmeans_plus_plus(jax.random.key(seed), jnp.asarray(x, dtype), 6))
    found = resp.argmax(1)
    assert len({(a, b) for a, b in zip(labels, found, strict=True)}) == 6


def test_kmeans_is_as_good_as_scikit_learn(rng):
    x = clusters(rng, 2000, 3, 6, dtype="float32")
    x = (x - x.mean(0)) / x.std(0)
    ours = [inertia(x, mixjax.kmeans(jax.random.key(i), jnp.asarray(x), 6)) for i in range(8)]
    theirs = [KMeans(6, n_init=1, random_state=i).fit(x).inertia_ for i in range(8)]
    assert np.median(ours) <= 1.05 * np.median(theirs)
    seeds = [
        inertia(x, mixjax.kmeans_plus_plus(jax.random.key(i), jnp.asarray(x), 6)) for i in range(8)
    ]
    assert np.all(np.asarray(ours) <= np.asarray(seeds) * (1 + 1e-5))


def test_kmeans_of_a_part_is_nearly_kmeans_of_all(seed, rng, monkeypatch):
    x = clusters(rng, 50_000, 3, 5, spread=2, dtype="float32")
    x = (x - x.mean(0)) / x.std(0)
    keys = [jax.random.key(seed + i) for i in range(4)]
    part = [inertia(x, mixjax.kmeans(key, jnp.asarray(x), 5)) for key in keys]
    monkeypatch.setattr("mixjax.fitting.lloyd.SAMPLE", 10**6)
    assigned.clear_cache()
    everything = [inertia(x, mixjax.kmeans(key, jnp.asarray(x), 5)) for key in keys]
    assigned.clear_cache()
    assert min(part) <= 1.005 * min(everything)
    assert part != everything


def test_long_tables_are_seeded_as_well_as_by_scikit_learn(rng):
    """Where candidates are judged on a part of the rows; a few lie very far out."""
    x = clusters(rng, 30_000, 3, 8, dtype="float32")
    x[:5] *= 50
    x = (x - x.mean(0)) / x.std(0)
    ours = [
        inertia(x, mixjax.kmeans_plus_plus(jax.random.key(i), jnp.asarray(x), 8)) for i in range(8)
    ]
    theirs = []
    for i in range(8):
        centers, _ = kmeans_plusplus(x, 8, random_state=i)
        nearest = ((x[:, None] - centers) ** 2).sum(2).argmin(1)
        theirs.append(inertia(x, np.eye(8)[nearest]))
    assert np.mean(ours) <= 1.05 * np.mean(theirs)


@pytest.mark.parametrize("start", [mixjax.kmeans_plus_plus, mixjax.kmeans])
def test_a_long_table_with_absent_rows_has_no_center_there(start, rng, seed):
    x = clusters(rng, 40_000, 2, 4, dtype="float32")
    keep = rng.random(40_000) < 0.5
    junk = np.where(keep[:, None], x, 1e6).astype("float32")
    resp = start(jax.random.key(seed), jnp.asarray(junk), 4, jnp.asarray(keep, "float32"))
    found = np.asarray(resp)[keep].sum(0)
    assert (found > 1000).all(), found


def test_starts_do_not_depend_on_units(start, float64, seed, rng):
    x = clusters(rng, 100, 2, 3)
    key = jax.random.key(seed)
    a = np.asarray(start(key, jnp.asarray(x), 3))
    b = np.asarray(start(key, jnp.asarray((x + 7) * np.array([1e-12, 1e9])), 3))
    assert (abs(a.astype(float) - b) < 1e-9).mean() > 0.99


def test_rows_are_drawn_by_weight(seed):
    seeds = 4000 * seed + jnp.arange(4000, dtype=jnp.uint32)
    weights, order = jnp.asarray([1.0, 0.0, 3.0]), jnp.arange(3)
    one = jax.vmap(lambda seed: drawn(seed, weights, order, 1))(seeds)
    share = np.bincount(one[:, 0], minlength=3) / 4000
    np.testing.assert_allclose(share, [0.25, 0, 0.75], atol=0.04)
    two = jax.vmap(lambda seed: drawn(seed, weights, order, 2))(seeds)
    assert set(map(tuple, np.sort(two, axis=1).tolist())) == {(0, 2)}  # different, never weight 0


def test_vmap_is_the_loop(start, rng):
    xs = jnp.asarray(np.stack([clusters(rng, 50, 2, 3) for _ in range(3)]), "float32")
    keys = jax.random.split(jax.random.key(0), 3)
    together = jax.vmap(lambda key, x: start(key, x, 3))(keys, xs)
    for i in range(3):
        np.testing.assert_allclose(together[i], start(keys[i], xs[i], 3), atol=1e-6)


def test_a_start_is_a_value_with_its_own_options(rng):
    x = jnp.asarray(clusters(rng, 500, 3, 4, dtype="float32"))
    key = jax.random.key(3)
    by_value = mixjax.KMeans(max_iter=2)(key, x, 4)
    by_function = mixjax.kmeans(key, x, 4, max_iter=2)
    np.testing.assert_array_equal(by_value, by_function)
    np.testing.assert_array_equal(mixjax.KMeans()(key, x, 4), mixjax.kmeans(key, x, 4))
    seeds = mixjax.kmeans_plus_plus(key, x, 4)
    np.testing.assert_array_equal(mixjax.KMeansPlusPlus()(key, x, 4), seeds)
    np.testing.assert_array_equal(mixjax.KMeans(max_iter=0)(key, x, 4), seeds)
    drawn = mixjax.random_responsibilities(key, x, 4)
    np.testing.assert_array_equal(mixjax.RandomResponsibilities()(key, x, 4), drawn)


def test_the_options_of_a_start_reach_the_fit_and_compile_once(rng):
    x = jnp.asarray(clusters(rng, 500, 3, 4, dtype="float32"))
    key, options = jax.random.key(3), {"max_iter": 0}
    n_compiled = solved.n_compiled()
    energies = [
        mixjax.fit(key, x, 4, start=mixjax.KMeans(max_iter=n), **options).energy for n in (0, 1, 50)
    ]
    assert solved.n_compiled() <= n_compiled + 1
    # The same assignments, from a function that is not known to give labels.
    for n, energy in zip((0, 1, 50), energies, strict=True):
        own = functools.partial(mixjax.kmeans, max_iter=n)
        known = mixjax.fit(key, x, 4, start=lambda *args, own=own: own(*args), **options).energy
        np.testing.assert_allclose(energy, known, rtol=1e-5)
    seeds = mixjax.fit(key, x, 4, start=mixjax.KMeansPlusPlus(), **options).energy
    np.testing.assert_allclose(energies[0], seeds, rtol=1e-6)
    default = mixjax.fit(key, x, 4, **options).energy
    assert mixjax.fit(key, x, 4, start=mixjax.kmeans, **options).energy == default


def test_a_start_without_sense_is_refused(rng):
    x = jnp.asarray(clusters(rng, 500, 3, 4, dtype="float32"))
    for start in ("kmeans", mixjax.KMeans):
        with pytest.raises(TypeError, match="start must be such as"):
            mixjax.fit(jax.random.key(0), x, 2, start=start)
    with pytest.raises(ValueError, match="max_iter"):
        mixjax.fit(jax.random.key(0), x, 2, start=mixjax.KMeans(max_iter=-1))
    with pytest.raises(ValueError, match="max_iter must not be negative"):
        mixjax.KMeans(max_iter=-1)(jax.random.key(0), x, 2)
    with pytest.raises(TypeError, match="max_iter must be a whole number"):
        mixjax.kmeans(jax.random.key(0), x, 2, max_iter=1.5)
