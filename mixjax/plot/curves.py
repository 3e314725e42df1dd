"""How well scores separate anomalies from normal rows: curves over all thresholds."""

from typing import Literal

import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes

from ..threshold.ranking import Ranking
from . import inputs
from .style import OKABE_ITO, QUIET, axes_of, caption, frame


def roc(
    scores: ArrayLike,
    is_anomaly: ArrayLike,
    *,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The ROC curve: the share of anomalies found against the share of normal rows flagged.

    Rows of equal score are flagged together, so the area is the probability that an anomaly scores
    higher than a normal row; ties count one half. Call it again with ``ax=`` to compare scores.

    Args:
      scores: (N,) higher is stranger; they may be infinite.
      is_anomaly: (N,) True or 1 for anomalies, False or 0 for normal rows.
      label: the name of the curve in the legend.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend shows the area.

    Raises:
      TypeError: scores are not real numbers, or ax is not an Axes.
      ValueError: scores do not have shape (N,) or hold NaN; is_anomaly has the wrong length,
        other values than 0 and 1, or only one of them.

    Example:
      >>> import numpy as np
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> scores, is_anomaly = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
      >>> ax = plot.roc(scores, is_anomaly, ax=Figure().subplots())
      >>> ax.lines[0].get_label()
      'area 0.750'

    Source: Hanley and McNeil, The Meaning and Use of the Area under a ROC Curve (1982).
    """
    ranking = _ranking(scores, is_anomaly)
    ax = _axes_for_curve(ax)
    area = f"area {ranking.roc_area:.3f}"
    _curve(ax, ranking.alarm_rate, ranking.recall, label, area, "default")
    if not _has(ax, "chance"):
        ax.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":", label="chance")
    ax.set(xlabel="false-alarm rate", ylabel="share of anomalies found")
    _legend(ax, "lower right")
    caption(ax, "ROC curve")
    return ax


def precision_recall(
    scores: ArrayLike,
    is_anomaly: ArrayLike,
    *,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Precision against recall, in steps whose area is the average precision.

    $\mathrm{AP} = \sum_i (R_i - R_{i-1})\,P_i$ over the distinct scores from the highest down.
    Chance is the share of anomalies among the rows. Call it again with ``ax=`` to compare scores.

    Args:
      scores: (N,) higher is stranger; they may be infinite.
      is_anomaly: (N,) True or 1 for anomalies, False or 0 for normal rows.
      label: the name of the curve in the legend.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend shows the average precision.

    Raises:
      TypeError: scores are not real numbers, or ax is not an Axes.
      ValueError: scores do not have shape (N,) or hold NaN; is_anomaly has the wrong length,
        other values than 0 and 1, or only one of them.

    Example:
      >>> import numpy as np
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> scores, is_anomaly = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
      >>> ax = plot.precision_recall(scores, is_anomaly, ax=Figure().subplots())
      >>> ax.lines[0].get_label()
      'average precision 0.833'

    Source: Davis and Goadrich, The Relationship between Precision-Recall and ROC Curves (2006).
    """
    ranking = _ranking(scores, is_anomaly)
    # The first step begins at recall 0, where nothing is flagged.
    precision = np.concatenate([ranking.precision[:1], ranking.precision])
    ax = _axes_for_curve(ax)
    average = f"average precision {ranking.average_precision:.3f}"
    _curve(ax, ranking.recall, precision, label, average, "steps-pre")
    share = ranking.precision[-1]
    chance = f"chance ({share:.3g})"
    if not _has(ax, chance):
        ax.axhline(share, color=QUIET, linewidth=1, linestyle=":", label=chance)
    ax.set(xlabel="recall (share of anomalies found)", ylabel="precision")
    _legend(ax, "lower left")
    caption(ax, "Precision and recall")
    return ax


def _ranking(scores: ArrayLike, is_anomaly: ArrayLike) -> Ranking:
    values = inputs.no_nan(inputs.numbers_of(scores, "scores"), "scores")
    flags = inputs.flags_of(is_anomaly, len(values))
    if flags.all() or not flags.any():
        kind = "anomalies" if flags.all() else "normal rows"
        raise ValueError(f"is_anomaly must hold both kinds, got {len(flags)} {kind}")
    return Ranking.of(values, flags)


def _axes_for_curve(ax: Axes | None) -> Axes:
    ax = axes_of(ax, (5.2, 5.0))
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
    frame(ax)
    return ax


def _curve(
    ax: Axes, x: np.ndarray, y: np.ndarray, label: str | None, measure: str, steps: str
) -> None:
    n_before = sum(line.get_gid() == "curve" for line in ax.lines)
    ax.plot(
        x, y, color=OKABE_ITO[n_before % len(OKABE_ITO)], linewidth=2, drawstyle=steps,
        label=measure if label is None else f"{label}: {measure}", gid="curve",
    )  # fmt: skip


def _legend(ax: Axes, place: Literal["lower right", "lower left"]) -> None:
    """The curves in order, then chance."""
    lines = sorted(ax.lines, key=lambda line: line.get_gid() != "curve")
    ax.legend(handles=lines, loc=place, fontsize="small")


def _has(ax: Axes, label: str) -> bool:
    return any(line.get_label() == label for line in ax.lines)
