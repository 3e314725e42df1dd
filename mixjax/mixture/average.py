"""A weighted average of mixtures of any families."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ..describing.summary import Described, Summary, fields_of, summary_of
from ..describing.words import counted, normalized, number, on_host
from ..programs import jit
from ..pytrees import pytree
from .far import log_sum
from .questions import log_prob


@pytree
class Average(Described):
    r"""A mixture of mixtures: $p(x) = \sum_m w_m\,p_m(x)$.

    Attributes:
      log_weights: (M,) logarithms of the weights.
      mixtures: the M mixtures; families and numbers of components may differ.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> sharp = mixjax.Laplace(jnp.zeros((1, 1)), jnp.ones((1, 1)))
      >>> round_ = mixjax.SphericalGaussian(jnp.ones((1, 1)), jnp.ones(1))
      >>> one, two = (mixjax.Mixture(jnp.zeros(1), f) for f in (sharp, round_))
      >>> average = mixjax.Average(jnp.log(jnp.array([0.5, 0.5])), (one, two))
      >>> round(jnp.exp(-average.energy(jnp.zeros((1, 1)))).item(), 3)
      0.371

    Source: Hoeting et al., Bayesian Model Averaging: A Tutorial (1999), equation 1.
    """

    log_weights: Array
    mixtures: tuple[Any, ...]

    @property
    def weights(self) -> Array:
        """(M,) non-negative, of sum 1."""
        return jax.nn.softmax(self.log_weights)

    def energy(self, x: ArrayLike) -> Array:
        """(N,) minus the log-density of the average, in nats."""
        return _averaged(self.log_weights, [log_prob(mixture, x) for mixture in self.mixtures])

    def _summary(self) -> Summary:
        logs = on_host(self.log_weights)
        if logs is None or logs.ndim != 1:
            return fields_of(self)
        weights = normalized(logs)
        order = np.argsort(-weights, kind="stable")
        rows = [
            (number(weights[i], 3), [summary_of(self.mixtures[i].components).headline])
            for i in order
        ]
        return Summary(f"Average of {counted(len(order), 'mixture')}, by weight", rows)


@jit
def _averaged(log_weights: Array, each: list[Array]) -> Array:
    return -log_sum(jnp.stack(each) + jax.nn.log_softmax(log_weights)[:, None])
