import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mixjax import linalg


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 17])
def test_cholesky_and_inverse_agree_with_numpy(dtype, rng, d):
    a = rng.normal(size=(3, d, d))
    a = (a @ np.swapaxes(a, 1, 2) + np.eye(d)).astype(dtype)
    tol = 100 * np.finfo(dtype).eps * np.linalg.cond(a).max()
    factor = linalg.cholesky(jnp.asarray(a))
    np.testing.assert_allclose(factor, np.linalg.cholesky(a), rtol=tol, atol=tol)
    inverse = linalg.inverse_lower(factor)
    np.testing.assert_allclose(inverse, np.linalg.inv(np.linalg.cholesky(a)), rtol=tol, atol=tol)


@pytest.mark.parametrize("d", [2, 6])
@pytest.mark.parametrize("kind", ["ones", "zeros", "negative", "indefinite"])
def test_cholesky_is_finite_on_what_is_not_positive_definite(dtype, d, kind):
    a = {
        "ones": np.ones((d, d)),
        "zeros": np.zeros((d, d)),
        "negative": -np.eye(d),
        "indefinite": np.ones((d, d)) - 2 * np.eye(d),
    }[kind].astype(dtype)
    pair = jnp.asarray(np.stack([a, np.eye(d, dtype=dtype)]))
    factor = linalg.cholesky(pair)
    assert np.isfinite(factor).all()
    assert (np.diagonal(factor, axis1=1, axis2=2) > 0).all()
    np.testing.assert_allclose(factor[1], np.eye(d), atol=1e-6)  # its neighbour is untouched
    gradient = jax.grad(lambda m: linalg.cholesky(m).sum())(pair)
    assert np.isfinite(gradient).all()


def test_a_singular_matrix_is_mended_by_no_more_than_rounding(dtype):
    a = np.ones((5, 5), dtype)
    factor = np.asarray(linalg.cholesky(jnp.asarray(a)))
    np.testing.assert_allclose(factor @ factor.T, a, atol=1e5 * np.finfo(dtype).eps)


@pytest.mark.parametrize("d", [3, 6])
def test_cholesky_gradient_agrees_with_finite_differences(float64, rng, d):
    a = rng.normal(size=(d, d))
    a = a @ a.T + np.eye(d)
    weight = jnp.asarray(rng.normal(size=(d, d)))
    direction = rng.normal(size=(d, d))
    direction = direction + direction.T

    def f(a):
        return jnp.sum(weight * linalg.cholesky(a))

    numeric = (f(a + 1e-6 * direction) - f(a - 1e-6 * direction)) / 2e-6
    exact = jnp.sum(jax.grad(f)(jnp.asarray(a)) * direction)
    np.testing.assert_allclose(exact, numeric, rtol=1e-6)
