"""The same density as a NumPyro distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clusters, random_mixture

import mixjax

numpyro = pytest.importorskip("mixjax.numpyro", exc_type=ImportError)


def test_the_same_log_density(family, float64, rng):
    dtype = float64
    mixture = random_mixture(family, rng, 3, 4, dtype)
    x = clusters(rng, 60, 4, 3, dtype=dtype)
    theirs = numpyro.to_distribution(mixture)
    assert theirs.event_shape == (4,)
    # NumPyro relies on promotion of dtypes and ranks.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        known = theirs.log_prob(x)
        draws = theirs.sample(jax.random.key(0), (4000,))
    tight = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(known, mixjax.log_prob(mixture, x), rtol=tight, atol=tight)
    mean = mixture.weights @ mixture.components.centers
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.5)
    np.testing.assert_allclose(theirs.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(theirs.variance, np.var(draws, axis=0), rtol=0.2)


def test_only_what_numpyro_has(rng):
    with pytest.raises(TypeError, match="mixture must be"):
        numpyro.to_distribution(np.ones(3))
    mixture = random_mixture(mixjax.Gaussian, rng, 2, 2, "float32")
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), mixture)
    with pytest.raises(ValueError, match="leading axes"):
        numpyro.to_distribution(several)


def test_a_component_of_weight_zero_stays_out():
    normal = mixjax.DiagonalGaussian(jnp.array([[0.0], [50.0], [3.0]]), jnp.ones((3, 1)))
    mixture = mixjax.Mixture(jnp.log(jnp.array([0.25, 0.0, 0.75])), normal)
    scaled = mixjax.Mixture(mixture.log_weights + 2, normal)
    x = jnp.array([[0.0], [3.0], [50.0]])
    for one in (mixture, scaled):
        theirs = numpyro.to_distribution(one)
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            known = theirs.log_prob(x)
            draws = theirs.sample(jax.random.key(0), (4000,))
        np.testing.assert_allclose(known, mixjax.log_prob(mixture, x), rtol=1e-5)
        assert draws.max() < 20
        np.testing.assert_allclose(draws.mean(), 2.25, atol=0.15)
