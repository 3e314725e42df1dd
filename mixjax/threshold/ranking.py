"""How well scores rank anomalies above normal rows, over all thresholds."""

from typing import NamedTuple

import numpy as np


class Ranking(NamedTuple):
    """What is flagged above each distinct score, from nothing to everything.

    Attributes:
      found: (n,) numbers of flagged anomalies.
      alarms: (n,) numbers of flagged normal rows.
    """

    found: np.ndarray
    alarms: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, is_anomaly: np.ndarray) -> "Ranking":
        """The ranking by scores (N,) of rows of both kinds; rows of equal score go together."""
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        last = np.append(ordered[1:] != ordered[:-1], True)
        found = np.cumsum(is_anomaly[order])[last]
        alarms = np.flatnonzero(last) + 1 - found
        return cls(np.append(0, found), np.append(0, alarms))

    @property
    def recall(self) -> np.ndarray:
        """(n,) shares of the anomalies that are flagged."""
        return self.found / self.found[-1]

    @property
    def alarm_rate(self) -> np.ndarray:
        """(n,) shares of the normal rows that are flagged."""
        return self.alarms / self.alarms[-1]

    @property
    def precision(self) -> np.ndarray:
        """(n - 1,) shares of anomalies among the flagged rows, where there are flagged rows."""
        return self.found[1:] / (self.found[1:] + self.alarms[1:])

    @property
    def roc_area(self) -> float:
        """The probability that an anomaly scores higher than a normal row; ties count one half.

        Source: Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve (1982).
        """
        return float(np.trapezoid(self.recall, self.alarm_rate))

    @property
    def average_precision(self) -> float:
        r"""$\sum_i (R_i - R_{i-1})\,P_i$ over the distinct scores from the highest down.

        Source: Davis and Goadrich, The Relationship between Precision-Recall and ROC Curves (2006).
        """
        return float(np.sum(np.diff(self.recall) * self.precision))
