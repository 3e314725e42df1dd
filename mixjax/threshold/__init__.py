"""From scores to decisions: a row is flagged where its score is above the threshold."""

from .best_f1 import BestF1, best_f1
from .conformal import Conformal, benjamini_hochberg, conformal
from .elkan_noto import ElkanNoto, elkan_noto
from .peaks import Tail, peaks_over_threshold
from .quantiles import mad, percentile

__all__ = [
    "BestF1",
    "Conformal",
    "ElkanNoto",
    "Tail",
    "benjamini_hochberg",
    "best_f1",
    "conformal",
    "elkan_noto",
    "mad",
    "peaks_over_threshold",
    "percentile",
]
