"""A mixture, and what its densities and responsibilities are computed from."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ..describing.summary import Described, Summary, cells_of, summary_of
from ..describing.words import normalized, numbers, on_host
from ..families.family import Responsibilities
from ..linalg import inlined
from ..pytrees import pytree
from .far import known_density, log_sum, shares, within_reach

_softmax = inlined(jax.nn.softmax)


@pytree
class Mixture(Described):
    r"""A weighted sum of components: $p(x) = \sum_k w_k\,p_k(x)$.

    Attributes:
      log_weights: (K,) logarithms of the weights, up to a constant. Any real numbers will do,
        because they are normalized where they are used; -inf leaves a component out.
      components: K components of one family, in one pytree.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> components = mixjax.DiagonalGaussian(jnp.array([[0.0], [5.0]]), jnp.ones((2, 1)))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.25, 0.75])), components)
      >>> mixture.weights.round(4).tolist(), mixture.n_components, mixture.n_features
      ([0.25, 0.75], 2, 1)

    Source: McLachlan and Peel, Finite Mixture Models (2000), equation 1.5.
    """

    log_weights: Array
    components: Any

    @property
    def weights(self) -> Array:
        """(K,) non-negative, of sum 1."""
        return _softmax(self.log_weights)

    @property
    def n_components(self) -> int:
        """K."""
        return self.components.shape[0]

    @property
    def n_features(self) -> int:
        """D."""
        return self.components.shape[1]

    @property
    def n_parameters(self) -> int:
        """Free parameters, those of the weights included."""
        return self.components.n_parameters + self.n_components - 1

    def _summary(self) -> Summary:
        headline, rows = summary_of(self.components)
        logs = on_host(self.log_weights)
        if logs is None or logs.ndim != 1:
            weights = "log_weights", cells_of(self.log_weights)
        else:
            weights = "weights", numbers(normalized(logs))
        return Summary(f"Mixture of {headline}", [weights, *rows])


def joint_log_prob(mixture: Mixture, x: Array) -> Array:
    """log w_k + log p_k(x), components first: (K, N)."""
    log_weights = jax.nn.log_softmax(mixture.log_weights)
    return mixture.components.log_prob(x).T + log_weights[:, None]


def log_density(mixture: Mixture, x: Array) -> Array:
    """log p(x) of a block of rows (N, D): (N,)."""
    return known_density(log_sum(joint_log_prob(mixture, x)), x)


def assignment(mixture: Mixture, x: Array) -> Array:
    """The responsibilities (K, N) of a block of rows (N, D); far rows go to what is nearest."""
    near = within_reach(mixture.components, x, nearest=True)
    return shares(joint_log_prob(mixture, near), mixture.log_weights)


def soft_assignment(mixture: Mixture) -> Responsibilities:
    """The responsibilities of a mixture, as a function of a block of rows."""

    def responsibilities(x: Array, index: Array) -> Array:
        return shares(joint_log_prob(mixture, x.T), mixture.log_weights)

    return responsibilities


def require(mixture: Any) -> None:
    """Raise unless it is a mixture."""
    if not isinstance(mixture, Mixture):
        raise TypeError(
            "mixture must be a mixjax.Mixture such as fit(...).mixture, "
            f"got {type(mixture).__name__}"
        )


def require_one(mixture: Any) -> None:
    """Raise unless it is a single mixture."""
    require(mixture)
    if jnp.ndim(mixture.log_weights) != 1:
        raise ValueError(
            f"mixture has leading axes {jnp.shape(mixture.log_weights)[:-1]}: pass one of them, "
            "for example fits[0].mixture"
        )
