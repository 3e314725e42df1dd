"""scikit-learn's `GaussianMixture`, fitted by mixjax."""

from typing import Any, Self

import jax
import numpy as np
from sklearn import config_context
from sklearn import mixture as peer
from sklearn.utils.validation import _check_sample_weight, validate_data

from ..mixture.maximization import m_step
from ..mixture.mixture import Mixture
from ..streaming.stepwise import Stepwise, update
from . import conversion, starts, steps
from .estimator import EMEstimator

# How fast the weight of the t-th of equal batches falls: t to minus this power, from 1/2 to 1.
FORGETTING = 0.6


class GaussianMixture(EMEstimator, peer.GaussianMixture):
    r"""A drop-in replacement for ``sklearn.mixture.GaussianMixture``, fitted by compiled EM.

    $p(x) = \sum_k w_k\,\mathcal N(x\mid\mu_k,\Sigma_k)$. Parameters, attributes, methods and
    warnings are scikit-learn's. The same ``random_state`` gives the same start and the same
    steps, in the precision of X. In addition, `fit` takes ``sample_weight``.

    Args:
      n_components: K.
      covariance_type: "full", "tied", "diag" or "spherical".
      tol: the change of the mean log-likelihood, in nats, below which EM has converged.
      reg_covar: added to the diagonals of the covariances, in squared units of X.
      max_iter: the largest number of iterations.
      n_init: number of starts; the best fit is kept.
      init_params: "kmeans", "k-means++", "random" or "random_from_data".
      weights_init: (K,) initial weights, or None.
      means_init: (K, D) initial means, or None.
      precisions_init: initial precisions, of the shape of ``precisions_``, or None.
      random_state: an int, a RandomState or None.
      warm_start: whether a second `fit` continues from the first.
      verbose: 0, 1 or 2.
      verbose_interval: iterations between two messages.

    Attributes:
      weights_: (K,) weights, which sum to 1.
      means_: (K, D).
      covariances_: (K, D, D), (D, D), (K, D) or (K,) by ``covariance_type``.
      precisions_: inverses of the covariances.
      precisions_cholesky_: upper-triangular roots of the precisions, $P = UU^\top$.
      converged_: whether the best start converged.
      n_iter_: iterations of the best start.
      lower_bound_: mean log-likelihood of the best start, in nats.
      lower_bounds_: (n_iter_,) mean log-likelihood of each iteration.

    Example:
      >>> import numpy as np
      >>> from mixjax.sklearn import GaussianMixture
      >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0.0]])
      >>> estimator = GaussianMixture(n_components=2, random_state=0).fit(X)
      >>> sorted(estimator.means_.round(2).tolist())
      [[1.0, 2.0], [10.0, 2.0]]

    Source: scikit-learn 1.9, ``sklearn.mixture.GaussianMixture``; Bishop, Pattern Recognition
    and Machine Learning (2006), section 9.2.2.
    """

    means_: Any
    _stream: Any

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Follow a stream by one step of stepwise EM; see `mixjax.update`.

        The first batch is fitted whole, unless `fit` was called before. A later one of n rows,
        after N rows, counts for $(1 + N/n)^{-0.6}$ of all that was learned.

        Args:
          X: (n_samples, n_features) the next rows, without missing values; of the first batch at
            least as many as components, of others one is enough.
          y: ignored.
          sample_weight: (n_samples,) weight of each row; None for 1 each.

        Returns:
          The estimator itself.

        Raises:
          ValueError: as `fit`; or X has NaN.

        Source: Cappé and Moulines, On-line Expectation-Maximization Algorithm for Latent Data
        Models (2009), section 2.
        """
        self._validate_params()
        first = not hasattr(self, "weights_")
        with config_context(array_api_dispatch=False):
            x = validate_data(
                self, X, dtype=[np.float64, np.float32], reset=first,
                ensure_min_samples=2 if first else 1,
            )  # fmt: skip
            if sample_weight is not None:
                sample_weight = _check_sample_weight(
                    sample_weight, x, dtype=x.dtype, ensure_non_negative=True
                )
        if first:
            self._fit(x, sample_weight)
        if not hasattr(self, "_stream"):
            dtype = np.asarray(self.means_).dtype
            with steps.precision(dtype):
                state = Stepwise.of(self._mixture(dtype), reg_covar=self.reg_covar)
            self._stream = state, self._n_fitted
        if first:
            return self
        state, n_seen = self._stream
        share = (1 + n_seen / len(x)) ** -FORGETTING
        with steps.precision(state.shift.dtype):
            state = update(state, x, share, weights=sample_weight)
        self._stream = state, n_seen + len(x)
        self._publish(state.mixture)
        return self

    def _require_parameters(self, x: np.ndarray) -> None:
        self._check_parameters(x, xp=np)

    def _begin(self, x: np.ndarray, weights: np.ndarray | None, random_state: Any) -> None:
        if weights is None:
            # scikit-learn's formula to the digit, although it is not always maximum likelihood.
            self._initialize_parameters(x, random_state)
            return
        resp = starts.responsibilities(
            x, self.n_components, self.init_params, weights, random_state
        )
        family = conversion.FAMILIES[self.covariance_type]
        mixture = m_step(family, x, resp, weights=weights, reg_covar=float(self.reg_covar))
        conversion.publish(self, mixture)
        weights_, means_ = self.weights_, self.means_
        if self.precisions_init is not None:
            self._initialize(x, None)
        self.weights_ = weights_ if self.weights_init is None else self.weights_init
        self.means_ = means_ if self.means_init is None else self.means_init

    def _mixture(self, dtype: Any) -> Mixture:
        return conversion.mixture_of(self, dtype)

    def _publish(self, mixture: Mixture) -> None:
        conversion.publish(self, mixture)

    def _fit(self, X: Any, sample_weight: Any) -> np.ndarray:  # noqa: N803
        if hasattr(self, "_stream"):
            del self._stream
        return super()._fit(X, sample_weight)

    def _ill_defined(self, mixture: Mixture, x: np.ndarray) -> bool:
        """Whether a variance is not larger than rounding error."""
        root = np.asarray(jax.tree.leaves(mixture.components)[1])
        eps, spread = float(np.finfo(x.dtype).eps), np.std(x, axis=0)
        none = (2 * eps * (spread if root.ndim > 1 else spread.max())) ** 2
        if mixture.components.independent_columns:
            given = root**2
        else:
            given = 1 / np.diagonal(root, axis1=-2, axis2=-1) ** 2
            own = np.sum(np.linalg.inv(root) ** 2, axis=-1)
            none = np.maximum(none, 20 * eps * x.shape[1] * own)
        return bool(np.any((given <= none) & (self.reg_covar <= none)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = False
        return tags
