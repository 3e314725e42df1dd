"""Tables and mixtures to test on, and plain NumPy to test against."""

import jax
import jax.numpy as jnp
import numpy as np

import mixjax

# As one program a shape, where each line of it would be one.
from_covariances = jax.jit(mixjax.Gaussian.from_covariances)
from_covariance = jax.jit(mixjax.TiedGaussian.from_covariance)


def clusters(rng, n, d, k, spread=4.0, dtype="float64"):
    """n rows about k centers, with correlated columns."""
    centers = spread * rng.normal(size=(k, d))
    mix = rng.normal(size=(d, d)) / np.sqrt(d) + np.eye(d)
    rows = centers[rng.integers(k, size=n)] + rng.normal(size=(n, d)) @ mix
    return rows.astype(dtype)


def covariances(rng, k, d):
    a = rng.normal(size=(k, d, d))
    return a @ np.swapaxes(a, 1, 2) + 0.5 * np.eye(d)


def random_components(family, rng, k, d, dtype="float64"):
    """Components of a family with parameters that are all different."""
    means = jnp.asarray(3 * rng.normal(size=(k, d)), dtype)
    if family is mixjax.Gaussian:
        return from_covariances(means, jnp.asarray(covariances(rng, k, d), dtype))
    if family is mixjax.TiedGaussian:
        return from_covariance(means, jnp.asarray(covariances(rng, 1, d)[0], dtype))
    if family in (mixjax.DiagonalGaussian, mixjax.Laplace, mixjax.MeanLaplace):
        return family(means, jnp.asarray(rng.uniform(0.5, 2, size=(k, d)), dtype))
    if family is mixjax.SphericalGaussian:
        return family(means, jnp.asarray(rng.uniform(0.5, 2, size=(k,)), dtype))
    free = family.standard(k, d, dtype).unconstrain()
    moved = jax.tree.map(lambda leaf: leaf + jnp.asarray(rng.normal(size=leaf.shape), dtype), free)
    return family.constrain(moved)


def random_mixture(family, rng, k, d, dtype="float64"):
    weights = rng.dirichlet(np.full(k, 5.0))
    components = random_components(family, rng, k, d, dtype)
    return mixjax.Mixture(jnp.asarray(np.log(weights), dtype), components)


def weighted_median(x, w):
    """The smallest value at which the cumulated weight reaches one half."""
    order = np.argsort(x, kind="stable")
    cumulated = np.cumsum(w[order])
    return x[order][np.searchsorted(cumulated, 0.5 * cumulated[-1])]


def central_difference(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)
