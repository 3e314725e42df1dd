"""The starts of scikit-learn, with weights of rows."""

from typing import Any

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

STARTS = frozenset({"kmeans", "k-means++", "random", "random_from_data"})


def responsibilities(
    x: np.ndarray, n_components: int, init_params: str, weights: np.ndarray | None, rng: Any
) -> np.ndarray:
    """Responsibilities (N, K) for the first M-step.

    `"k-means++"` and `"random_from_data"` give each component one row.
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
            # With probability proportional to weight, as if rows were repeated.
            share = None if weights is None else weights / weights.sum(dtype=np.float64)
            rows = rng.choice(n, size=n_components, replace=False, p=share)
            resp[rows, np.arange(n_components)] = 1
        case "k-means++":
            _, rows = kmeans_plusplus(x, n_components, sample_weight=weights, random_state=rng)
            resp[rows, np.arange(n_components)] = 1
    return resp
