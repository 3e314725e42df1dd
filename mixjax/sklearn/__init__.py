"""Estimators with the interface of scikit-learn."""

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "mixjax.sklearn needs its extra (sklearn is missing): pip install 'mixjax[sklearn]'"
    ) from error

from .conversion import from_sklearn, to_sklearn
from .dagmm_detector import DAGMMDetector
from .gaussian_mixture import GaussianMixture
from .laplace_mixture import LaplaceMixture
from .mixture_detector import MixtureDetector

__all__ = [
    "DAGMMDetector",
    "GaussianMixture",
    "LaplaceMixture",
    "MixtureDetector",
    "from_sklearn",
    "to_sklearn",
]


def __dir__() -> list[str]:
    return __all__
