"""Stepwise EM: a pure update that converges, follows a drift and can be mapped."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import FAMILIES
from problems import clusters, random_mixture

import mixjax

GAUSSIANS = FAMILIES[:4]
gaussians = pytest.mark.parametrize("family", GAUSSIANS, ids=lambda family: family.__name__)


def assert_close(a, b, atol):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, atol=atol)


@gaussians
def test_components_explain_their_own_statistics(family, float64):
    components = random_mixture(family, np.random.default_rng(0), 3, 4).components
    count = jnp.asarray([0.5, 2.0, 10.0])
    for reg, given in ((jnp.zeros(4), None), (jnp.asarray([0.01, 0.1, 0.02, 0.0]),) * 2):
        again = components.from_statistics(components.expected_statistics(count, given), reg)
        assert_close(again, components, 1e-10)


@gaussians
def test_a_whole_step_is_an_iteration_of_em(family, float64):
    x = clusters(np.random.default_rng(1), 200, 3, 2)
    begin = mixjax.fit(jax.random.key(0), x, 2, family=family, max_iter=2).mixture
    reg = 1e-6
    state = mixjax.Stepwise.of(begin, reg_covar=reg)
    after = mixjax.update(state, x, 1.0).mixture
    em = mixjax.fit_from(begin, x, solver=mixjax.EM(reg), tol=0.0, max_iter=1).mixture
    assert_close(after, em, 1e-8)
    assert_close(mixjax.update(state, x, 0.0).mixture.components, begin.components, 1e-5)


@pytest.mark.parametrize(
    ("family", "seed"), [*zip(GAUSSIANS, (0, 1, 2, 3), strict=True), (GAUSSIANS[0], 4)]
)
def test_decreasing_steps_converge_to_the_fit(family, seed, float64):
    rng = np.random.default_rng(seed)
    x = clusters(rng, 3000, 2, 2, spread=10.0)
    begin = mixjax.fit(jax.random.key(0), x[:100], 2, family=family, max_iter=1).mixture
    state = mixjax.Stepwise.of(begin)

    def step(state, item):
        t, rows = item
        return mixjax.update(state, rows, (t + 2.0) ** -0.6), None

    batches = np.tile(x.reshape(60, 50, 2), (10, 1, 1))
    state, _ = jax.lax.scan(step, state, (jnp.arange(600.0), jnp.asarray(batches)))
    best = mixjax.fit_from(begin, x, tol=1e-8, max_iter=500)
    assert mixjax.energy(state.mixture, x).mean() < best.energy + 0.02


def test_the_ridge_does_not_pile_up(float64):
    x = clusters(np.random.default_rng(2), 200, 2, 1)
    state = mixjax.Stepwise.of(mixjax.fit(jax.random.key(0), x, 1).mixture, reg_covar=0.5)
    for _ in range(50):
        state = mixjax.update(state, x, 0.3)
    expected = np.cov(x.T, bias=True) + 0.5 * np.eye(2)
    np.testing.assert_allclose(state.mixture.components.covariances[0], expected, atol=1e-6)


def test_constant_steps_follow_a_drift_in_float32():
    rng = np.random.default_rng(3)
    centers = np.linspace(0, 1e4, 400)
    x = (centers[:, None, None] + rng.normal(size=(400, 30, 1))).astype("float32")
    state = mixjax.Stepwise.of(mixjax.fit(jax.random.key(0), x[0], 1).mixture)
    state, _ = jax.lax.scan(lambda s, x: (mixjax.update(s, x, 0.5), None), state, jnp.asarray(x))
    assert abs(float(state.mixture.components.means[0, 0]) - 1e4) < 60
    assert np.isfinite(state.mixture.components.factors).all()


def test_vmap_is_the_loop_also_for_single_rows():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(6, 1, 3)).astype("float32")
    begin = random_mixture(mixjax.DiagonalGaussian, rng, 2, 3, "float32")
    state = mixjax.Stepwise.of(begin, reg_covar=0.01)
    many = jax.vmap(lambda x: mixjax.update(state, x, 0.1))(x)
    for i in range(6):
        assert_close(
            jax.tree.map(operator.itemgetter(i), many), mixjax.update(state, x[i], 0.1), 1e-5
        )


def test_rows_without_weight_are_as_if_absent(float64):
    x = clusters(np.random.default_rng(5), 50, 2, 2)
    state = mixjax.Stepwise.of(mixjax.fit(jax.random.key(0), x, 2).mixture)
    odd = np.concatenate([x, [[np.nan, 1], [1e9, 1e9]]])
    weights = np.concatenate([np.ones(50), [1, 0]])
    assert_close(
        mixjax.update(state, odd, 0.2, weights=weights), mixjax.update(state, x, 0.2), 1e-9
    )
    nothing = mixjax.update(state, x, 0.2, weights=np.zeros(50))
    assert_close(nothing.mixture.log_weights, state.mixture.log_weights, 1e-9)
    assert_close(nothing.unregularized, state.unregularized, 1e-9)


def run(state, batches, step_size):
    step = jax.jit(
        lambda s: jax.lax.scan(lambda s, x: (mixjax.update(s, x, step_size), None), s, batches)[0]
    )
    return step(state)


def all_finite(tree):
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


@gaussians
def test_a_sensor_that_is_stuck_keeps_the_width_of_the_ridge(family):
    rng = np.random.default_rng(7)
    x = rng.normal(size=(200, 2)).astype("float32")
    start = mixjax.fit(jax.random.key(0), x, 1, family=family, max_iter=2).mixture
    stuck = rng.normal(size=(3000, 20, 2)).astype("float32")
    stuck[:, :, 1] = 0.25
    if family is mixjax.SphericalGaussian:
        stuck[:] = 0.25
    for reg in (None, 0.0, 1e-3):
        state = mixjax.Stepwise.of(start, reg_covar=reg)
        state = run(state, jnp.asarray(stuck), 0.3)
        assert all_finite(state)
        assert all_finite(state.unregularized)
        assert all_finite(mixjax.energy(state.mixture, stuck[0]))
        np.testing.assert_allclose(state.mixture.components.means[0, 1], 0.25, atol=1e-4)
        if reg == 1e-3:
            np.testing.assert_allclose(state.mixture.components.variances[0, 1], reg, rtol=1e-3)
        # It comes back to life.
        state = run(state, jnp.asarray(rng.normal(size=(300, 20, 2)), "float32"), 0.05)
        np.testing.assert_allclose(state.mixture.components.variances, 1, atol=0.5)


@gaussians
def test_single_rows_whole_steps_and_far_rows_leave_numbers(family):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(1000, 1, 2)).astype("float32")
    begin = random_mixture(family, rng, 2, 2, "float32")
    for batches in (x, np.full_like(x, 3.0)):
        assert all_finite(run(mixjax.Stepwise.of(begin), jnp.asarray(batches), 1.0))
    state = mixjax.Stepwise.of(begin)
    far = np.concatenate([x[:20, 0], [[1e30, 0], [-1e38, 1], [np.inf, 0]]]).astype("float32")
    assert_close(mixjax.update(state, far, 0.3), mixjax.update(state, x[:20, 0], 0.3), 1e-5)


def test_rows_of_another_dtype_leave_the_state_as_it_was(float64):
    x = clusters(np.random.default_rng(10), 200, 2, 1)
    single = mixjax.fit(jax.random.key(0), x.astype("float32"), 1).mixture
    state = mixjax.Stepwise.of(single)
    batches = x.reshape(10, 20, 2)
    after, _ = jax.lax.scan(lambda s, b: (mixjax.update(s, b, 0.3), None), state, batches)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32"}
    same, _ = jax.lax.scan(
        lambda s, b: (mixjax.update(s, b, 0.3), None), state, batches.astype("float32")
    )
    assert_close(after, same, 1e-4)
    double = mixjax.Stepwise.of(jax.tree.map(lambda leaf: leaf.astype("float64"), single))
    after = mixjax.update(double, x.astype("float32"), 0.3)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float64"}


def test_bad_input_is_named():
    x = clusters(np.random.default_rng(6), 50, 2, 2, dtype="float32")
    mixture = mixjax.fit(jax.random.key(0), x, 2, max_iter=1).mixture
    state = mixjax.Stepwise.of(mixture)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        mixjax.update(state, x, 1.5)
    with pytest.raises(ValueError, match="1 columns, but the mixture has 2"):
        mixjax.update(state, x[:, :1], 0.5)
    with pytest.raises(TypeError, match=r"made by Stepwise\.of or update, got Mixture"):
        mixjax.update(mixture, x, 0.5)
    with pytest.raises(ValueError, match="must not be negative"):
        mixjax.Stepwise.of(mixture, reg_covar=-1.0)
    laplace = mixjax.fit(jax.random.key(0), x, 2, family=mixjax.Laplace, max_iter=1).mixture
    with pytest.raises(TypeError, match="got Laplace"):
        mixjax.Stepwise.of(laplace)


@gaussians
def test_units_do_not_matter(family):
    rng = np.random.default_rng(9)
    z = clusters(rng, 1200, 2, 2).reshape(60, 20, 2)
    begin = mixjax.fit(
        jax.random.key(0), z[:5].reshape(-1, 2), 2, family=family, max_iter=3
    ).mixture

    def after(scale, shift):
        ones = jnp.ones(2)
        moved = begin.components.affine(scale * ones, shift * ones)
        state = mixjax.Stepwise.of(mixjax.Mixture(begin.log_weights, moved))
        state = run(state, jnp.asarray(z * scale + shift, "float32"), 0.1)
        assert all_finite(state)
        return state

    one = after(1.0, 0.0)
    for scale, shift in ((1e-30, 0.0), (1e30, 0.0), (1.0, 100.0)):
        state = after(scale, shift)
        np.testing.assert_allclose(state.mixture.weights, one.mixture.weights, atol=2e-3)
        np.testing.assert_allclose(
            (state.mixture.components.means - shift) / scale,
            one.mixture.components.means,
            atol=5e-3,
        )
        for a, b in zip(jax.tree.leaves(state.scaled), jax.tree.leaves(one.scaled), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-2 * np.abs(b).max())
