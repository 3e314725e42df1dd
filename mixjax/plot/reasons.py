"""Why a row is strange, column by column."""

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes

from .. import checks
from . import inputs
from .style import ANOMALY, INK, NORMAL, axes_of, caption, frame


def surprisal(
    surprises: ArrayLike,
    names: Sequence[str] | None = None,
    *,
    most: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """The surprise of each column of one row in nats, the largest on top.

    Args:
      surprises: (D,) of one row, such as ``detector.explain(x)[0]`` or
        ``mixjax.surprisal(mixture, x)[0]``; an infinite bar ends at the edge and is labeled.
      names: names of the D columns; None for "column 0" and so on.
      most: the largest number of columns to draw.
      ax: where to draw; None makes a figure.

    Returns:
      The axes, with one bar for each column.

    Raises:
      TypeError: surprises are not real numbers, most is not an int, or ax is not an Axes.
      ValueError: surprises do not have shape (D,) or hold NaN; names are not D names; most is
        less than 1.

    Example:
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> ax = plot.surprisal([0.1, 7.5, 2.0], ["age", "height", "weight"], ax=Figure().subplots())
      >>> [label.get_text() for label in ax.get_yticklabels()]
      ['height', 'weight', 'age']
    """
    values = inputs.no_nan(inputs.numbers_of(surprises, "surprises"), "surprises")
    names = inputs.names_of(names, len(values))
    order = np.argsort(-values, kind="stable")[: checks.count(most, "most")]
    finite = values[order][np.isfinite(values[order])]
    widest = float(np.abs(finite).max(initial=0)) or 1.0
    lengths = np.clip(values[order], -1.25 * widest, 1.25 * widest)
    ax = axes_of(ax, (6.4, 1.4 + 0.36 * len(order)))
    colors = [ANOMALY if value > 0 else NORMAL for value in lengths]
    bars = ax.barh(np.arange(len(order)), lengths, color=colors, height=0.7)
    texts = [_text_of(value) for value in values[order]]
    ax.bar_label(bars, texts, padding=4, color=INK, fontsize="small")
    ax.set_yticks(np.arange(len(order)), [names[d] for d in order])
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.margins(x=0.14)
    ax.set_xlabel("surprise, nats")
    frame(ax)
    ax.grid(visible=False, axis="y")
    cut = len(order) < len(values)
    caption(
        ax, "Why this row is strange",
        f"the {len(order)} largest of {len(values)} columns" if cut else "",
    )  # fmt: skip
    return ax


def _text_of(value: float) -> str:
    if not np.isfinite(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.1f}" if abs(value) < 1e4 else f"{value:.2g}"
