"""How thousands of fits ended, at a glance."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .. import checks
from ..describing.words import counted
from ..fitting.outcome import Fit
from ..fitting.solver import Status
from .style import OKABE_ITO, QUIET, axes_of, caption, frame

COLORS = dict(zip(Status, OKABE_ITO, strict=False))
# Of these fits the energy says nothing.
NOT_MADE = (Status.NONFINITE, Status.TOO_FEW_ROWS)


def fits(fits: Fit, *, ax: Axes | None = None) -> Axes:
    """A dot for each of many fits: its iterations and its mean energy, in the color of its status.

    Fits that could not be made (NONFINITE, TOO_FEW_ROWS) have no place; the legend counts them.

    Args:
      fits: several fits, from `mixjax.fit_batch`, `mixjax.fit_groups` or ``jax.vmap``; of any
        leading axes.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend gives the number of fits of each status.

    Raises:
      TypeError: fits is not a `Fit`, or ax is not an Axes.
      ValueError: it is a single fit, or no fit could be made.

    Example:
      >>> import jax, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> xs = jax.random.normal(jax.random.key(0), (20, 50, 2))
      >>> many = mixjax.fit_batch(jax.random.key(1), xs, 2, max_iter=300)
      >>> ax = plot.fits(many, ax=Figure().subplots())
      >>> [text.get_text() for text in ax.get_legend().get_texts()]
      ['CONVERGED (20)']
    """
    if not isinstance(fits, Fit):
        raise TypeError(f"fits must be a mixjax.Fit of several fits, got {type(fits).__name__}")
    if not checks.is_concrete(fits.energy):
        raise TypeError(checks.HOST_ONLY.format("mixjax.plot", "what the function returned"))
    energies, n_iter, status = (
        np.asarray(leaf).reshape(-1) for leaf in (fits.energy, fits.n_iter, fits.status)
    )
    if np.ndim(fits.energy) == 0:
        raise ValueError("this is a single fit: print it, or draw mixjax.plot.convergence")
    made = np.isfinite(energies) & ~np.isin(status, NOT_MADE)
    if not made.any():
        raise ValueError("no fit could be made, so there is nothing to draw: look at fits.status")
    ax = axes_of(ax, (7.2, 4.4))
    rng = np.random.default_rng(0)
    for kind in Status:
        own = made & (status == kind)
        n_all = int((status == kind).sum())
        if n_all:
            # Iterations are whole numbers: without a little noise dots would hide each other.
            places = n_iter[own] + rng.uniform(-0.3, 0.3, own.sum())
            size = 12 if kind is Status.CONVERGED else 30
            ax.scatter(
                places, energies[own], s=size, alpha=0.6, linewidths=0,
                color=COLORS.get(kind, QUIET), label=f"{kind.name} ({n_all:,})",
            )  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="iterations", ylabel="mean energy, nats")
    frame(ax)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    n_lost = int((~made).sum())
    caption(ax, counted(len(energies), "fit"), f"{n_lost:,} could not be made" * (n_lost > 0))
    return ax
