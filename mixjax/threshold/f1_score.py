"""The threshold that would have been best, for those who have labels."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..describing.summary import Described
from ..programs import jit
from ..pytrees import pytree
from .scores import above, anomalies_of, scores_of


@pytree
class BestF1(Described):
    """A threshold and what it reaches on the rows it was chosen by; all ().

    Attributes:
      threshold: flag what is above.
      f1: the harmonic mean of the two below.
      precision: the share of anomalies among the flagged.
      recall: the share of the flagged among the anomalies.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> best = mixjax.threshold.best_f1(jnp.array([1.0, 2.0, 3.0]), jnp.array([0, 0, 1]))
      >>> best.threshold.item(), best.f1.item()
      (2.5, 1.0)

    Source: van Rijsbergen, Information Retrieval (1979), chapter 7.
    """

    threshold: Array
    f1: Array
    precision: Array
    recall: Array

    def flags(self, scores: ArrayLike) -> Array:
        """Which of the scores are above the threshold; NaN is."""
        return above(scores, self.threshold)


def best_f1(scores: ArrayLike, labels: ArrayLike) -> BestF1:
    r"""The threshold of the highest $F_1 = 2PR/(P+R)$, of precision P and recall R.

    It promises to be the best for these rows. On others F1 will be lower: choose it by
    rows that are not those it is judged by.

    Args:
      scores: (N,) higher is stranger.
      labels: (N,) 1 or True for anomalies, 0 for normal rows.

    Returns:
      The threshold, halfway between two scores, and its precision, recall and F1. Of
      equally good ones the highest, which flags fewest rows.

    Raises:
      TypeError, ValueError: scores that are no floats of one axis, labels of another
        length or other than 0 and 1, or no anomaly at all.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> scores, labels = jnp.array([0.1, 0.9, 0.4, 0.8]), jnp.array([0, 1, 0, 0])
      >>> round(mixjax.threshold.best_f1(scores, labels).threshold.item(), 2)
      0.85

    Source: Lipton, Elkan and Naryanaswamy, Optimal Thresholding of Classifiers to Maximize
    F1 Measure (2014), section 3.
    """
    scores = scores_of(scores)
    return _best_f1(scores, anomalies_of(labels, len(scores)))


@jit
def _best_f1(scores: Array, labels: Array) -> BestF1:
    order = jnp.argsort(-scores)
    ordered, is_anomaly = scores[order], labels[order].astype(scores.dtype)
    hits = jnp.cumsum(is_anomaly)
    n_flagged = jnp.arange(1, len(scores) + 1, dtype=scores.dtype)
    f1 = 2 * hits / (n_flagged + hits[-1])
    following = jnp.append(ordered[1:], -jnp.inf)
    # Rows of one score are flagged together or not at all.
    f1 = jnp.where(ordered > following, f1, -1)
    i = jnp.argmax(f1)
    middle = following[i] + 0.5 * (ordered[i] - following[i])
    threshold = jnp.where(middle < ordered[i], middle, following[i])
    # Nothing is above minus infinity if all are.
    some = f1[i] >= 0
    found = jnp.where(some, hits[i], 0)
    return BestF1(
        jnp.where(some, threshold, ordered[0]), jnp.where(some, f1[i], 0),
        found / n_flagged[i], found / jnp.maximum(hits[-1], 1),
    )  # fmt: skip
