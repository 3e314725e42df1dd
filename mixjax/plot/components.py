"""Components drawn as level sets of their densities."""

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from ..families.outline import Outline
from ..mixture.mixture import Mixture
from . import inputs
from .density import draw_rows
from .grid import part_of
from .style import axes_of, caption, component_legend, palette, subsample


def ellipses(
    mixture: Mixture,
    x: ArrayLike | None = None,
    *,
    columns: tuple[int, int] = (0, 1),
    deviations: Sequence[float] = (1, 2),
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    r"""Each component by lines on which its density of the two columns is the same.

    Of Gaussians these are the ellipses $(x-\mu_k)^\top\Sigma_k^{-1}(x-\mu_k) = c^2$ for each c
    of ``deviations``, within which $1-e^{-c^2/2}$ of the component lies (39 % and 86 % for 1
    and 2). Of Laplace families they are the diamonds $|x_i-m_{ki}|/b_{ki} + |x_j-m_{kj}|/b_{kj}
    = c$ with the scales b, within which $1-(1+c)e^{-c}$ lies (26 % and 59 %). The heavier a
    component, the stronger its color; its number stands in its middle.

    Args:
      mixture: K components in D dimensions; for D > 2 the marginal of two columns is drawn.
      x: (N, D) rows to draw as dots, at most 5,000 of them.
      columns: the two columns, the horizontal one first.
      deviations: how far out to draw, in standard deviations, or in scales of Laplace families.
      names: names of all D columns; None for "column 0" and so on.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend next to them shows the weights.

    Raises:
      TypeError: mixture is not a `Mixture`, its family has no outline, or ax is not an Axes.
      ValueError: mixture holds several mixtures; x has the wrong width or NaN; columns are not
        two different columns; deviations are not positive; names are not D names.

    Example:
      >>> import jax.numpy as jnp, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> pair = mixjax.SphericalGaussian(jnp.array([[0.0, 0.0], [5.0, 5.0]]), jnp.ones(2))
      >>> mixture = mixjax.Mixture(jnp.log(jnp.array([0.25, 0.75])), pair)
      >>> ax = plot.ellipses(mixture, ax=Figure().subplots())
      >>> [text.get_text() for text in ax.get_legend().get_texts()]
      ['0  (25.0%)', '1  (75.0%)']

    Source: Bishop, Pattern Recognition and Machine Learning (2006), equation 2.44 and figure 2.7.
    """
    mixture = inputs.mixture_of(mixture)
    pair = inputs.columns_of(columns, mixture.n_features, 2)
    names = inputs.names_of(names, mixture.n_features)
    far = inputs.numbers_of(deviations, "deviations")
    if not ((far > 0) & np.isfinite(far)).all():
        raise ValueError(f"deviations must be positive numbers, got {far.tolist()}")
    outline = mixture.components.outline
    if outline is None:
        raise TypeError(
            f"{type(mixture.components).__name__} has no outline to draw: mixjax.plot.contours "
            "draws any family"
        )
    centers, outlines = level_sets(part_of(mixture, pair), outline)
    rows, note = (None, "") if x is None else subsample(inputs.table_of(x, mixture))
    ax = axes_of(ax, (7.2, 4.8))
    if rows is not None:
        draw_rows(ax, rows[:, pair], 5)
    weights = np.asarray(mixture.weights, np.float64)
    strength = weights / weights.max()
    for k, color in enumerate(palette(mixture.n_components)):
        for c in np.sort(far)[::-1]:
            fill = (*color, 0.04 + 0.22 * strength[k])
            edge = (*color, 0.35 + 0.65 * strength[k])
            ax.add_patch(
                Polygon(centers[k] + c * outlines[k], facecolor=fill, edgecolor=edge, lw=1.5)
            )
        around = [patheffects.withStroke(linewidth=2.5, foreground="white")]
        ax.annotate(
            str(k), centers[k], ha="center", va="center", color=0.6 * color, weight="bold",
            path_effects=around, annotation_clip=True,
        )  # fmt: skip
    ax.autoscale_view()
    ax.set(xlabel=names[pair[0]], ylabel=names[pair[1]])
    component_legend(ax, weights)
    distances = ", ".join(f"{c:g}" for c in np.sort(far))
    caption(ax, "Components", f"at {distances} {outline.unit}", note)
    return ax


def level_sets(part: Mixture, outline: Outline) -> tuple[np.ndarray, np.ndarray]:
    """Centers (K, 2) of components in two columns, and outlines (K, n, 2) at distance 1."""
    components = part.components
    if components.independent_columns:
        roots = np.asarray(components.standard_deviations, np.float64)[:, :, None] * np.eye(2)
    else:
        # Not by Cholesky, which fails for a flat ellipse after rounding.
        values, vectors = np.linalg.eigh(np.asarray(components.covariances, np.float64))
        roots = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    centers = np.asarray(components.centers, np.float64)
    return centers, outline.line @ np.swapaxes(roots, 1, 2)
