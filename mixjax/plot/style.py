"""Colors, axes, captions and legends of all pictures."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from ..rows.subsample import places

# Okabe and Ito, Color Universal Design (2008); yellow is last, because it is faint on white.
OKABE_ITO = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#56B4E9", "#D55E00", "#F0E442")
NORMAL, ANOMALY, INK, QUIET = "#0072B2", "#D55E00", "#222222", "#666666"
DENSITY = "viridis_r"
# The largest number of rows in a picture, and of components in a legend.
MOST_ROWS = 5000
MOST_NAMED = 8
_NOTE = "mixjax note"


def palette(n: int) -> np.ndarray:
    """(n, 3) colors: those of Okabe and Ito, then darker and lighter versions."""
    base = np.array([to_rgb(color) for color in OKABE_ITO])
    shades = np.concatenate([base, 0.55 * base, 0.5 + 0.5 * base])
    return shades[np.arange(n) % len(shades)]


def axes_of(ax: Axes | None, figsize: tuple[float, float] = (6.4, 4.8)) -> Axes:
    """The given Axes, or those of a new figure."""
    if ax is None:
        return plt.subplots(figsize=figsize, layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be one matplotlib Axes, got {type(ax).__name__}")
    return ax


def caption(ax: Axes, title: str, *notes: str) -> None:
    """A title with notes in small print under it.

    Notes of an earlier picture on the same axes are kept.
    """
    shown = []
    for text in list(ax.texts):
        if text.get_gid() == _NOTE:
            shown = text.get_text().split("; ")
            text.remove()
    shown += [note for note in notes if note and note not in shown]
    ax.set_title(title, loc="left", pad=20 if shown else 7)
    if shown:
        ax.annotate(
            "; ".join(shown), (0, 1), (0, 6), xycoords="axes fraction",
            textcoords="offset points", ha="left", va="bottom", fontsize="small", color=QUIET,
            gid=_NOTE,
        )  # fmt: skip


def frame(ax: Axes) -> None:
    """Axes without a frame on top and on the right, with faint grid lines."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def subsample(x: np.ndarray) -> tuple[np.ndarray, str]:
    """An even sample of the rows to draw, and a note if it is not the whole table."""
    if len(x) <= MOST_ROWS:
        return x, ""
    kept = places(len(x), MOST_ROWS, xp=np)
    return x[kept], f"{MOST_ROWS:,} of {len(x):,} rows, evenly drawn"


def component_handles(weights: np.ndarray) -> tuple[list[Line2D], list[str]]:
    """Handles and labels of a legend with the weights of the (heaviest) components."""
    colors = palette(len(weights))
    named: Sequence[int] = range(len(weights))
    if len(weights) > MOST_NAMED:
        named = sorted(np.argsort(-weights, kind="stable")[:MOST_NAMED].tolist())
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=7, color=colors[k]) for k in named
    ]
    labels = [f"{k}  ({weights[k]:.1%})" for k in named]
    if len(weights) > len(labels):
        handles.append(Line2D([], [], linestyle=""))
        labels.append(f"and {len(weights) - len(labels)} lighter")
    return handles, labels


def component_legend(ax: Axes, weights: np.ndarray) -> None:
    """A legend next to the axes, where it hides nothing."""
    ax.legend(
        *component_handles(weights), title="component", loc="upper left",
        bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False,
    )  # fmt: skip
