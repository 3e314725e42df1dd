"""The density of two columns as contours and as a surface."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.ticker import MaxNLocator

from ..mixture.mixture import Mixture
from . import inputs
from .grid import Viewport, log_density, part_of, viewport_of
from .style import DENSITY, INK, axes_of, caption, subsample

# The share of the mixture beyond the last contour.
BEYOND = 0.005
# Points along each side of a surface; with fewer points single faces are visible.
MESH = 160


def contours(
    mixture: Mixture,
    x: ArrayLike | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""The density of two columns as contours of $\log p(x_i, x_j)$, with rows as dots.

    The levels are evenly spaced in nats, from the peak down to the level that leaves half a percent
    of the mixture outside. For more columns the marginal is drawn.

    Args:
      mixture: K components in D dimensions.
      x: (N, D) rows to draw as dots, at most 5,000 of them.
      columns: the two columns, the horizontal one first.
      names: names of all D columns; None for "column 0" and so on.
      ax: where to draw; None makes a figure.

    Returns:
      The axes, with a color bar next to them.

    Raises:
      TypeError: mixture is not a `Mixture`, or ax is not an Axes.
      ValueError: mixture holds several mixtures; x has the wrong width or NaN; columns are not
        two different columns; names are not D names.

    Example:
      >>> import jax, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> x = jax.random.normal(jax.random.key(0), (100, 2))
      >>> fit = mixjax.fit(jax.random.key(1), x, 1)
      >>> ax = plot.contours(fit.mixture, x, names=["width", "height"], ax=Figure().subplots())
      >>> ax.get_xlabel(), ax.get_ylabel()
      ('width', 'height')

    Source: Bishop, Pattern Recognition and Machine Learning (2006), figure 2.23.
    """
    mixture, pair, labels = inputs.two_columns(mixture, columns, names)
    rows, note = None, ""
    if x is not None:
        rows, note = subsample(inputs.table_of(x, mixture))
    viewport = viewport_of(mixture, rows).of(pair)
    ax = axes_of(ax)
    filled = draw_contours(ax, part_of(mixture, pair), viewport, 200)
    ax.figure.colorbar(filled, ax=ax, label="log density, nats", pad=0.02)
    if rows is not None:
        draw_rows(ax, rows[:, pair], 7)
        note = "; ".join(filter(None, [note, viewport.outside(rows[:, pair])]))
    ax.set(**labels)
    caption(ax, _title(mixture), _part(mixture), note)
    return ax


def surface(
    mixture: Mixture,
    *,
    columns: tuple[int, int] = (0, 1),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""The density of two columns, $p(x_i, x_j)$, as a surface in three dimensions.

    For more columns the marginal is drawn.

    Args:
      mixture: K components in D dimensions.
      columns: the two columns.
      names: names of all D columns; None for "column 0" and so on.
      ax: where to draw, made with ``projection="3d"``; None makes a figure.

    Returns:
      The axes.

    Raises:
      TypeError: mixture is not a `Mixture`, or ax is not a three-dimensional Axes.
      ValueError: mixture holds several mixtures; columns are not two different columns; names
        are not D names.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> round_ = mixjax.SphericalGaussian(jnp.zeros((1, 2)), jnp.ones(1))
      >>> ax = Figure().add_subplot(projection="3d")
      >>> plot.surface(mixjax.Mixture(jnp.zeros(1), round_), ax=ax).get_zlabel()
      'density'
    """
    mixture, pair, labels = inputs.two_columns(mixture, columns, names)
    if ax is not None and getattr(ax, "name", None) != "3d":
        raise TypeError(
            f"ax must be three-dimensional Axes, got {type(ax).__name__}: make them with "
            'plt.subplots(subplot_kw={"projection": "3d"})'
        )
    part, viewport = part_of(mixture, pair), viewport_of(mixture, None).of(pair)
    horizontal, vertical, log_p = _on_grid(part, viewport, MESH)
    space: Any = ax  # three-dimensional Axes have no type stubs
    if space is None:
        kind = {"projection": "3d"}
        space = plt.subplots(figsize=(6.8, 5.2), layout="constrained", subplot_kw=kind)[1]
    faces = space.plot_surface(
        *np.meshgrid(horizontal, vertical), np.exp(log_p), cmap=DENSITY, rcount=MESH,
        ccount=MESH, linewidth=0.7,
    )  # fmt: skip
    faces.set_edgecolor("face")  # without edges the background shows between the faces
    space.set(**labels, zlabel="density")
    space.view_init(elev=38, azim=-62)
    space.set_box_aspect(None, zoom=0.88)  # otherwise tick labels are cut off
    caption(space, _title(mixture), _part(mixture))
    return space


def draw_contours(ax: Axes, part: Mixture, viewport: Viewport, n: int) -> QuadContourSet:
    """Filled contours of the log-density of two columns, from n × n points."""
    horizontal, vertical, log_p = _on_grid(part, viewport, n)
    last = np.quantile(log_density(part, viewport.sampled), BEYOND)
    levels = MaxNLocator(8).tick_values(last, log_p.max())
    log_p = np.maximum(log_p, levels[0] - 10 * (levels[-1] - levels[0]))  # finite, also where p = 0
    filled = ax.contourf(horizontal, vertical, log_p, levels, cmap=DENSITY, alpha=0.85)
    ax.contour(
        horizontal, vertical, log_p, levels, colors="white", linewidths=0.6, linestyles="solid"
    )
    ax.set(xlim=(viewport.low[0], viewport.high[0]), ylim=(viewport.low[1], viewport.high[1]))
    return filled


def draw_rows(ax: Axes, x: np.ndarray, size: float) -> None:
    """Rows (N, 2) as dots; many dots are smaller and paler, so that they hide less."""
    fewer = min(1.0, 1000 / len(x))
    dot = {"s": size * fewer**0.5, "alpha": 0.12 + 0.38 * fewer}
    ax.scatter(x[:, 0], x[:, 1], color=INK, linewidth=0, zorder=3, **dot)


def _on_grid(
    part: Mixture, viewport: Viewport, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    horizontal, vertical = viewport.lines(0, n), viewport.lines(1, n)
    return horizontal, vertical, log_density(part, np.stack(np.meshgrid(horizontal, vertical), -1))


def _title(mixture: Mixture) -> str:
    k = mixture.n_components
    return f"Density, {k} {type(mixture.components).__name__} component{'s' * (k > 1)}"


def _part(mixture: Mixture) -> str:
    d = mixture.n_features
    return f"marginal of two of {d} columns" if d > 2 else ""
