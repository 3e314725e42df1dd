"""What families share whose level sets are ellipses about their means."""

from typing import Any

from jax import Array

from .family import Family
from .outline import ELLIPSE, Outline


class Elliptical(Family):
    """Components with means (K, D), whose density falls with the distance in their own metric."""

    means: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, D)."""
        return self.means.shape[-2:]

    @property
    def centers(self) -> Array:
        """(K, D) the means."""
        return self.means

    @property
    def outline(self) -> Outline:
        """Ellipses at distances of standard deviations."""
        return ELLIPSE
