"""`mixjax.dagmm` as an estimator for scikit-learn."""

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import jax
import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from ..describing.renamed import warn_renamed
from ..families.family import Family
from .conversion import families_by_word
from .outliers import OutlierDetector

AUTOENCODERS = {
    "plain": "Autoencoder",
    "variational": "VariationalAutoencoder",
    "quantized": "VectorQuantizedAutoencoder",
}
# Old and new names.
RENAMED = {"quantised": "quantized"}


def families() -> dict[str, type[Family]]:
    """The families by their words, each density by the M-step that suits gradients best."""
    known = families_by_word()
    return known | {
        family.by_maximum_likelihood().word: family
        for family in known.values()
        if family.by_maximum_likelihood() is not family
    }


class DAGMMDetector(OutlierDetector):
    r"""Outliers by an autoencoder whose latent space is a mixture; see `mixjax.dagmm.train`.

    ``score_samples`` is minus the score of `mixjax.dagmm.score`: the log-density of the latent
    row minus the weighted reconstruction error. Needs the extra ``dagmm``.

    Args:
      autoencoder: "plain", "variational" or "quantized".
      covariance_type: "full", "tied", "diag" or "spherical", or the word of any other family,
        such as "laplace" (updated by means, as `mixjax.MeanLaplace` is).
      n_components: K of the estimation network.
      latent: columns of the code.
      epochs: passes over the rows.
      batch_size: rows in a batch; all rows if X has fewer.
      reconstruction_weight: weight of the squared error in the score, relative to its mean.
      contamination: the share of outliers in X.
      random_state: an int, a RandomState or None.
      verbose: whether to show a progress bar.

    Attributes:
      trained_: the `mixjax.dagmm.Trained`.
      offset_: rows with `score_samples` below it are outliers.

    Example:
      >>> import numpy as np
      >>> from mixjax.sklearn import DAGMMDetector
      >>> X = np.random.default_rng(0).normal(size=(200, 3))
      >>> detector = DAGMMDetector(epochs=3, random_state=0).fit(X)
      >>> detector.score_samples(X).shape
      (200,)

    Source: Zong et al., Deep Autoencoding Gaussian Mixture Model (2018).
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "autoencoder": [StrOptions({*AUTOENCODERS, *RENAMED}, deprecated=set(RENAMED))],
        "covariance_type": [str],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "latent": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        autoencoder: str = "plain",
        *,
        covariance_type: str = "full",
        n_components: int = 4,
        latent: int = 8,
        epochs: int = 20,
        batch_size: int = 1024,
        reconstruction_weight: float = 0.0,
        contamination: float = 0.05,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.autoencoder = autoencoder
        self.covariance_type = covariance_type
        self.n_components = n_components
        self.latent = latent
        self.epochs = epochs
        self.batch_size = batch_size
        self.reconstruction_weight = reconstruction_weight
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, is_anomaly: Any = None) -> Self:  # noqa: N803
        """Train on rows X (n_samples, n_features), which are normal or mostly normal.

        Args:
          X: the rows.
          y: ignored.
          is_anomaly: (n_samples,) 1 for rows known to be anomalies, else 0; None if there are none.

        Returns:
          The estimator itself.
        """
        return self._fit(X, is_anomaly=is_anomaly)

    def _learn(self, key: jax.Array, x: np.ndarray, is_anomaly: Any = None, **rest: Any) -> float:
        from .. import dagmm

        known = families()
        if self.covariance_type not in known:
            raise ValueError(
                f"covariance_type must be one of {', '.join(known)}; got {self.covariance_type!r}"
            )
        kind = RENAMED.get(self.autoencoder, self.autoencoder)
        if kind != self.autoencoder:
            warn_renamed(f"autoencoder={self.autoencoder!r}", f"{kind!r}")
        for_model, for_training = jax.random.split(key)
        model = dagmm.DAGMM(
            for_model,
            x.shape[1],
            autoencoder=getattr(dagmm, AUTOENCODERS[kind])(latent=self.latent),
            n_components=self.n_components,
            family=known[self.covariance_type],
        )
        self.trained_ = dagmm.train(
            for_training,
            model,
            x,
            labels=is_anomaly,
            epochs=self.epochs,
            batch_size=min(self.batch_size, len(x)),
            progress=bool(self.verbose),
        )
        return float("inf")  # the contamination decides

    def _scores(self, x: np.ndarray) -> jax.Array:
        from .. import dagmm

        return dagmm.score(self.trained_, x, reconstruction_weight=self.reconstruction_weight)
