"""Outside of ``jit`` a fit is padded and begun on the host; it is the fit of the exact table."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import clusters

import mixjax
from mixjax.fitting.lloyd import lloyd_centers, seeds
from mixjax.fitting.on_host import solved, solved_from
from mixjax.mixture.questions import log_probs
from mixjax.rows.blocks import Table
from mixjax.rows.host_table import HostTable, padded_count, padded_length, padded_rows
from mixjax.rows.scaling import Scaling, column_scale, standardized
from mixjax.rows.subsample import seed_of

KEY = jax.random.key(5)
MIXTURE = mixjax.Mixture(
    jnp.zeros(2, "float32"),
    mixjax.DiagonalGaussian(jnp.eye(2, 3, dtype="float32"), jnp.ones((2, 3), "float32")),
)


def rows(rng, n=230, d=3, dtype="float32"):
    return np.asarray(clusters(rng, n, d, 3), dtype)


def same(a, b, rtol=2e-4):
    np.testing.assert_allclose(a.energy, b.energy, rtol=rtol, atol=1e-5)
    assert int(a.status) == int(b.status)
    np.testing.assert_allclose(a.mixture.weights, b.mixture.weights, atol=2e-3)
    np.testing.assert_allclose(
        a.mixture.components.centers, b.mixture.components.centers, atol=2e-2, rtol=1e-3
    )


def test_a_fit_is_the_one_under_jit(family, seed, rng):
    x = rows(rng)
    weights = rng.integers(0, 3, len(x)).astype("float32") if seed else None

    def fit(x, weights):
        return mixjax.fit(KEY, x, 3, family=family, weights=weights)

    host, compiled = fit(x, weights), jax.jit(fit)(x, weights)
    same(host, compiled)
    begin = jax.jit(lambda x, w: mixjax.fit(KEY, x, 3, family=family, weights=w, max_iter=0))
    begin = begin(x, weights).mixture
    same(mixjax.fit_from(begin, x, weights=weights), compiled)


def test_it_is_so_with_several_starts_blocks_and_dtypes(dtype):
    x = rows(np.random.default_rng(0), 7001, 2, dtype)  # three blocks, and room for no more

    def fit(x, n_init=2, start=mixjax.KMeans(max_iter=3)):  # noqa: B008
        return mixjax.fit(KEY, x, 3, n_init=n_init, start=start, max_iter=4)

    same(fit(x), jax.jit(fit)(x))
    own = fit(x, 1, mixjax.RandomResponsibilities())
    same(own, jax.jit(lambda x: fit(x, 1, mixjax.RandomResponsibilities()))(x))


def test_rows_and_components_of_another_number_compile_nothing(rng):
    x = rows(rng, 1000)
    mixture = mixjax.fit(KEY, x, 4).mixture
    mixjax.fit_from(mixture, x)
    mixjax.energy(mixture, x)
    before = solved.n_compiled(), solved_from.n_compiled(), log_probs.n_compiled()
    for n in (901, 950, 999):
        for k in (3, 4):
            mixture = mixjax.fit(KEY, x[:n], k).mixture
            assert mixture.components.shape == (k, 3)
            assert mixjax.log_prob(mixture, x[: n - 800]).shape == (n - 800,)
        mixjax.fit_from(mixture, x[:n])
    assert before == (solved.n_compiled(), solved_from.n_compiled(), log_probs.n_compiled())


@pytest.mark.parametrize("scaling", list(Scaling))
def test_the_scale_is_the_same(scaling, dtype, rng):
    x = rng.normal(size=(97, 5)).astype(dtype)
    x[:, 1] = 3
    x[:, 2] *= 1e30
    x[:, 3] = 1e-30 * x[:, 3] + 1e-28
    x[5] = np.nan
    weights = rng.integers(0, 3, 97).astype(dtype)
    weights[7] = 1e12
    host, compiled = HostTable.of(x, weights, 2), Table.of(jnp.asarray(x), jnp.asarray(weights), 2)
    assert bool(host.nonfinite) == (weights[5] > 0)
    with np.errstate(all="ignore"):
        own = column_scale(host, scaling)
    for a, b in zip(own[:3], column_scale(compiled, scaling)[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("n", [150, 4000, 40_000])
def test_the_centers_are_the_same(n):
    rng = np.random.default_rng(n)
    x = rows(rng, n)
    weights = (rng.random(n) < 0.8).astype("float32")
    host, _ = standardized(HostTable.of(x, weights, 3), Scaling.COLUMNS)
    compiled, _ = standardized(Table.of(jnp.asarray(x), jnp.asarray(weights), 3), Scaling.COLUMNS)
    with np.errstate(over="ignore"):
        seed = seed_of(KEY, np)
        assert seed == seed_of(KEY)
        if n < 10_000:
            np.testing.assert_allclose(
                seeds(seed, host, 3), seeds(seed_of(KEY), compiled, 3), atol=1e-5
            )
        own = lloyd_centers(seed, host, 3, 1e-4, 100)
    np.testing.assert_allclose(own, lloyd_centers(seed_of(KEY), compiled, 3, 1e-4, 100), atol=2e-2)


def test_padded_numbers():
    for padded in (padded_length, padded_count, padded_rows):
        numbers = [padded(n) for n in range(1, 5000)]
        assert all(n <= p for n, p in enumerate(numbers, 1))
        assert numbers == sorted(numbers)
        assert [padded(n) for n in numbers] == numbers
    assert len({padded_length(n) for n in range(1, 2**12)}) < 40
    assert len({padded_count(n) for n in range(1, 512)}) < 20


def test_the_rows_that_the_last_block_repeats_have_their_labels(rng):
    """7,001 rows are three blocks of 2,336, of which the last begins seven rows early."""
    x = jnp.asarray(rows(rng, 7001, 2))
    table, _ = standardized(Table.of(x, None, 3), Scaling.COLUMNS)
    assert table.weights.size > len(x)
    values = table.collect(lambda block: block[0], len(x))
    scale = column_scale(Table.of(x, None, 3))
    np.testing.assert_allclose(values, (x[:, 0] - scale.shift[0]) / scale.scale[0], atol=1e-5)


def test_solvers_with_gradients_see_all_blocks():
    x = rows(np.random.default_rng(0), 7001, 2)
    solver = mixjax.Gradient(optax.sgd(0.1))
    begin = mixjax.fit(KEY, x, 2, max_iter=0).mixture

    def fit(x):
        return mixjax.fit_from(begin, x, solver=solver, max_iter=5)

    same(fit(x), jax.jit(fit)(x))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: mixjax.fit(KEY, x, 3).energy,
        lambda x: mixjax.fit_from(MIXTURE, x).energy,
        lambda x: mixjax.m_step(mixjax.Gaussian, x, np.ones((len(x), 1), "float32")).weights,
        lambda x: mixjax.kmeans(KEY, x, 3),
        lambda x: mixjax.energy(MIXTURE, x),
        lambda x: mixjax.responsibilities(MIXTURE, x),
        lambda x: mixjax.surprisal(MIXTURE, x),
        lambda x: mixjax.predict(MIXTURE, [0], x[:, :1]).mean,
        lambda x: mixjax.icl(MIXTURE, x),
    ],
)
def test_constants_under_jit_and_vmap(f):
    """Inside a traced function the numbers are known, but what is computed from them is not."""
    x = rows(np.random.default_rng(0))
    alone = f(x)

    def inside(a):
        return 0 * a + f(x).astype("float32")

    for found in (jax.jit(inside)(jnp.ones(())), jax.vmap(inside)(jnp.ones(2))[0]):
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-4)
