"""What families share whose level sets are ellipses about their means."""

import dataclasses
from typing import Any, Self

import jax.numpy as jnp
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

    def located(self, centers: Array) -> Self:
        """These components with other means (K, D)."""
        return dataclasses.replace(self, means=centers)  # type: ignore[type-var]

    @classmethod
    def center_name(cls) -> str:
        """The means."""
        return "means"

    def pinned(self, stats: Any) -> Any:
        """Statistics whose means are these; their second moments are about them already."""
        return dataclasses.replace(stats, first=jnp.zeros_like(stats.first))

    @property
    def outline(self) -> Outline:
        """Ellipses at distances of standard deviations."""
        return ELLIPSE
