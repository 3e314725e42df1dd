"""Anomaly detectors: learning one from normal rows, and using it."""

from .detector import Detector
from .learning import fit

__all__ = ["Detector", "fit"]
