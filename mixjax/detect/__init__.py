"""Learning a detector of anomalies from normal rows, and what it says of others."""

from .detector import Detector
from .learning import fit

__all__ = ["Detector", "fit"]
