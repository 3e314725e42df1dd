"""The convergence of a fit, and the scores of a selection."""

import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from ..selection.selection import Selection
from . import inputs
from .style import INK, NORMAL, axes_of, caption, frame, palette

MARKERS = "osD^vP"


def convergence(energies: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """The mean energy after each iteration, up to where the fit stopped.

    Args:
      energies: (max_iter + 1,) from `mixjax.fit_history`: entry i is the energy after i
        iterations; after the fit has stopped the last one repeats.
      ax: where to draw; None makes a figure.

    Returns:
      The axes; the legend shows the last energy.

    Raises:
      TypeError: energies are not real numbers, or ax is not an Axes.
      ValueError: energies have the wrong shape, or none is finite.

    Example:
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> ax = plot.convergence([3.0, 2.0, 1.5, 1.5, 1.5], ax=Figure().subplots())
      >>> ax.lines[-1].get_label()
      '1.5 nats after 2 iterations'
    """
    values = inputs.numbers_of(energies, "energies")
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("energies hold no finite number, so there is nothing to draw")
    moves = np.flatnonzero((values[1:] != values[:-1]) & ~np.isnan(values[1:]))
    end = int(moves[-1]) + 1 if len(moves) else 0
    shown = np.where(finite, values, np.nan)[: end + 1]
    last = int(np.flatnonzero(np.isfinite(shown))[-1])
    ax = axes_of(ax)
    ax.plot(np.arange(end + 1), shown, color=NORMAL, marker="o", markersize=4, linewidth=1.5)
    label = f"{shown[last]:.5g} nats after {last} iteration{'s' * (last != 1)}"
    ax.plot([last], [shown[last]], "o", color=INK, markersize=8, label=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="iteration", ylabel="mean energy, nats")
    frame(ax)
    ax.legend(frameon=False)
    n_bad = int((~finite).sum())
    caption(ax, "Convergence", f"{n_bad:,} energies are not finite" if n_bad else "")
    return ax


def selection(selection: Selection, *, ax: Axes | None = None) -> Axes:
    """The score of each number of components with its best ridge, one line for each family.

    Bars are standard errors of the difference to the lowest score, if the criterion has them. A
    ring marks the chosen candidate. Candidates that could not be fitted are left out and counted
    under the title.

    Args:
      selection: the result of `mixjax.select`.
      ax: where to draw; None makes a figure.

    Returns:
      The axes.

    Raises:
      TypeError: selection is not a `Selection`, or ax is not an Axes.

    Example:
      >>> import jax, mixjax
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> x = jax.random.normal(jax.random.key(0), (200, 1))
      >>> chosen = mixjax.select(jax.random.key(1), x, n_components=[1, 2], reg_covar=[1e-3],
      ...                        families=[mixjax.DiagonalGaussian])
      >>> ax = plot.selection(chosen, ax=Figure().subplots())
      >>> ax.get_xlabel()
      'components'

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009),
    figure 7.9.
    """
    if not isinstance(selection, Selection):
        raise TypeError(
            "selection must be a mixjax.Selection from mixjax.select, "
            f"got {type(selection).__name__}"
        )
    candidates, scores = selection.candidates, np.asarray(selection.scores, np.float64)
    errors = np.asarray(selection.standard_errors, np.float64)
    families = list(dict.fromkeys(candidate.family for candidate in candidates))
    counts = sorted({candidate.n_components for candidate in candidates})
    ax = axes_of(ax, (7.2, 4.8))
    for i, (family, color) in enumerate(zip(families, palette(len(families)), strict=True)):
        own = [n for n, c in enumerate(candidates) if c.family is family and np.isfinite(scores[n])]
        # The lowest score last, because later entries replace earlier ones.
        best = {candidates[n].n_components: n for n in sorted(own, key=lambda n: -scores[n])}
        places = sorted(best)
        rows = [best[k] for k in places]
        ax.errorbar(
            places, scores[rows], errors[rows], color=color, marker=MARKERS[i % len(MARKERS)],
            markersize=5, linewidth=1.5, elinewidth=1, capsize=3, label=family.__name__,
        )  # fmt: skip
    chosen = candidates[selection.best]
    ax.plot(
        [chosen.n_components], [scores[selection.best]], "o", markersize=14, fillstyle="none",
        color=INK, markeredgewidth=1.8, linestyle="",
        label=f"chosen: {chosen.n_components} {chosen.family.__name__},\n"
        f"ridge {chosen.ridge:g}",
    )  # fmt: skip
    if counts[-1] > 4 * counts[0]:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(counts, [str(k) for k in counts])
    ax.set(xlabel="components", ylabel="score (lower is better)")
    frame(ax)
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False,
        markerscale=0.8, fontsize="small",
    )  # fmt: skip
    n_failed = int((~np.isfinite(scores)).sum())
    caption(
        ax, "Selection",
        "bars: standard error of the difference to the lowest" if errors.any() else "",
        f"{n_failed} of {len(scores)} candidates failed" if n_failed else "",
    )  # fmt: skip
    return ax
