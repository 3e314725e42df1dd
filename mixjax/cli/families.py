"""The families, as words."""

import enum

import mixjax

from ..families.family import Family


class FamilyName(enum.StrEnum):
    """What a component may be."""

    gaussian = "gaussian"
    tied = "tied"
    diagonal = "diagonal"
    spherical = "spherical"
    laplace = "laplace"


FAMILIES: dict[FamilyName, type[Family]] = {
    FamilyName.gaussian: mixjax.Gaussian,
    FamilyName.tied: mixjax.TiedGaussian,
    FamilyName.diagonal: mixjax.DiagonalGaussian,
    FamilyName.spherical: mixjax.SphericalGaussian,
    FamilyName.laplace: mixjax.Laplace,
}
# Those whose columns know of each other, and which want more rows than columns.
JOINT = {FamilyName.gaussian, FamilyName.tied}


def word_for(family: type[Family]) -> str:
    """The word for one of these families."""
    return next(name.value for name, known in FAMILIES.items() if known is family)
