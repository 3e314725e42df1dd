"""The base of the outlier detectors: scores, an offset, and decisions of ±1."""

from numbers import Real
from typing import Any, ClassVar, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ..threshold import percentile
from .steps import filled


class OutlierDetector(OutlierMixin, BaseEstimator):
    """Decides by the scores of a subclass, with the signs of scikit-learn.

    Attributes:
      offset_: rows with `score_samples` below it are outliers.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }
    contamination: Any
    random_state: Any
    # Whether NaN is a missing value.
    takes_holes: ClassVar[bool] = False

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Learn from rows X (n_samples, n_features), normal or mostly normal; y is ignored."""
        return self._fit(X)

    def _fit(self, X: Any, **known: Any) -> Self:  # noqa: N803
        """Learn from rows and further facts about them."""
        self._validate_params()
        x = self._checked(X, reset=True)
        seed = check_random_state(self.random_state).randint(2**31)
        self.offset_ = -self._learn(jax.random.key(seed), x, **known)
        if self.contamination != "auto":
            strange = self._strangeness(x).astype(getattr(x, "dtype", np.float64))
            self.offset_ = -float(percentile(strange, 100 * (1 - self.contamination)))
        return self

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """(n_samples,) how normal each row of X (n_samples, n_features) is; higher is normal."""
        return -self._strangeness(self._rows(X))

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """(n_samples,) `score_samples` minus ``offset_``; negative for outliers."""
        normality = self.score_samples(X)
        # Avoid the difference of two infinities.
        away = np.zeros_like(normality)
        return np.subtract(normality, self.offset_, out=away, where=normality != self.offset_)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """(n_samples,) 1 for normal rows of X, -1 for outliers."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _rows(self, X: Any) -> Any:  # noqa: N803
        check_is_fitted(self)
        return self._checked(X, reset=False)

    def _checked(self, X: Any, reset: bool) -> Any:  # noqa: N803
        return validate_data(
            self, X, dtype=[np.float64, np.float32], reset=reset,
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite="allow-nan" if self.takes_holes else True,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.takes_holes
        return tags

    def _strangeness(self, x: Any) -> np.ndarray:
        rows = filled(x, None)[0] if isinstance(x, np.ndarray) else x
        strangeness = np.asarray(self._scores(rows), np.float64)[: len(x)]
        return np.where(np.isnan(strangeness), np.inf, strangeness)

    def _learn(self, key: jax.Array, x: np.ndarray, **known: Any) -> float:
        """Learn, and return the score above which rows are strange."""
        raise NotImplementedError

    def _scores(self, x: np.ndarray) -> jax.Array:
        """(N,) scores; higher is stranger."""
        raise NotImplementedError
