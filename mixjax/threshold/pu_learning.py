"""A threshold from labeled normal rows, when the other rows have no labels."""

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
    r"""The correction from predictions of "labeled" to predictions of "normal".

    Attributes:
      c: () $p(\text{labeled} \mid \text{normal})$.

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
        """() c / 2: below this prediction a row is more likely an anomaly."""
        return 0.5 * self.c

    def is_anomaly(self, predictions: ArrayLike) -> Array:
        """Which rows are anomalies: predictions of p(labeled | x) below the threshold, and NaN."""
        return _below(on_device(predictions), self.threshold)

    def normal_probability(self, predictions: ArrayLike) -> Array:
        """p(normal | x) from predictions of p(labeled | x), of any shape."""
        return _share(on_device(predictions), self.c)


def elkan_noto(labeled_predictions: ArrayLike) -> ElkanNoto:
    r"""The threshold of a positive-unlabeled classifier: $c/2$, $c = \overline{p}$.

    If the labeled rows are drawn at random from the normal ones,
    $p(\text{normal}\mid x) = p(\text{labeled}\mid x)/c$, and c is the mean prediction
    for labeled rows that the classifier was not trained on. The probability is that of a row
    drawn from labeled and unlabeled rows together, as for the classifier.

    Args:
      labeled_predictions: (N,) p(labeled | x) of held-out labeled rows.

    Returns:
      c, the threshold c / 2 and the corrected probabilities.

    Raises:
      ValueError: predictions are empty, not floats of one axis, outside [0, 1], or all 0.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> mixjax.threshold.elkan_noto(jnp.array([0.2, 0.3])).threshold.round(3).item()
      0.125

    Source: Elkan and Noto (2008), section 2, the estimator e1.
    """
    predictions = on_device(labeled_predictions)
    if predictions.ndim != 1 or predictions.size == 0:
        raise ValueError(
            f"labeled_predictions must have shape (rows,) and not be empty, got {predictions.shape}"
        )
    if not jnp.issubdtype(predictions.dtype, jnp.floating):
        raise ValueError(f"labeled_predictions must be probabilities, got {predictions.dtype}")
    if checks.is_concrete(predictions):
        host = np.asarray(predictions)
        if not ((host >= 0) & (host <= 1)).all():
            raise ValueError("labeled_predictions must be probabilities, from 0 to 1")
        if not host.any():
            raise ValueError("labeled_predictions are all 0: the classifier finds no normal row")
    return ElkanNoto(_mean(predictions))


@jit
def _below(predictions: Array, threshold: Array) -> Array:
    return above(-predictions, -threshold)


@jit
def _share(predictions: Array, c: Array) -> Array:
    return jnp.minimum(predictions / c, 1)
