"""A grid of pictures of all pairs of columns."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..mixture.mixture import Mixture
from . import inputs
from .assignments import in_color
from .density import draw_contours, draw_rows
from .grid import Viewport, log_density, part_of, viewport_of
from .style import INK, caption, component_handles, palette, subsample

# The largest number of columns drawn by default.
MOST = 8


def pairs(
    mixture: Mixture,
    x: ArrayLike | None = None,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    r"""A mixture of any number of columns, shown by its marginals of one and two columns.

    The diagonal shows the density of each column, $p(x_i) = \sum_k w_k p_k(x_i)$, with the parts
    $w_k p_k$ in color and a histogram of the rows. Below it are the contours of each pair,
    $\log p(x_i, x_j)$ (see `contours`). Above it are the rows, if given, colored by their
    responsibilities in all D columns (see `responsibilities`).

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows; at most 5,000 of them are drawn.
      columns: the C columns to draw; None for all, if there are at most eight.
      names: names of all D columns; None for "column 0" and so on.
      axes: (C, C) Axes to draw on; None makes a figure.

    Returns:
      (C, C) Axes.

    Raises:
      TypeError: mixture is not a `Mixture`, or its family has no marginals.
      ValueError: mixture holds several mixtures; x has the wrong width or NaN; columns repeat,
        or are None for more than eight; names are not D names; axes have the wrong shape.

    Example:
      >>> import jax, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 2)
      >>> plot.pairs(fit.mixture, x, axes=Figure().subplots(2, 2)).shape
      (2, 2)

    Source: Cleveland, Visualizing Data (1993), section 5.1, for the matrix of scatter plots.
    """
    mixture = inputs.mixture_of(mixture)
    d = mixture.n_features
    if columns is None and d > MOST:
        raise ValueError(
            f"pairs of {d} columns are {d * d} pictures: choose fewer by columns=, for example "
            "by mixjax.suggest_columns"
        )
    chosen = inputs.columns_of(range(d) if columns is None else columns, d)
    names = [_short(name) for name in inputs.names_of(names, d)]
    rows, note = (None, "") if x is None else subsample(inputs.table_of(x, mixture))
    viewport, c = viewport_of(mixture, rows), len(chosen)
    if rows is not None:
        mixed, colors = in_color(mixture, rows)
        note = "; ".join(filter(None, [note, viewport.of(chosen).outside(rows[:, chosen])]))
    grid = _axes_of(axes, c)
    for row, i in enumerate(chosen):
        for column, j in enumerate(chosen):
            ax, here = grid[row, column], viewport.of([j, i])
            if row == column:
                _draw_one(ax, part_of(mixture, [i]), viewport.of([i]), rows, i)
            elif row > column:
                draw_contours(ax, part_of(mixture, [j, i]), here, 100)
                if rows is not None:
                    draw_rows(ax, rows[:, [j, i]], 2)
            elif rows is None:
                ax.set_axis_off()
            else:
                ax.scatter(mixed[:, j], mixed[:, i], s=4, color=colors, linewidth=0)
                ax.set(ylim=(here.low[1], here.high[1]))
            ax.set_xlim(here.low[0], here.high[0])
            _label(ax, names[j], names[i], row == c - 1, column == 0, row == column)
    caption(grid[0, 0], f"{mixture.n_components} components in {d} columns", note)
    if axes is None:
        grid[0, 0].figure.legend(
            *component_handles(np.asarray(mixture.weights, np.float64)), title="component",
            loc="outside right upper", frameon=False,
        )  # fmt: skip
    return grid


def _draw_one(
    ax: Axes, part: Mixture, viewport: Viewport, rows: np.ndarray | None, column: int
) -> None:
    """The density of one column, the parts of the components, and a histogram."""
    places = viewport.lines(0, 300)
    if rows is not None:
        within = (viewport.low[0], viewport.high[0])
        ax.hist(rows[:, column], 40, range=within, density=True, color="#D5D5D5")
    weights = np.asarray(part.weights, np.float64)
    for k, color in enumerate(palette(part.n_components)):
        alone = Mixture(part.log_weights[k : k + 1], part.components.take(slice(k, k + 1)))
        own = weights[k] * np.exp(log_density(alone, places[:, None]))
        ax.plot(places, own, color=color, linewidth=1.2)
        ax.fill_between(places, own, color=color, alpha=0.15, linewidth=0)
    ax.plot(places, np.exp(log_density(part, places[:, None])), color=INK, linewidth=1.2)
    ax.set_ylim(bottom=0)


def _axes_of(axes: np.ndarray | None, n: int) -> np.ndarray:
    if axes is None:
        side = 1.2 + 2.0 * n if n > 1 else 4.8
        return plt.subplots(n, n, figsize=(side + 1.0, side), layout="constrained", squeeze=False)[
            1
        ]
    grid = np.array(axes, dtype=object, ndmin=2)
    if grid.shape != (n, n) or not all(isinstance(ax, Axes) for ax in grid.flat):
        raise ValueError(
            f"axes must be {n} by {n} matplotlib Axes, got shape {np.shape(axes)}: "
            f"plt.subplots({n}, {n})[1]"
        )
    return grid


def _label(ax: Axes, x: str, y: str, last: bool, first: bool, diagonal: bool) -> None:
    """Names and tick labels at the border of the grid only."""
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelsize="small", labelbottom=last, labelleft=first and not diagonal)
    if diagonal:
        ax.tick_params(left=False)
    if last:
        ax.set_xlabel(x)
    if first:
        ax.set_ylabel("density" if diagonal else y)


def _short(name: str) -> str:
    return name if len(name) <= 22 else name[:21] + "…"
