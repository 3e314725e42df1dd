"""The components as level sets of their densities."""

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from ..families.diagonal import DiagonalGaussian
from ..families.gaussian import Gaussian
from ..families.laplace import Laplace
from ..families.spherical import SphericalGaussian
from ..families.tied import TiedGaussian
from ..mixture.mixture import Mixture
from . import inputs
from .density import draw_rows
from .grid import part_of
from .style import axes_of, caption, component_legend, palette, thinned

ELLIPTICAL = (Gaussian, TiedGaussian, DiagonalGaussian, SphericalGaussian)


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
      mixture: K components in D dimensions; of more than two columns the marginal is drawn.
      x: (N, D) rows to draw as dots, 5,000 of them at most.
      columns: the two columns, the horizontal one first.
      deviations: how far out to draw, in standard deviations, or in scales of Laplace families.
      names: the names of all D columns; None for "column 0" and so on.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; weights stand in the legend beside them.

    Raises:
      TypeError: the mixture is none, or of a family whose level sets are neither ellipses nor
        diamonds; ax is no Axes.
      ValueError: several mixtures at once; x of another width or with NaN; columns that are
        not two different ones; deviations that are not positive; names of another number than D.

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
    centers, outlines = level_sets(part_of(mixture, pair))
    rows, note = (None, "") if x is None else thinned(inputs.table_of(x, mixture))
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
    unit = "scales" if isinstance(mixture.components, Laplace) else "standard deviations"
    caption(ax, "Components", f"at {', '.join(f'{c:g}' for c in np.sort(far))} {unit}", note)
    return ax


def level_sets(part: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Centers (K, 2) of components in two columns, and outlines (K, n, 2) at a distance of 1."""
    components = part.components
    if isinstance(components, Laplace):
        corners = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
        centers, scales = np.asarray(components.locations), np.asarray(components.scales)
        return centers.astype(np.float64), corners[None] * scales[:, None].astype(np.float64)
    if not isinstance(components, ELLIPTICAL):
        raise TypeError(
            "ellipses draws Gaussian and Laplace families, got "
            f"{type(components).__name__}: mixjax.plot.contours draws any"
        )
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # Not by Cholesky, which fails where rounding leaves a flat ellipse none at all.
    values, vectors = np.linalg.eigh(np.asarray(components.covariances, np.float64))
    halves = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    return np.asarray(components.means, np.float64), circle @ np.swapaxes(halves, 1, 2)
