"""Anomaly detectors: learning one from normal rows, and using it."""

from .detector import Detector
from .learning import fit, fit_scores

__all__ = ["Detector", "fit", "fit_scores"]


def __dir__() -> list[str]:
    return __all__
