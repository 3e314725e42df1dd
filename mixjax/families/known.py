"""The families that come with mixjax, by their names: what a file may hold."""

from .diagonal import DiagonalGaussian
from .family import Family
from .gaussian import Gaussian
from .laplace import Laplace, MeanLaplace
from .spherical import SphericalGaussian
from .tied import TiedGaussian

KNOWN: dict[str, type[Family]] = {
    family.__name__: family
    for family in (
        Gaussian,
        TiedGaussian,
        DiagonalGaussian,
        SphericalGaussian,
        Laplace,
        MeanLaplace,
    )
}
