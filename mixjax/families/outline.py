"""Lines on which the density of a component is the same, to be drawn."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Outline(NamedTuple):
    """The level sets of components in two columns: multiples of one line about the center.

    Attributes:
      line: (n, 2) the closed line at a distance of 1, of two uncorrelated columns of variance 1.
      unit: the words for that distance, such as "standard deviations".
      radius: the distance within which a given share of a component lies.
    """

    line: np.ndarray
    unit: str
    radius: Callable[[float], float]


def _gaussian_radius(share: float) -> float:
    r"""A standard Gaussian of two columns has the share $1 - e^{-r^2/2}$ within r."""
    return math.sqrt(-2 * math.log1p(-share))


def _laplace_radius(share: float) -> float:
    r"""The radius $|x| + |y|$ of two Laplace columns: it has the density $r e^{-r}$."""
    radius = np.linspace(0, 40, 40_001)
    return float(np.interp(share, 1 - (1 + radius) * np.exp(-radius), radius))


_ANGLE = np.linspace(0, 2 * np.pi, 181)
_CORNERS = np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])

ELLIPSE = Outline(
    np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], axis=1), "standard deviations", _gaussian_radius
)
# A Laplace column of scale 1 has a standard deviation of the root of 2.
DIAMOND = Outline(_CORNERS / math.sqrt(2), "scales", _laplace_radius)
