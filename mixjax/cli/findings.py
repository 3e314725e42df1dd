"""What was found in a table, as plain values: the same is printed and written as JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..detect.detector import Detector
from .features import LabeledTable
from .missing import known
from .names import parted

# The number of reasons that are given for a row.
REASONS = 3
# A column with a smaller share of the surprise of a row is no reason.
LEAST = 0.01


class Reason(NamedTuple):
    """Why a row is strange: one of its columns.

    Attributes:
      column: its name.
      value: what the row has there: a number, a word, or None for a word that was never seen.
      low, high: between these lie 95 % of the normal rows; of words they mean nothing.
      share: of the surprise of the whole row, from 0 to 1.
    """

    column: str
    value: float | str | None
    low: float
    high: float
    share: float

    @property
    def usual(self) -> list[float] | None:
        """Between what 95 % of the normal rows lie, or None for words."""
        return [self.low, self.high] if isinstance(self.value, float) else None

    @property
    def text(self) -> str:
        """The reason in words."""
        name, word = parted(self.column)
        share = f"({100 * self.share:.0f} %)"
        if word is not None:
            return f"{name} {'is' if self.value else 'is not'} {word} {share}"
        if self.value is None:
            return f"{name} is a word that was never seen {share}"
        if isinstance(self.value, str):
            return f"{name} is {self.value} {share}"
        value = amount(self.value)
        if self.low <= self.value <= self.high:
            return f"{name} {value}, odd beside the other columns {share}"
        if self.low == self.high:
            return f"{name} {value}, usually {amount(self.low)} {share}"
        return f"{name} {value}, usually {amount(self.low)} to {amount(self.high)} {share}"


def amount(value: float) -> str:
    """A number for people: three digits, and no powers of ten where they can be avoided."""
    size = abs(value)
    if 1000 <= size < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def words_of(detector: Detector) -> dict[int, tuple[str, ...]]:
    """The words of the columns of categories, by the number of the column."""
    pairs = zip(detector.columns, detector.levels or (), strict=False)
    return {i: tuple(map(str, own)) for i, own in pairs if own and isinstance(own[0], str)}


def reasons_of(detector: Detector, rows: np.ndarray) -> list[list[Reason]]:
    """For each row (N, D), the columns that surprise most."""
    used = [detector.feature_names[i] for i in detector.columns]
    usual, found = np.asarray(detector.usual), []
    words = words_of(detector)
    columns = [words.get(i) for i in detector.columns]
    extras = detector.explain(known(rows))
    for row, extra in zip(rows[:, list(detector.columns)], extras, strict=True):
        surprise = np.maximum(np.nan_to_num(np.asarray(extra, np.float64)), 0)
        total = surprise.sum()
        order = np.argsort(-surprise, kind="stable")[:REASONS]
        first = [i for i in order if surprise[i] > LEAST * total]
        found.append(
            [
                Reason(
                    used[i], _value(row[i], columns[i]), float(usual[i, 0]), float(usual[i, 1]),
                    float(surprise[i] / total),
                )
                for i in first
            ]
        )  # fmt: skip
    return found


def _value(value: float, words: Sequence[str] | None) -> float | str | None:
    """A number, or the word it stands for."""
    if words is None:
        return float(value)
    return words[int(value)] if 0 <= value < len(words) else None


def strangest(
    detector: Detector, table: LabeledTable, tested: np.ndarray, scores: np.ndarray, top: int,
    *, fitted: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows with the highest scores, and why they are strange.

    Rows that were fitted are compared with the others.
    """
    order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")[:top]
    if len(order) == 0:
        return []
    rows = tested[order]
    p_values = np.asarray(detector.p_values_of(scores[order].astype(detector.threshold.dtype)))
    flagged = np.asarray(detector.flags(scores[order]))
    n_normal, found = len(detector.rule.calibration) - fitted, []
    each = zip(order, rows, p_values, flagged, reasons_of(detector, table.rows[rows]), strict=True)
    for i, row, p, is_flagged, reasons in each:
        found.append(
            {
                "row": int(table.numbers[row]),
                "score": float(scores[i]),
                "p_value": float(p),
                "as_strange": max(0, round(float(p) * (n_normal + fitted + 1)) - 1 - fitted),
                "of_normal": n_normal,
                "flagged": bool(is_flagged),
                "label": None if table.labels is None else str(table.labels[row]),
                "reasons": [
                    {
                        "column": reason.column, "value": reason.value,
                        "usual": reason.usual, "share": reason.share,
                        "text": reason.text,
                    }
                    for reason in reasons
                ],
            }
        )  # fmt: skip
    return found


def constant_columns(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    """The columns that have one value in all rows (N, D)."""
    low, high = (np.where(np.isnan(rows), end, rows) for end in (np.inf, -np.inf))
    same = low.min(axis=0) == high.max(axis=0)
    return [name for name, alone in zip(names, same, strict=True) if alone]


def deviation(rate: float, n_fitted: int, n_judged: int) -> float:
    """How far by chance the share of flagged normal rows lies from the promised rate.

    One standard deviation; both the rows that set the threshold and those judged are samples.
    """
    return float(np.sqrt(rate * (1 - rate) * (1 / n_fitted + 1 / max(n_judged, 1))))
