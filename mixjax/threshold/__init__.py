"""From scores to decisions: a row is flagged if its score is above the threshold."""

from .conformal_prediction import Conformal, benjamini_hochberg, conformal
from .f1_score import BestF1, best_f1
from .peaks import Tail, peaks_over_threshold
from .pu_learning import ElkanNoto, elkan_noto
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


def __dir__() -> list[str]:
    return __all__
