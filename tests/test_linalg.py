import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import central_difference

from mixjax import linalg


@pytest.mark.parametrize("d", [1, 4, 5, 33, 260])
def test_factors_and_inverses_agree_with_numpy(dtype, d):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(3, d, d))
    a = (a @ np.swapaxes(a, 1, 2) + np.eye(d)).astype(dtype)
    tol = 100 * np.finfo(dtype).eps * np.linalg.cond(a).max()
    factor = jax.jit(linalg.cholesky)(a)
    np.testing.assert_allclose(factor, np.linalg.cholesky(a), rtol=tol, atol=tol)
    inverse = jax.jit(linalg.inverse_lower)(factor)
    expected = np.linalg.inv(np.linalg.cholesky(a))
    np.testing.assert_allclose(inverse, expected, rtol=tol, atol=tol)
    np.testing.assert_allclose(jax.jit(linalg.whitener)(a), expected, rtol=tol, atol=tol)


@pytest.mark.parametrize("d", [2, 6, 40])
@pytest.mark.parametrize("f", [linalg.cholesky, linalg.whitener])
def test_finite_on_what_is_not_positive_definite(dtype, f, d):
    one, eye = np.ones((d, d)), np.eye(d)
    several = jnp.asarray(np.stack([one, 0 * one, -eye, one - 2 * eye, eye]), dtype)
    factor = jax.jit(f)(several)
    assert np.isfinite(factor).all()
    assert (np.diagonal(factor, axis1=1, axis2=2) > 0).all()
    np.testing.assert_allclose(factor[4], eye, atol=1e-6)  # the sound one is left as it was
    gradient = jax.jit(jax.grad(lambda m: f(m).sum()))(several)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("d", [2, 6, 40])
@pytest.mark.parametrize("f", [linalg.cholesky, linalg.whitener])
def test_nothing_is_nan_on_the_way(f, d):
    """Eagerly every array is looked at, so a NaN that stands for something would be found."""
    several = jnp.stack([jnp.eye(d), jnp.ones((d, d)), -jnp.eye(d)])
    with jax.debug_nans(True):
        alone = f(several)
        np.testing.assert_allclose(jax.jit(f)(several), alone, rtol=1e-5, atol=1e-5)
        jax.grad(lambda m: f(m).sum())(several)
    np.testing.assert_allclose(alone[0], np.eye(d), atol=1e-6)


@pytest.mark.parametrize("d", [5, 40])
def test_a_singular_matrix_is_mended_by_no_more_than_rounding(dtype, d):
    a = np.ones((d, d), dtype)
    factor = np.asarray(linalg.cholesky(jnp.asarray(a)))
    np.testing.assert_allclose(factor @ factor.T, a, atol=1e4 * d * np.finfo(dtype).eps)
    whitener = np.asarray(linalg.whitener(jnp.asarray(a)))
    variance = whitener @ a @ whitener.T
    assert variance.max() < 1.01  # never narrower than the data


@pytest.mark.parametrize("d", [3, 6, 40])
@pytest.mark.parametrize("name", ["cholesky", "whitener", "inverse_lower"])
def test_gradients_agree_with_finite_differences(float64, name, d):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(d, d))
    a = a @ a.T + d * np.eye(d)
    direction = rng.normal(size=(d, d))
    direction = direction + direction.T
    if name == "inverse_lower":
        a, direction = np.linalg.cholesky(a), np.tril(direction)
    weight = jnp.asarray(rng.normal(size=(d, d)))

    @jax.jit
    def f(a):
        return jnp.sum(weight * getattr(linalg, name)(a))

    numeric = central_difference(f, a, direction)
    exact = jnp.sum(jax.grad(f)(jnp.asarray(a)) * direction)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6, atol=1e-9)
