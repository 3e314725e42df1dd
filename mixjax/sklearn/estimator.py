"""The base of the mixture estimators: EM, and predictions from a fit."""

import math
import time
import warnings
from typing import Any, Self

import numpy as np
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..mixture.mixture import Mixture, log_density
from ..rows.observed import packed, with_means
from . import steps

ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)
SINGLE = " The numerical accuracy can also be improved by passing float64 data instead of float32."
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or "
    "increase max_iter, tol, or check for degenerate data."
)


class EMEstimator:
    """Fits a mixture as scikit-learn does, by compiled EM.

    A subclass defines the start (`_begin` sets its parameters from rows), the mixture of its
    parameters (`_mixture`), how they are set (`_publish`), and when a mixture is ill-defined
    (`_ill_defined`).
    """

    n_components: int
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    random_state: Any
    warm_start: bool
    verbose: int
    verbose_interval: int
    weights_: Any
    converged_: bool
    n_iter_: int
    lower_bound_: float
    lower_bounds_: list[float]
    _n_fitted: int
    _validate_params: Any
    _n_parameters: Any

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Fit the mixture by EM.

        Args:
          X: (n_samples, n_features) rows; NaN is a missing value.
          y: ignored.
          sample_weight: (n_samples,) weight of each row; None for 1 each. A row of weight 0
            counts as absent.

        Returns:
          The estimator itself.

        Raises:
          ValueError: a parameter or X is invalid, a column has no value, or covariances are
            ill-defined.
        """
        self._fit(X, sample_weight)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:  # noqa: N803
        """Fit, and return the most probable component (n_samples,) of each row."""
        x = self._fit(X, sample_weight)
        return self._ask(steps.labels, x)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """The most probable component (n_samples,) of each row of X (n_samples, n_features)."""
        return self._ask(steps.labels, self._rows(X))

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Responsibilities (n_samples, n_components) of each row of X (n_samples, n_features)."""
        return self._ask(steps.probabilities, self._rows(X))

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Log-density (n_samples,) of each row of X (n_samples, n_features), in nats."""
        return self._ask(log_density, self._rows(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """The (weighted) mean of `score_samples` over the rows of X."""
        log_density = self.score_samples(X)
        if sample_weight is None:
            return float(np.mean(log_density))
        return float(np.average(log_density, weights=sample_weight))

    def bic(self, X: Any) -> float:  # noqa: N803
        """Bayesian information criterion on X (n_samples, n_features); lower is better."""
        # A row without any value is no row.
        n = int((~np.isnan(self._rows(X)).all(axis=1)).sum())
        return -2 * self.score(X) * len(X) + self._n_parameters() * math.log(n)

    def aic(self, X: Any) -> float:  # noqa: N803
        """Akaike information criterion on X (n_samples, n_features); lower is better."""
        return -2 * self.score(X) * len(X) + 2 * self._n_parameters()

    def _rows(self, X: Any) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        with config_context(array_api_dispatch=False):
            return validate_data(self, X, reset=False, ensure_all_finite="allow-nan")

    def _ask(self, question: Any, x: np.ndarray) -> np.ndarray:
        dtype = np.result_type(x.dtype, self.weights_, np.float32)
        with steps.precision(dtype):
            mixture, rows = self._mixture(dtype), x.astype(dtype, copy=False)
            if np.isnan(rows).any():
                mixture, rows = steps.observing_mixture(mixture), packed(rows, None, False)
            return steps.ask(question, mixture, rows)

    def _fit(self, X: Any, sample_weight: Any) -> np.ndarray:  # noqa: N803
        self._validate_params()
        # Arrays of other libraries become NumPy arrays.
        with config_context(array_api_dispatch=False):
            return self._fit_rows(X, sample_weight)

    def _fit_rows(self, X: Any, sample_weight: Any) -> np.ndarray:  # noqa: N803
        x = validate_data(
            self, X, dtype=[np.float64, np.float32], ensure_min_samples=2,
            ensure_all_finite="allow-nan",
        )  # fmt: skip
        known = ~np.isnan(x)
        if not known.any(axis=0).all():
            columns = ", ".join(map(str, np.flatnonzero(~known.any(axis=0))[:10]))
            raise ValueError(f"X has no value in the columns {columns}: leave them out")
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, x, dtype=x.dtype, ensure_non_negative=True
            )
        there = known.any(axis=1) if weights is None else known.any(axis=1) & (weights > 0)
        present, weights = x[there], None if weights is None else weights[there]
        if len(present) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {len(present)}"
            )
        self._require_parameters(present)
        self._n_fitted = len(present)
        with steps.precision(x.dtype):
            self._best_of(present, weights)
        return x

    def _best_of(self, x: np.ndarray, weights: np.ndarray | None) -> None:
        """Fit from each start, and keep the parameters of highest likelihood."""
        warm = self.warm_start and hasattr(self, "converged_")
        random_state = check_random_state(self.random_state)
        incomplete, rows = bool(np.isnan(x).any()), steps.filled(x, weights)
        if incomplete:
            rows = steps.filled(packed(x, None, False), weights)
            # What starts see; EM does not.
            x = with_means(x)
        self.converged_ = False
        best: Any = None
        self.lower_bound_ = self.lower_bound_ if warm else -np.inf
        for number in range(1 if warm else self.n_init):
            verbosity = Verbosity(self.verbose, self.verbose_interval, number)
            if not warm:
                self._begin(x, weights, random_state)
            begin = self._mixture(x.dtype)
            begin = steps.observing_mixture(begin) if incomplete else begin
            if self.max_iter == 0:
                best = (begin, 0, -np.inf, [])
                continue
            mixture, bounds, converged = self._iterate(
                begin, rows, x, -self.lower_bound_, verbosity
            )
            verbosity.end(bounds[-1], converged)
            if best is None or bounds[-1] > best[2]:
                best = (mixture, len(bounds), bounds[-1], bounds)
                self.converged_ = converged
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(NOT_CONVERGED, ConvergenceWarning, stacklevel=6)
        mixture, self.n_iter_, self.lower_bound_, self.lower_bounds_ = best
        self._publish(Mixture(mixture.log_weights, mixture.components.released()))

    def _iterate(
        self,
        mixture: Mixture,
        rows: tuple[np.ndarray, np.ndarray | None],
        values: np.ndarray,
        before: float,
        verbosity: "Verbosity",
    ) -> tuple[Mixture, list[float], bool]:
        """EM from a mixture: the result, the lower bounds, and whether it converged.

        Where values are missing the rows are packed; ``values`` are as starts see them.
        """
        x, dtype = rows[0], rows[0].dtype.type
        bounds: list[float] = []
        # With verbose output, a call runs as many iterations as are reported together.
        step = min(steps.RECORDED, self.verbose_interval if self.verbose else self.max_iter)
        converged = False
        while len(bounds) < self.max_iter and not converged:
            limit = min(step, self.max_iter - len(bounds))
            done = steps.run(
                mixture, x, rows[1], dtype(self.reg_covar), dtype(self.tol), np.int32(limit),
                dtype(before),
            )  # fmt: skip
            mixture, converged = done.mixture, bool(done.converged)
            energies = np.asarray(done.energies)[: int(done.n_iter)]
            # Without convergence only a warning is given: as in scikit-learn, rounding would decide
            # whether the last M-step fails.
            ended = converged or len(bounds) + len(energies) < self.max_iter
            plain = Mixture(mixture.log_weights, mixture.components.released())
            if not done.finite or (ended and self._ill_defined(plain, values)):
                raise ValueError(ILL_DEFINED + (SINGLE if x.dtype == np.float32 else ""))
            changes = -np.diff(energies, prepend=before)
            for energy, change in zip(energies.tolist(), changes.tolist(), strict=True):
                bounds.append(-energy)
                verbosity.iteration(len(bounds), change)
            before = energies[-1]
        return mixture, bounds, converged

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _ill_defined(self, mixture: Mixture, x: np.ndarray) -> bool:
        raise NotImplementedError

    def _require_parameters(self, x: np.ndarray) -> None:
        raise NotImplementedError

    def _begin(self, x: np.ndarray, weights: np.ndarray | None, random_state: Any) -> None:
        raise NotImplementedError

    def _mixture(self, dtype: Any) -> Mixture:
        raise NotImplementedError

    def _publish(self, mixture: Mixture) -> None:
        raise NotImplementedError


class Verbosity:
    """Progress messages during a fit, in the words of scikit-learn."""

    def __init__(self, verbose: int, interval: int, start: int) -> None:
        self.verbose, self.interval = verbose, interval
        self.begun = self.last = time.perf_counter()
        if verbose:
            print(f"Initialization {start}")

    def iteration(self, number: int, change: float) -> None:
        """Report an iteration and the change of the lower bound."""
        if not self.verbose or number % self.interval:
            return
        if self.verbose == 1:
            print(f"  Iteration {number}")
            return
        now = time.perf_counter()
        print(f"  Iteration {number}\t time lapse {now - self.last:.5f}s\t ll change {change:.5f}")
        self.last = now

    def end(self, lower_bound: float, converged: bool) -> None:
        """Report the end of a start."""
        if not self.verbose:
            return
        how = "converged" if converged else "did not converge"
        if self.verbose == 1:
            print(f"Initialization {how}.")
            return
        lapse = time.perf_counter() - self.begun
        print(f"Initialization {how}. time lapse {lapse:.5f}s\t lower bound {lower_bound:.5f}.")
