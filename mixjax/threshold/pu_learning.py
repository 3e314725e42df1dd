"""A threshold from labelled normal rows, where the others have no label."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from .. import checks
from ..describing.summary import Described
from ..programs import jit, on_device
from ..pytrees import pytree
from .scores import above

_mean = jit(jnp.mean)


@pytree
class ElkanNoto(Described):
    r"""What makes predictions of "labelled" into predictions of "normal".

    Attributes:
      c: () $p(\text{labelled} \mid \text{normal})$.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> rule = mixjax.threshold.elkan_noto(jnp.array([0.2, 0.3]))
      >>> rule.normal_probability(jnp.array([0.125, 0.25, 0.5])).round(2).tolist()
      [0.5, 1.0, 1.0]

    Source: Elkan and Noto, Learning Classifiers from Only Positive and Unlabeled Data
    (2008), lemma 1.
    """

    c: Array

    @property
    def threshold(self) -> Array:
        """() the prediction below which a row is more likely an anomaly: c / 2."""
        return 0.5 * self.c

    def is_anomaly(self, predictions: ArrayLike) -> Array:
        """Which predictions of p(labelled | x) are below the threshold; NaN is."""
        return _below(on_device(predictions), self.threshold)

    def normal_probability(self, predictions: ArrayLike) -> Array:
        """p(normal | x) from predictions of p(labelled | x), of any shape."""
        return _share(on_device(predictions), self.c)


def elkan_noto(labelled_predictions: ArrayLike) -> ElkanNoto:
    r"""The threshold of a positive-unlabelled classifier: $c/2$, $c = \overline{p}$.

    Where the labelled rows are drawn at random from the normal ones,
    $p(\text{normal}\mid x) = p(\text{labelled}\mid x)/c$, and c is the mean prediction
    for labelled rows that the classifier has not seen. The probability is that of a row
    drawn from labelled and unlabelled ones together, as the classifier's was.

    Args:
      labelled_predictions: (N,) p(labelled | x) of held-out labelled rows.

    Returns:
      c, the threshold c / 2 and the corrected probabilities.

    Raises:
      ValueError: no predictions, other axes, no floats, values outside of 0 to 1, or
        only zeros.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> mixjax.threshold.elkan_noto(jnp.array([0.2, 0.3])).threshold.round(3).item()
      0.125

    Source: Elkan and Noto (2008), section 2, the estimator e1.
    """
    predictions = on_device(labelled_predictions)
    if predictions.ndim != 1 or predictions.size == 0:
        raise ValueError(
            f"labelled_predictions must have shape (rows,) with a row, got {predictions.shape}"
        )
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        raise ValueError(f"labelled_predictions must be probabilities, got {predictions.dtype}")
    if checks.is_concrete(predictions):
        host = np.asarray(predictions)
        if not ((host >= 0) & (host <= 1)).all():
            raise ValueError("labelled_predictions must be probabilities, from 0 to 1")
        if not host.any():
            raise ValueError("labelled_predictions are all 0: the classifier knows no normal row")
    return ElkanNoto(_mean(predictions))


@jit
def _below(predictions: Array, threshold: Array) -> Array:
    return above(-predictions, -threshold)


@jit
def _share(predictions: Array, c: Array) -> Array:
    return jnp.minimum(predictions / c, 1)
