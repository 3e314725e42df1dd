"""The threshold of the highest F1 on labeled rows."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..describing.summary import Described
from ..programs import jit
from ..pytrees import pytree
from .scores import above, anomalies_of, scores_of


@pytree
class BestF1(Described):
    """A threshold, and its quality on the rows that it was chosen on; all ().

    Attributes:
      threshold: scores above it are flagged.
      f1: the harmonic mean of precision and recall.
      precision: the share of anomalies among flagged rows.
      recall: the share of flagged rows among anomalies.

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
        """Which scores are flagged: those above the threshold, and NaN."""
        return above(scores, self.threshold)


def best_f1(scores: ArrayLike, labels: ArrayLike) -> BestF1:
    r"""The threshold of the highest $F_1 = 2PR/(P+R)$, of precision P and recall R.

    It is the best threshold for these rows only. F1 will be lower on other rows, so do not
    evaluate it on the rows that it was chosen on.

    Args:
      scores: (N,) higher is stranger.
      labels: (N,) 1 or True for anomalies, 0 for normal rows.

    Returns:
      The threshold, halfway between two scores, and its precision, recall and F1. Among
      equally good thresholds it is the highest, which flags the fewest rows.

    Raises:
      TypeError, ValueError: scores are not floats of one axis; labels have the wrong length,
        hold other values than 0 and 1, or hold no anomaly.

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
    # Rows of equal score are flagged together or not at all.
    f1 = jnp.where(ordered > following, f1, -1)
    i = jnp.argmax(f1)
    middle = following[i] + 0.5 * (ordered[i] - following[i])
    threshold = jnp.where(middle < ordered[i], middle, following[i])
    # If all scores are minus infinity, none is above the threshold.
    some = f1[i] >= 0
    found = jnp.where(some, hits[i], 0)
    return BestF1(
        jnp.where(some, threshold, ordered[0]), jnp.where(some, f1[i], 0),
        found / n_flagged[i], found / jnp.maximum(hits[-1], 1),
    )  # fmt: skip
