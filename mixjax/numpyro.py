"""A mixture as a NumPyro distribution, for use in larger models."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

try:
    import numpyro.distributions as dist
except ImportError as error:
    raise ImportError(
        "mixjax.numpyro needs its extra (numpyro is missing): pip install 'mixjax[numpyro]'"
    ) from error

from .families.diagonal import DiagonalGaussian
from .families.family import Family
from .families.gaussian import Gaussian
from .families.laplace import Laplace
from .families.spherical import SphericalGaussian
from .families.tied import TiedGaussian
from .linalg import inverse_lower
from .mixture.mixture import Mixture, require_one


def to_distribution(mixture: Mixture) -> Any:
    r"""The mixture as a NumPyro distribution with the same log-density.

    Args:
      mixture: K components in D dimensions, of any family.

    Returns:
      A ``numpyro.distributions.MixtureSameFamily`` with events of shape (D,).

    Raises:
      TypeError: mixture is not a `Mixture`.
      ValueError: several mixtures at once.

    Example:
      >>> import jax, jax.numpy as jnp, mixjax
      >>> from mixjax.numpyro import to_distribution
      >>> pair = mixjax.DiagonalGaussian(jnp.array([[0.0], [5.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.25, 0.75])), pair)
      >>> x = jnp.array([[1.0], [4.0]])
      >>> with jax.numpy_rank_promotion("allow"):  # JAX's default, on which NumPyro relies
      ...     known = to_distribution(mixture).log_prob(x)
      >>> bool(jnp.allclose(known, mixjax.log_prob(mixture, x)))
      True

    Source: NumPyro, ``numpyro.distributions.MixtureSameFamily``.
    """
    require_one(mixture)
    # NumPyro needs finite logits, also for a weight of zero.
    least = float(jnp.finfo(mixture.log_weights.dtype).min)
    logits = jnp.maximum(jax.nn.log_softmax(mixture.log_weights), least)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), _components(mixture.components))


def _components(components: Family) -> Any:
    """NumPyro's own distribution where it has one, with its parameters by their names there."""
    match components:
        case Gaussian(means, factors):
            return dist.MultivariateNormal(means, scale_tril=inverse_lower(factors))
        case TiedGaussian(means, factor):
            lower = jnp.broadcast_to(inverse_lower(factor), (*means.shape, means.shape[-1]))
            return dist.MultivariateNormal(means, scale_tril=lower)
        case DiagonalGaussian(means, scales):
            return dist.Normal(means, scales).to_event(1)
        case SphericalGaussian(means, scales):
            return dist.Normal(means, scales[:, None]).to_event(1)
        case Laplace(locations, scales):
            return dist.Laplace(locations, scales).to_event(1)
    return Components(components)


class Components(dist.Distribution):
    """K components of any other family: a batch (K,) of distributions of rows (D,)."""

    support = dist.constraints.real_vector
    pytree_data_fields = ("components",)

    def __init__(self, components: Family, *, validate_args: bool | None = None) -> None:
        self.components = components
        k, d = components.shape
        super().__init__((k,), (d,), validate_args=validate_args)

    @property
    def mean(self) -> Array:
        """(K, D) the centers."""
        return self.components.centers

    @property
    def variance(self) -> Array:
        """(K, D) of each feature in each component."""
        return self.components.variances

    def log_prob(self, value: Array) -> Array:
        """Log-densities (..., K) of rows (..., K, D), one for each component, or (..., 1, D)."""
        k, d = self.components.shape
        shared = value.ndim == 1 or value.shape[-2] == 1
        rows = self.components.log_prob(value.reshape(-1, d))
        if shared:
            return rows.reshape(*(value.shape[:-2] or ()), k)
        return jnp.diagonal(rows.reshape(-1, k, k), axis1=1, axis2=2).reshape(value.shape[:-1])

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Rows (*sample_shape, K, D), one of each component."""
        k, d = self.components.shape
        labels = jnp.tile(jnp.arange(k), math.prod(sample_shape))
        return self.components.sample(key, labels).reshape(*sample_shape, k, d)
