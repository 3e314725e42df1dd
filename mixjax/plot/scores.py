"""The distribution of energies or other scores, and the threshold."""

import numpy as np
from jax.typing import ArrayLike
from matplotlib.axes import Axes

from ..threshold.scores import above
from . import inputs
from .energy_axis import Axis
from .style import ANOMALY, INK, NORMAL, axes_of, caption, frame

# The number of bars.
BARS = 60


def energy_histogram(
    energies: ArrayLike,
    threshold: float | ArrayLike | None = None,
    is_anomaly: ArrayLike | None = None,
    *,
    ax: Axes | None = None,
    unit: str = "energy, nats",
    logarithmic: bool | None = None,
) -> Axes:
    """A histogram of energies with counts on a log scale, and the threshold.

    If a few energies are so far out that the others would share a bar, the axis grows with the
    logarithm of the distance from the median. On a linear axis the outermost bar then holds all
    energies beyond. It always holds infinite ones. The line under the title gives their number.

    Args:
      energies: (N,) energies or other scores; higher is stranger.
      threshold: rows above it are flagged; None draws no threshold.
      is_anomaly: (N,) True or 1 for anomalies, which get their own color.
      ax: where to draw; None makes a figure.
      unit: the label of the axis.
      logarithmic: whether the axis is logarithmic far from the median; None to decide by the
        energies.

    Returns:
      The axes.

    Raises:
      TypeError: energies are not real numbers, or ax is not an Axes.
      ValueError: energies do not have shape (N,), hold NaN, or hold no finite number; is_anomaly
        has the wrong length or other values than 0 and 1; threshold is not one number.

    Example:
      >>> import numpy as np
      >>> from matplotlib.figure import Figure
      >>> from mixjax import plot
      >>> energies = np.array([1.0, 1.2, 1.1, 1.4, 9.0, np.inf])
      >>> ax = plot.energy_histogram(energies, 5.0, ax=Figure().subplots())
      >>> ax.get_legend().get_texts()[-1].get_text()
      'threshold 5: 2 of 6 above'
    """
    energies = inputs.no_nan(inputs.numbers_of(energies, "energies"), "energies")
    flags = None if is_anomaly is None else inputs.flags_of(is_anomaly, len(energies))
    limit = None if threshold is None else _one_number(threshold)
    finite = energies[np.isfinite(energies)]
    if finite.size == 0:
        raise ValueError("energies hold no finite number, so there is nothing to draw")
    axis = Axis.of(finite, limit, logarithmic)
    low, high = axis.low, axis.high
    edges = axis.edges(BARS)
    inside = np.clip(energies, low, high)
    ax = axes_of(ax, (7.2, 4.4))
    if flags is None:
        ax.hist(inside, edges, color=NORMAL, alpha=0.75, label=f"rows ({len(energies):,})")
    else:
        for rows, color, name in ((~flags, NORMAL, "normal"), (flags, ANOMALY, "anomalies")):
            ax.hist(inside[rows], edges, color=color, alpha=0.6, label=f"{name} ({rows.sum():,})")
    note = ""
    if limit is not None:
        n_above = int(above(energies, limit).sum())
        count_above = f"{n_above:,} of {len(energies):,} above"
        if np.isfinite(limit):
            name = f"threshold {limit:.4g}: {count_above}"
            ax.axvline(limit, color=INK, linewidth=1.5, linestyle="--", label=name)
        else:
            note = f"the threshold is {_signed(limit)}: {count_above}"
    ax.set(yscale="log", xlabel=unit, ylabel="rows", xlim=(low, high))
    # Room for the legend above the highest bar.
    ax.set_ylim(0.7, 6 * ax.get_ylim()[1])
    axis.apply(ax)
    frame(ax)
    ax.legend(loc="upper right", fontsize="small", edgecolor="none", framealpha=0.9)
    caption(ax, "Energies", *_beyond(energies, low, high), note)
    return ax


def _one_number(threshold: float | ArrayLike) -> float:
    value = np.asarray(threshold)
    if value.size != 1 or np.isnan(value.astype(np.float64)).any():
        raise ValueError(f"threshold must be one number, got {threshold!r}")
    return float(value.reshape(()))


def _beyond(energies: np.ndarray, low: float, high: float) -> list[str]:
    """Notes on energies beyond the ends, which the outermost bars hold."""
    notes = []
    for name, far in (("last", energies > high), ("first", energies < low)):
        n_infinite = int(np.isinf(energies[far]).sum())
        finite = energies[far & np.isfinite(energies)]
        if finite.size:
            end = finite.max() if name == "last" else finite.min()
            notes.append(f"{name} bar: {finite.size:,} further out, to {end:.3g}")
        if n_infinite:
            sign = _signed(np.inf if name == "last" else -np.inf)
            notes.append(f"{name} bar: {n_infinite:,} {sign}")
    return notes


def _signed(value: float) -> str:
    return "infinite" if value > 0 else "minus infinity"
