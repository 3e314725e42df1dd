import operator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import clusters

import mixjax

ADAM = optax.adam(3e-2)
LBFGS = optax.lbfgs()


def test_full_batch_descends_to_where_em_goes(family, rng):
    x = jnp.asarray(clusters(rng, 300, 2, 3), "float32")
    em = mixjax.fit(jax.random.key(0), x, 3, family=family, tol=1e-7, max_iter=500)
    near = mixjax.fit(jax.random.key(0), x, 3, family=family, max_iter=1)
    solver = mixjax.Gradient(ADAM)
    fit = mixjax.fit_from(near.mixture, x, solver=solver, tol=0.0, max_iter=400)
    assert fit.energy <= near.energy + 1e-3
    assert fit.energy <= em.energy + 0.02
    np.testing.assert_allclose(fit.energy, mixjax.energy(fit.mixture, x).mean(), rtol=1e-4)
    np.testing.assert_allclose(fit.mixture.weights.sum(), 1, rtol=1e-5)


def test_minibatches_go_there_too(rng):
    x = jnp.asarray(clusters(rng, 1000, 2, 3), "float32")
    x = x[jnp.argsort(x[:, 0])]  # sorted tables are what strides are for
    near = mixjax.fit(jax.random.key(0), x, 3, max_iter=0)
    em = mixjax.fit_from(near.mixture, x, tol=1e-6, max_iter=300)
    solver = mixjax.Gradient(ADAM, batch_size=96)
    fit = mixjax.fit_from(near.mixture, x, solver=solver, tol=0.0, max_iter=60)
    assert int(fit.n_iter) == 60
    assert fit.energy < near.energy
    assert fit.energy <= em.energy + 0.05


def minibatches_of(x, size, weights=None):
    from mixjax.fitting.gradient import Minibatches
    from mixjax.rows.blocks import Table

    table = Table(jnp.asarray(x)[:, None], weights, jnp.ones(()), 40)
    dealt = Minibatches.of(table.standardized(jnp.zeros(1), jnp.ones(1)), size)
    batches = jax.jit(jax.vmap(dealt.batch))(jnp.arange(int(dealt.n_batches), dtype=jnp.int32))
    batches = [jax.tree.map(operator.itemgetter(i), batches) for i in range(len(batches.total))]
    return [np.asarray(b.x[0, 0])[np.asarray(b.weights[0]) > 0] for b in batches]


def test_a_pass_of_minibatches_sees_every_row_once():
    weights = jnp.asarray(np.arange(103) % 3 != 1, "float32")
    for w, rows in ((None, np.arange(103)), (weights, np.flatnonzero(weights))):
        for size in (7, 25):
            batches = minibatches_of(jnp.arange(103.0), size, w)
            assert len(batches) == -(-len(rows) // size)
            assert all(0 < len(batch) <= size for batch in batches)
            assert sorted(np.concatenate(batches)) == rows.tolist()


def test_minibatches_hold_all_sensors_that_take_turns():
    for period in (2, 10, 50):
        for batch in minibatches_of((jnp.arange(2000) % period).astype("float32"), 200):
            counts = np.bincount(batch.astype(int), minlength=period)
            assert abs(counts - 200 / period).max() < 4.5 * np.sqrt(200 / period), counts


def test_rows_of_weight_zero_are_absent_from_minibatches():
    """Also where whole strides of the table have none: nothing moves for them."""
    x = jnp.asarray(clusters(np.random.default_rng(0), 400, 2, 2), "float32")
    near = mixjax.fit(jax.random.key(0), x, 2, max_iter=1).mixture
    for size, absent in ((100, np.arange(400) % 4 == 1), (1, np.arange(400) == 399)):
        solver = mixjax.Gradient(ADAM, batch_size=size)
        weights = jnp.asarray(~absent, "float32")
        junk = jnp.where(absent[:, None], jnp.nan, x)
        a = mixjax.fit_from(near, junk, weights=weights, solver=solver, tol=0.0, max_iter=3)
        b = mixjax.fit_from(near, x[~absent], solver=solver, tol=0.0, max_iter=3)
        assert int(a.status) == int(b.status) == mixjax.Status.MAX_ITER
        assert int(a.n_iter) == 3
        for left, right in zip(jax.tree.leaves(a.mixture), jax.tree.leaves(b.mixture), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_lbfgs_works_and_is_quicker_than_adam(float64, rng):
    x = jnp.asarray(clusters(rng, 300, 2, 3, spread=3))
    near = mixjax.fit(jax.random.key(0), x, 3, max_iter=1)
    lbfgs = mixjax.fit_from(near.mixture, x, solver=mixjax.Gradient(LBFGS), tol=1e-8, max_iter=60)
    adam = mixjax.fit_from(near.mixture, x, solver=mixjax.Gradient(ADAM), tol=0.0, max_iter=60)
    em = mixjax.fit_from(near.mixture, x, tol=1e-9, max_iter=2000)
    assert lbfgs.energy <= adam.energy + 1e-6
    assert lbfgs.energy <= em.energy + 0.01


def test_a_learning_rate_that_explodes_is_reported(rng):
    x = jnp.asarray(clusters(rng, 100, 2, 2), "float32")
    near = mixjax.fit(jax.random.key(0), x, 2)
    solver = mixjax.Gradient(optax.sgd(1e6))
    fit = mixjax.fit_from(near.mixture, x, solver=solver, tol=0.0, max_iter=50)
    assert int(fit.status) == mixjax.Status.NONFINITE
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fit.mixture))
    with pytest.raises(mixjax.FitError, match="learning rate"):
        mixjax.check(fit, x)


def test_vmap_of_a_gradient_fit(rng):
    xs = jnp.asarray(np.stack([clusters(rng, 80, 2, 2) for _ in range(3)]), "float32")
    # Adam divides a gradient by its size, so that rounding errors of small ones grow.
    solver = mixjax.Gradient(optax.sgd(1e-2))

    def fit(mixture, x):
        return mixjax.fit_from(mixture, x, solver=solver, tol=0.0, max_iter=20)

    keys = jax.random.split(jax.random.key(0), 3)
    mixtures = jax.vmap(lambda key, x: mixjax.fit(key, x, 2, max_iter=0))(keys, xs).mixture
    together = jax.vmap(fit)(mixtures, xs)
    for i in range(3):
        alone = fit(jax.tree.map(lambda leaf, i=i: leaf[i], mixtures), xs[i])
        np.testing.assert_allclose(together.energy[i], alone.energy, rtol=1e-4)


def test_options_of_the_wrong_kind():
    x = jnp.zeros((10, 2))
    mixture = mixjax.fit(
        jax.random.key(0), jax.random.normal(jax.random.key(1), (10, 2)), 1
    ).mixture
    for solver in (mixjax.Gradient("adam"), mixjax.Gradient(ADAM, batch_size=0), mixjax.EM):
        with pytest.raises((TypeError, ValueError), match=r"optimizer|batch_size|solver"):
            mixjax.fit_from(mixture, x, solver=solver)
