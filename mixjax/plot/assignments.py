"""The component of each row, with its uncertainty."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes

from ..mixture import questions
from ..mixture.mixture import Mixture
from . import inputs
from .style import axes_of, caption, component_legend, palette, subsample


def responsibilities(
    mixture: Mixture,
    x: ArrayLike,
    *,
    columns: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Rows colored by their responsibilities: $\text{color}_n = \sum_k r_{nk}\,\text{color}_k$.

    The responsibilities use all D columns. A row that belongs to one component has its color. An
    uncertain row has a mixture of colors and is drawn on top.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows; at most 5,000 of them are drawn.
      columns: the two columns, the horizontal one first.
      names: names of all D columns; None for "column 0" and so on.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend next to them shows the weights.

    Raises:
      TypeError: mixture is not a `Mixture`, or ax is not an Axes.
      ValueError: mixture holds several mixtures; x has the wrong width or NaN; columns are not
        two different columns; names are not D names.

    Example:
      >>> import jax, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 2)
      >>> ax = plot.responsibilities(fit.mixture, x, ax=Figure().subplots())
      >>> len(ax.collections[0].get_offsets())
      100

    Source: Bishop, Pattern Recognition and Machine Learning (2006), figure 9.5.
    """
    mixture, pair, labels = inputs.two_columns(mixture, columns, names)
    rows, note = subsample(inputs.table_of(x, mixture))
    mixed, colors = in_color(mixture, rows)
    ax = axes_of(ax, (7.2, 4.8))
    horizontal, vertical = mixed[:, pair[0]], mixed[:, pair[1]]
    ax.scatter(horizontal, vertical, s=14, color=colors, linewidth=0, alpha=0.85)
    ax.set(**labels)
    component_legend(ax, np.asarray(mixture.weights, np.float64))
    caption(ax, "Responsibilities", "uncertain rows have mixed colors", note)
    return ax


def in_color(mixture: Mixture, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows (N, D), uncertain ones last and so on top, and their colors (N, 3)."""
    table = jnp.asarray(rows, mixture.log_weights.dtype)
    share = np.asarray(questions.responsibilities(mixture, table), np.float64)
    colors = np.clip(share @ palette(mixture.n_components), 0, 1)
    order = np.argsort(-share.max(axis=1), kind="stable")
    return rows[order], colors[order]
