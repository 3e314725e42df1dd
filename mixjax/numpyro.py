"""A mixture as a NumPyro distribution, for use in larger models."""

from typing import Any

import jax
import jax.numpy as jnp

try:
    import numpyro.distributions as dist
except ImportError as error:
    raise ImportError(
        "mixjax.numpyro needs its extra (numpyro is missing): pip install 'mixjax[numpyro]'"
    ) from error

from .families.diagonal import DiagonalGaussian
from .families.gaussian import Gaussian
from .families.laplace import Laplace
from .families.spherical import SphericalGaussian
from .families.tied import TiedGaussian
from .linalg import inverse_lower
from .mixture.mixture import Mixture, require_one


def to_distribution(mixture: Mixture) -> Any:
    r"""The mixture as a NumPyro distribution with the same log-density.

    Args:
      mixture: K components in D dimensions, of one of the families of this package.

    Returns:
      A ``numpyro.distributions.MixtureSameFamily`` with events of shape (D,).

    Raises:
      TypeError: mixture is not a `Mixture`, or its family is not built in.
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


def _components(components: Any) -> Any:
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
    raise TypeError(
        "NumPyro knows Gaussian and Laplace components, got "
        f"{type(components).__name__}: write its distribution yourself"
    )
