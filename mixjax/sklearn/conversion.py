"""Conversion between mixtures and scikit-learn estimators."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import mixture as peer
from sklearn.utils.validation import check_is_fitted

from ..families import known
from ..families.diagonal import DiagonalGaussian
from ..families.family import Family
from ..families.gaussian import Gaussian
from ..families.spherical import SphericalGaussian
from ..families.tied import TiedGaussian
from ..mixture.mixture import Mixture, require_one

# scikit-learn has these four, and no others.
COVARIANCE_TYPES: dict[type[Family], str] = {
    Gaussian: "full",
    TiedGaussian: "tied",
    DiagonalGaussian: "diag",
    SphericalGaussian: "spherical",
}
FAMILIES = {word: family for family, word in COVARIANCE_TYPES.items()}


def families_by_word() -> dict[str, type[Family]]:
    """The families by scikit-learn's words for them, and by their own."""
    return FAMILIES | known.by_word()


def to_sklearn(mixture: Mixture) -> peer.GaussianMixture:
    r"""A Gaussian mixture as a fitted scikit-learn estimator, exact to rounding.

    skl2onnx can write it as ONNX, and emlearn as C.

    Args:
      mixture: components of `Gaussian`, `TiedGaussian`, `DiagonalGaussian` or
        `SphericalGaussian`.

    Returns:
      A ``sklearn.mixture.GaussianMixture`` that needs no fit.

    Raises:
      TypeError: mixture is not a `Mixture`, or has another family.
      ValueError: several mixtures at once.

    Example:
      >>> import jax, mixjax, mixjax.sklearn
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> mixture = mixjax.fit(jax.random.key(1), x, 2).mixture
      >>> mixjax.sklearn.to_sklearn(mixture).predict(x).shape
      (100,)

    Source: scikit-learn 1.9, ``sklearn.mixture.GaussianMixture``, attributes.
    """
    require_one(mixture)
    family = type(mixture.components)
    if family not in COVARIANCE_TYPES:
        raise TypeError(
            "mixture must have Gaussian components, because scikit-learn has no other mixtures; "
            f"got {family.__name__}"
        )
    estimator = peer.GaussianMixture(mixture.n_components, covariance_type=COVARIANCE_TYPES[family])
    publish(estimator, mixture)
    estimator.n_features_in_ = mixture.n_features
    estimator.converged_ = True
    estimator.n_iter_ = 0
    estimator.lower_bound_ = -np.inf
    estimator.lower_bounds_ = []
    return estimator


def from_sklearn(estimator: Any) -> Mixture:
    r"""The mixture of a fitted scikit-learn ``GaussianMixture``, exact to rounding.

    Args:
      estimator: a fitted estimator of scikit-learn or `mixjax.sklearn`.

    Returns:
      The mixture; it is float64 if the estimator is and ``jax_enable_x64`` is set.

    Raises:
      TypeError: estimator is not a ``GaussianMixture``.
      NotFittedError: estimator has not been fitted.

    Example:
      >>> import numpy as np, mixjax.sklearn
      >>> from sklearn.mixture import GaussianMixture
      >>> estimator = GaussianMixture(2, random_state=0).fit(np.array([[0.0], [1], [8], [9]]))
      >>> sorted(mixjax.sklearn.from_sklearn(estimator).weights.round(2).tolist())
      [0.5, 0.5]

    Source: scikit-learn 1.9, ``sklearn.mixture.GaussianMixture``, attributes.
    """
    if not isinstance(estimator, peer.GaussianMixture):
        raise TypeError(
            f"estimator must be a sklearn.mixture.GaussianMixture, got {type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    return mixture_of(estimator, estimator.means_.dtype)


def mixture_of(estimator: Any, dtype: Any) -> Mixture:
    """The mixture with the parameters of an estimator."""
    family: Any = FAMILIES[estimator.covariance_type]
    root = np.asarray(estimator.precisions_cholesky_)
    # scikit-learn keeps the upper-triangular U of P = U U^T; its transpose whitens.
    whitening = 1 / root if family.independent_columns else np.swapaxes(root, -1, -2)
    components = family(estimator.means_, whitening)
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.asarray(estimator.weights_))
    # A weight of zero may be given, but its logarithm must be finite for a fit.
    log_weights = np.maximum(log_weights, np.finfo(dtype).min / 4)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), Mixture(log_weights, components))


def publish(estimator: Any, mixture: Mixture) -> None:
    """Set the attributes of scikit-learn from the mixture."""
    family = type(mixture.components)
    means, root = (np.asarray(leaf) for leaf in jax.tree.leaves(mixture.components))
    weights = np.asarray(mixture.weights)
    estimator.weights_ = weights / weights.sum()
    estimator.means_ = means
    if family.independent_columns:
        estimator.precisions_cholesky_ = 1 / root
        estimator.precisions_ = estimator.precisions_cholesky_**2
        estimator.covariances_ = root**2
    else:
        upper = np.swapaxes(root, -1, -2)
        lower = np.tril(np.linalg.inv(root))
        estimator.precisions_cholesky_ = upper
        estimator.precisions_ = upper @ root
        estimator.covariances_ = lower @ np.swapaxes(lower, -1, -2)
