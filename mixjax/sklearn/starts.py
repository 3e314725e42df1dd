"""Where EM begins, as scikit-learn does it, with weights of rows."""

from typing import Any

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

STARTS = frozenset({"kmeans", "k-means++", "random", "random_from_data"})


def responsibilities(
    x: np.ndarray, n_components: int, init_params: str, weights: np.ndarray | None, rng: Any
) -> np.ndarray:
    """Responsibilities (N, K) by which the first M-step is taken.

    Those of `"k-means++"` and `"random_from_data"` are of one row a component.
    """
    n = len(x)
    resp = np.zeros((n, n_components), x.dtype)
    match init_params:
        case "kmeans":
            kmeans = KMeans(n_components, n_init=1, random_state=rng)
            resp[np.arange(n), kmeans.fit(x, sample_weight=weights).labels_] = 1
        case "random":
            resp = rng.uniform(size=(n, n_components)).astype(x.dtype)
            resp /= resp.sum(axis=1, keepdims=True)
        case "random_from_data":
            # As often as its weight says, as if a row stood there so many times.
            share = None if weights is None else weights / weights.sum(dtype=np.float64)
            rows = rng.choice(n, size=n_components, replace=False, p=share)
            resp[rows, np.arange(n_components)] = 1
        case "k-means++":
            _, rows = kmeans_plusplus(x, n_components, sample_weight=weights, random_state=rng)
            resp[rows, np.arange(n_components)] = 1
    return resp
