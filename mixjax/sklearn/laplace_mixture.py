"""A mixture of Laplace components as an estimator for scikit-learn."""

from numbers import Integral, Real
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from ..families.laplace import Laplace
from ..mixture.maximization import m_step
from ..mixture.mixture import Mixture
from . import starts
from .estimator import EMEstimator


class LaplaceMixture(EMEstimator, DensityMixin, BaseEstimator):
    r"""A mixture of Laplace components: like `GaussianMixture`, but robust.

    $p(x) = \sum_k w_k\prod_d \tfrac1{2b_{kd}}\exp(-|x_d-m_{kd}|/b_{kd})$; the M-step takes
    weighted medians.

    Args:
      n_components: K.
      tol: the change of the mean log-likelihood, in nats, below which EM has converged.
      reg_covar: the smallest variance, in squared units of X.
      max_iter: the largest number of iterations.
      n_init: number of starts; the best fit is kept.
      init_params: "kmeans", "k-means++", "random" or "random_from_data".
      weights_init: (K,) initial weights, or None.
      locations_init: (K, D) initial locations, or None.
      scales_init: (K, D) initial scales, or None.
      random_state: an int, a RandomState or None.
      warm_start: whether a second `fit` continues from the first.
      verbose: 0, 1 or 2.
      verbose_interval: iterations between two messages.

    Attributes:
      weights_: (K,) weights, which sum to 1.
      locations_: (K, D) the medians.
      scales_: (K, D) the mean absolute deviations.
      converged_: whether the best start converged.
      n_iter_: iterations of the best start.
      lower_bound_: mean log-likelihood of the best start, in nats.
      lower_bounds_: (n_iter_,) mean log-likelihood of each iteration.

    Example:
      >>> import numpy as np
      >>> from mixjax.sklearn import LaplaceMixture
      >>> X = np.array([[0], [1], [2], [50], [51], [99.0]])
      >>> estimator = LaplaceMixture(2, random_state=0).fit(X)
      >>> sorted(estimator.locations_.round().ravel().tolist())
      [1.0, 51.0]

    Source: McLachlan and Peel, Finite Mixture Models (2000), section 2.8, with the maximum-
    likelihood estimates of the Laplace distribution.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(starts.STARTS))],
        "weights_init": ["array-like", None],
        "locations_init": ["array-like", None],
        "scales_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: Any = None,
        locations_init: Any = None,
        scales_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.locations_init = locations_init
        self.scales_init = scales_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (n_samples, D) and their components (n_samples,), sorted by component.

        Args:
          n_samples: number of rows.

        Raises:
          ValueError: n_samples is less than 1.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples} . The sampling requires at least one "
                "sample."
            )
        rng = check_random_state(self.random_state)
        weights = np.asarray(self.weights_, np.float64)
        counts = rng.multinomial(n_samples, weights / weights.sum())
        labels = np.repeat(np.arange(self.n_components), counts)
        return rng.laplace(self.locations_[labels], self.scales_[labels]), labels

    def _n_parameters(self) -> int:
        return 2 * self.locations_.size + self.n_components - 1

    def _require_parameters(self, x: np.ndarray) -> None:
        shapes: dict[str, tuple[int, ...]] = {"weights_init": (self.n_components,)}
        shapes |= dict.fromkeys(("locations_init", "scales_init"), (self.n_components, x.shape[1]))
        for name, shape in shapes.items():
            if getattr(self, name) is None:
                continue
            value = check_array(getattr(self, name), dtype=x.dtype, ensure_2d=False)
            if value.shape != shape:
                raise ValueError(
                    f"The parameter '{name}' should have the shape of {shape}, but got "
                    f"{value.shape}"
                )
            if name != "locations_init" and (value < 0).any():
                raise ValueError(f"The parameter '{name}' should not be negative")
            if name == "weights_init" and not np.isclose(value.sum(), 1, atol=1e-6):
                raise ValueError(
                    f"The parameter '{name}' should be normalized, but got a sum of {value.sum()}"
                )
            if name == "scales_init" and (value == 0).any():
                raise ValueError(f"The parameter '{name}' should be positive")

    def _begin(self, x: np.ndarray, weights: np.ndarray | None, random_state: Any) -> None:
        given = (self.weights_init, self.locations_init, self.scales_init)
        if any(value is None for value in given):
            resp = starts.responsibilities(
                x, self.n_components, self.init_params, weights, random_state
            )
            reg = max(self.reg_covar, float(np.finfo(x.dtype).tiny))
            self._publish(m_step(Laplace, x, resp, weights=weights, reg_covar=reg))
        for name, value in zip(("weights_", "locations_", "scales_"), given, strict=True):
            if value is not None:
                setattr(self, name, np.asarray(value, x.dtype))

    def _mixture(self, dtype: Any) -> Mixture:
        with np.errstate(divide="ignore"):
            log_weights = np.maximum(np.log(self.weights_), np.finfo(dtype).min / 4)
        leaves = (jnp.asarray(v, dtype) for v in (log_weights, self.locations_, self.scales_))
        log_weights, locations, scales = leaves
        return Mixture(log_weights, Laplace(locations, scales))

    def _publish(self, mixture: Mixture) -> None:
        weights = np.asarray(mixture.weights)
        self.weights_ = weights / weights.sum()
        self.locations_ = np.asarray(mixture.components.locations)
        self.scales_ = np.asarray(mixture.components.scales)

    def _ill_defined(self, mixture: Mixture, x: np.ndarray) -> bool:
        scales = np.asarray(mixture.components.scales)
        limit = 2 * float(np.finfo(x.dtype).eps) * np.std(x, axis=0)
        return bool(np.any((scales <= limit) & (np.sqrt(self.reg_covar) <= limit)))
