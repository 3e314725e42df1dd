"""`mixjax.detect` as an estimator for scikit-learn."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import jax
import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_feature_names, _check_n_features

from .. import detect
from ..detect.learning import MOST_ROWS
from ..families.family import Family
from ..rows.frames import is_frame
from ..rows.observed import Observed
from .conversion import families_by_word
from .outliers import OutlierDetector


class MixtureDetector(OutlierDetector):
    r"""Outliers by automatically selected mixtures; see `mixjax.detect.fit`.

    ``score_samples`` is $\log\bar p$, with $\bar p$ the harmonic mean of the p-values of the
    families.

    Args:
      n_components: numbers of components to compare: one or several ints, or "auto".
      covariance_type: "full", "tied", "diag" or "spherical", the word of another family such as
        "laplace", several of these, or "auto" for all that suit the number of columns of X.
      contamination: the share of outliers in X; "auto" treats all rows of X as normal and keeps
        the promise of ``alpha``.
      alpha: the promised rate of false alarms among new normal rows.
      max_rows: fit at most this many rows, drawn at random.
      random_state: an int, a RandomState or None.
      verbose: whether to show a progress bar (needs rich).
      kinds: which columns hold categories, see `mixjax.detect.fit`. "auto" also takes frames with
        columns of text as they are.

    NaN is a missing value.

    Attributes:
      detector_: the `mixjax.detect.Detector`; it has p-values and can be saved by `mixjax.save`.
      offset_: rows with `score_samples` below it are outliers.

    Example:
      >>> import numpy as np
      >>> from mixjax.sklearn import MixtureDetector
      >>> X = np.random.default_rng(0).normal(size=(200, 2))
      >>> detector = MixtureDetector(1, covariance_type="full", random_state=0).fit(X)
      >>> detector.predict([[0.0, 0.0], [9.0, 9.0]]).tolist()
      [1, -1]

    Source: as `mixjax.detect.fit`.
    """

    takes_holes: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **OutlierDetector._parameter_constraints,
        "n_components": [
            StrOptions({"auto"}), Interval(Integral, 1, None, closed="left"), "array-like",
        ],
        "covariance_type": [str, "array-like"],
        "alpha": [Interval(Real, 0, 1, closed="left")],
        "max_rows": [Interval(Integral, 10, None, closed="left")],
        "verbose": ["verbose"],
        "kinds": [StrOptions({"auto"}), "array-like", dict, None],
    }  # fmt: skip

    def __init__(
        self,
        n_components: int | Sequence[int] | str = "auto",
        *,
        covariance_type: str | Sequence[str] = "auto",
        contamination: float | str = "auto",
        alpha: float = 0.05,
        max_rows: int = MOST_ROWS,
        random_state: Any = None,
        verbose: int = 0,
        kinds: Any = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.contamination = contamination
        self.alpha = alpha
        self.max_rows = max_rows
        self.random_state = random_state
        self.verbose = verbose
        self.kinds = kinds

    def explain(self, X: Any) -> np.ndarray:  # noqa: N803
        """(n_samples, n_features) the surprise of each column minus its normal mean, in nats."""
        rows = self._rows(X)
        return np.asarray(self.detector_.explain(_known(rows)))

    def _checked(self, X: Any, reset: bool) -> Any:  # noqa: N803
        if self.kinds is None or not is_frame(X):
            return super()._checked(X, reset)
        _check_feature_names(self, X, reset=reset)
        _check_n_features(self, X, reset=reset)
        return X

    def _learn(self, key: jax.Array, x: np.ndarray, **known: Any) -> float:
        n_components: Any = self.n_components
        if not isinstance(n_components, str):
            n_components = np.atleast_1d(n_components).tolist()
        self.detector_ = detect.fit(
            key,
            _known(x),
            families=self._families(),
            n_components=n_components,
            feature_names=getattr(self, "feature_names_in_", None),
            alpha=self.alpha,
            contamination=0.0 if self.contamination == "auto" else self._most(),
            max_rows=self.max_rows,
            progress=bool(self.verbose),
            kinds=self.kinds,
        )
        return float(self.detector_.threshold)

    def _most(self) -> float:
        # scikit-learn allows exactly half of the rows as outliers, detect.fit only less.
        return min(self.contamination, 0.499)

    def _families(self) -> list[type[Family]] | None:
        if isinstance(self.covariance_type, str) and self.covariance_type == "auto":
            return None
        words, known = np.atleast_1d(self.covariance_type).tolist(), families_by_word()
        if not words or not set(words) <= set(known):
            raise ValueError(
                f"covariance_type must be auto or of {', '.join(known)}; got "
                f"{self.covariance_type!r}"
            )
        return [known[word] for word in words]

    def _scores(self, x: np.ndarray) -> jax.Array:
        return self.detector_.scores(_known(x))


def _known(x: Any) -> Any:
    """The rows, some of which may be unknown; a frame may hold missing values of any kind."""
    complete = isinstance(x, np.ndarray) and not np.isnan(x).any()
    return x if complete else Observed(x)
