import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import central_difference, clusters, random_mixture

import mixjax

AWKWARD = {
    "one row": (np.array([[1.0, 2.0]]), np.array([[0.5, 0.5, 0.0]])),
    "empty component": (None, np.array([0.5, 0.5, 0.0])),
    "all components empty": (None, np.array([0.0, 0.0, 0.0])),
    "identical rows": (np.ones((8, 2)), np.array([0.2, 0.3, 0.5])),
    "collinear columns": (np.arange(8.0)[:, None] * np.ones((1, 2)), np.array([0.2, 0.3, 0.5])),
    "constant column": (np.c_[np.arange(8.0), np.ones(8)], np.array([0.2, 0.3, 0.5])),
    "tiny responsibilities": (None, np.array([0.5, 0.5, 1e-30])),
    "one row a component": (np.arange(6.0).reshape(3, 2), np.eye(3)),
    "outlier": (np.r_[np.arange(14.0).reshape(7, 2), [[1e12, -1e12]]], np.array([0.2, 0.3, 0.5])),
}


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.value_and_grad, argnums=(1, 2), has_aux=True)
def loss_and_gradients(family, x, resp):
    mixture = mixjax.m_step(family, x, resp)
    value = mixjax.energy(mixture, x).mean() + 1e-3 * mixjax.covariance_penalty(mixture)
    return value, mixture


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_input_gives_finite_values_and_gradients(family, name):
    x, resp = AWKWARD[name]
    x = np.random.default_rng(0).normal(size=(8, 2)) if x is None else x
    resp = np.tile(resp, (len(x), 1)) if resp.ndim == 1 else resp
    x, resp = jnp.asarray(x, "float32"), jnp.asarray(resp, "float32")

    (value, mixture), gradients = loss_and_gradients(family, x, resp)
    for leaf in jax.tree.leaves((value, mixture, gradients)):
        assert np.isfinite(leaf).all(), leaf


@functools.partial(jax.jit, static_argnums=0)
@functools.partial(jax.value_and_grad, argnums=(1, 2))
def probed(family, x, resp, probe):
    mixture = mixjax.m_step(family, x, resp, reg_covar=1e-3)
    return mixjax.energy(mixture, probe).sum() + mixjax.covariance_penalty(mixture)


@pytest.mark.parametrize("wrt", ["x", "resp"])
def test_gradient_agrees_with_finite_differences(family, float64, rng, wrt):
    x = clusters(rng, 30, 2, 3)
    resp = rng.dirichlet(np.ones(3), 30)
    probe = jnp.asarray(rng.normal(size=(4, 2)))
    arguments = {"x": x, "resp": resp}
    # Held by size, since the default ridge is constant in the gradient.
    scale = np.abs(arguments[wrt]).mean()
    direction = rng.normal(size=arguments[wrt].shape)

    def loss(value):
        return probed(family, *{**arguments, wrt: value}.values(), probe)[0]

    gradients = dict(zip(arguments, probed(family, x, resp, probe)[1], strict=True))
    exact = np.sum(np.asarray(gradients[wrt]) * direction)
    numeric = central_difference(loss, arguments[wrt], direction, 1e-7 * scale)
    np.testing.assert_allclose(exact, numeric, rtol=2e-5, atol=1e-5)


def test_zero_weight_rows_are_absent_rows(family, dtype, rng):
    x = clusters(rng, 60, 2, 3, dtype=dtype)
    resp = rng.dirichlet(np.ones(3), 60).astype(dtype)
    keep = rng.permutation(60) < 40
    junk = x.copy()
    junk[~keep] = rng.choice([np.nan, np.inf, 1e30, 0.0], size=(~keep).sum())[:, None]
    with_zeros = mixjax.m_step(
        family, jnp.asarray(junk), jnp.asarray(resp), weights=keep.astype(dtype)
    )
    without = mixjax.m_step(family, jnp.asarray(x[keep]), jnp.asarray(resp[keep]))
    tol = 1e-4 if dtype == np.float32 else 1e-10
    for a, b in zip(jax.tree.leaves(with_zeros), jax.tree.leaves(without), strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def test_whole_weights_are_repeated_rows(family, float64, rng):
    x = clusters(rng, 40, 2, 3)
    resp = rng.dirichlet(np.ones(3), 40)
    times = rng.permutation(40) % 3 + 1
    weighted = mixjax.m_step(family, x, resp, weights=times.astype(float))
    repeated = mixjax.m_step(family, np.repeat(x, times, 0), np.repeat(resp, times, 0))
    for a, b in zip(jax.tree.leaves(weighted), jax.tree.leaves(repeated), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_only_the_ratios_of_weights_count(family, rng, factor):
    x = clusters(rng, 40, 2, 3, dtype="float32")
    resp = rng.dirichlet(np.ones(3), 40).astype("float32")
    weights = rng.uniform(0.5, 1, 40).astype("float32")
    one = mixjax.m_step(family, x, resp, weights=weights)
    other = mixjax.m_step(family, x, resp, weights=(weights * factor).astype("float32"))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_boolean_responsibilities_are_hard_ones(family, rng):
    x = clusters(rng, 30, 2, 3, dtype="float32")
    hard = np.eye(3, dtype=bool)[rng.integers(3, size=30)]
    a = mixjax.m_step(family, x, hard)
    b = mixjax.m_step(family, x, hard.astype("float32"))
    assert all((p == q).all() for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_training_through_the_m_step_lowers_the_loss(rng):
    """DAGMM in a training loop of one's own, on plain pytrees."""
    x = jnp.asarray(clusters(rng, 256, 6, 3), "float32")
    keys = jax.random.split(jax.random.key(int(rng.integers(100))), 3)
    params = {
        "encode": 0.3 * jax.random.normal(keys[0], (6, 2)),
        "decode": 0.3 * jax.random.normal(keys[1], (2, 6)),
        "gamma": 0.3 * jax.random.normal(keys[2], (2, 3)),
    }

    @jax.jit
    def loss(params):
        z = x @ params["encode"]
        gamma = jax.nn.softmax(z @ params["gamma"])
        mixture = mixjax.m_step(mixjax.Gaussian, z, gamma)
        error = jnp.mean((x - z @ params["decode"]) ** 2)
        penalty = mixjax.covariance_penalty(mixture)
        return error + 0.1 * mixjax.energy(mixture, z).mean() + 0.005 * penalty

    first = loss(params)
    for _ in range(100):
        gradient = jax.grad(loss)(params)
        params = jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient)
    assert np.isfinite(loss(params))
    assert loss(params) < first - 0.1


@pytest.mark.parametrize("size", [1e-6, 1e-10, 1e-15, 1e-20, 1e-30, 0.0])
def test_gradients_of_a_collapsing_code_are_finite(family, size):
    """What a network in training may make of its code: tiny, constant, of one row."""
    rng = np.random.default_rng(0)
    z = jnp.asarray(size * rng.normal(size=(8, 2)), "float32")
    resp = jnp.asarray(rng.dirichlet(np.ones(3), 8), "float32")

    def loss(z, resp):
        mixture = mixjax.m_step(family, z, resp)
        return mixjax.energy(mixture, z).mean() + 0.005 * mixjax.covariance_penalty(mixture)

    value_and_gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    for r in (resp, resp.at[:, 1].set(0), jnp.zeros_like(resp).at[:, 0].set(1)):
        value, gradients = value_and_gradient(z, r)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-11, 1e-3, 1e15, 1e30])
def test_the_penalty_is_finite_and_falls_with_the_scale(family, scale):
    rng = np.random.default_rng(0)
    mixture = random_mixture(family, rng, 2, 2, "float32")
    components = mixture.components.affine(jnp.full(2, scale), jnp.zeros(2))
    moved = mixjax.Mixture(mixture.log_weights, components)
    value, gradient = jax.value_and_grad(mixjax.covariance_penalty)(moved)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    expected = (1 / np.asarray(mixture.components.variances, float)).sum() / scale**2
    assert float(value) <= expected * (1 + 1e-5)
    if 1e-11 <= scale <= 1e15:
        np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf])
def test_responsibilities_that_are_no_probabilities_are_refused(bad):
    x = np.zeros((4, 2), "float32")
    resp = np.full((4, 3), 1 / 3, "float32")
    resp[2, 1] = bad
    with pytest.raises(ValueError, match=r"resp must not be negative.*row 2"):
        mixjax.m_step(mixjax.Gaussian, x, resp)
    weights = np.array([1, 1, 0, 1], "float32")
    mixture = mixjax.m_step(mixjax.Gaussian, x, resp, weights=weights)  # an absent row
    np.testing.assert_allclose(mixture.weights, 1 / 3, rtol=1e-5)
