"""The axis of energies: linear, or logarithmic far from the median."""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

# Energies are far out beyond the middle half by more than this many times its width.
REACH = 12.0
# The share of the axis that is empty at each end, and the least share between two ticks.
MARGIN = 0.03
APART = 0.09


@dataclasses.dataclass(frozen=True)
class Axis:
    """An axis of energies.

    Attributes:
      low: its lower end.
      high: its upper end.
      middle: the median of the energies.
      width: the width of their middle half if the axis is logarithmic beyond it, else None.
    """

    low: float
    high: float
    middle: float
    width: float | None

    @classmethod
    def of(cls, finite: np.ndarray, limit: float | None, logarithmic: bool | None) -> "Axis":
        """The axis of finite energies and of a threshold; ``None`` decides by the energies."""
        quarter, middle, three = np.quantile(finite, [0.25, 0.5, 0.75])
        width, reach = three - quarter, REACH * (three - quarter)
        low, high = finite.min(), finite.max()
        if logarithmic is None:
            logarithmic = bool(reach > 0 and (low < quarter - reach or three + reach < high))
        logarithmic = logarithmic and width > 0
        if not logarithmic and reach > 0:
            low, high = max(low, quarter - reach), min(high, three + reach)
        if limit is not None and np.isfinite(limit):
            low, high = min(low, limit), max(high, limit)
        axis = cls(low, high, float(middle), float(width) if logarithmic else None)
        first, last = axis.place(low), axis.place(high)
        margin = MARGIN * (last - first) or max(0.5, 1e-3 * abs(high))
        return dataclasses.replace(
            axis, low=float(axis.energy(first - margin)), high=float(axis.energy(last + margin))
        )

    def place(self, energy: np.ndarray | float) -> np.ndarray:
        """Where energies stand on the axis."""
        if self.width is None:
            return np.asarray(energy)
        return np.arcsinh((np.asarray(energy) - self.middle) / self.width)

    def energy(self, place: np.ndarray | float) -> np.ndarray:
        """The energies at places of the axis."""
        if self.width is None:
            return np.asarray(place)
        return self.middle + self.width * np.sinh(np.asarray(place))

    def edges(self, n_bars: int) -> list[float]:
        """The edges of bars that are equally wide on the axis."""
        places = np.linspace(self.place(self.low), self.place(self.high), n_bars + 1)
        inner: list[float] = self.energy(places[1:-1]).tolist()
        return [self.low, *inner, self.high]

    def apply(self, ax: Axes) -> None:
        """Give the axes this scale, with ticks at round energies."""
        if self.width is None:
            return
        ax.set_xscale("function", functions=(self.place, self.energy))
        ax.set_xlim(self.low, self.high)
        ax.xaxis.set_major_locator(FixedLocator(self.ticks()))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: _short(energy)))

    def ticks(self) -> list[float]:
        """Round energies: evenly spaced in the middle, then powers of ten and half of them."""
        assert self.width is not None
        around = self.middle - self.width, self.middle + self.width
        near = np.asarray(MaxNLocator(4).tick_values(*around))
        powers = 10.0 ** np.arange(-3, 39)
        powers = powers[powers > self.width]
        first, last = self.place(self.low), self.place(self.high)
        kept: list[float] = []
        # Each must keep its distance from those before.
        for energy in (*near.tolist(), 0.0, *powers, *-powers, *5 * powers, *-5 * powers):
            if energy not in near and abs(energy - self.middle) < 3 * self.width:
                continue
            place = self.place(energy)
            apart = all(abs(place - self.place(k)) > APART * (last - first) for k in kept)
            if first <= place <= last and apart:
                kept.append(energy)
        return sorted(kept)


def _short(energy: float) -> str:
    """A round energy as text: 500, -2.5, 1e6."""
    return f"{energy:.0e}".replace("e+0", "e") if abs(energy) >= 1e5 else f"{energy:.6g}"
