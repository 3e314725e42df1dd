"""mixjax: mixture models in JAX; the public names, and nothing else."""

import importlib
from typing import Any

from . import detect, programs, threshold
from .average import Average
from .batch import energy_batch, fit_batch, fit_groups, responsibilities_batch
from .conditioning import Prediction, conditional, marginal, predict
from .criteria import HeldOut, aic, bic, icl
from .em import EM
from .explain import feature_importance, suggest_columns, surprisal
from .exporting import export
from .families.diagonal import DiagonalGaussian
from .families.family import Family, Moments
from .families.gaussian import Gaussian
from .families.laplace import Laplace, MeanLaplace
from .families.spherical import SphericalGaussian
from .families.tied import TiedGaussian
from .fit import fit, fit_from, fit_history
from .gradient import Gradient
from .mixture import (
    Mixture,
    covariance_penalty,
    energy,
    log_prob,
    m_step,
    responsibilities,
    sample,
)
from .outcome import Fit, FitError, best, check
from .pytree import pytree
from .saving import load, save
from .scaling import Scaling
from .select import Selection, select
from .solver import Solver, Status
from .start import Start, kmeans, kmeans_plus_plus, random_responsibilities
from .stepwise import Stepwise, update
from .stream import fit_stream

__all__ = [
    "EM",
    "Average",
    "DiagonalGaussian",
    "Family",
    "Fit",
    "FitError",
    "Gaussian",
    "Gradient",
    "HeldOut",
    "Laplace",
    "MeanLaplace",
    "Mixture",
    "Moments",
    "Prediction",
    "Scaling",
    "Selection",
    "Solver",
    "SphericalGaussian",
    "Start",
    "Status",
    "Stepwise",
    "TiedGaussian",
    "aic",
    "best",
    "bic",
    "check",
    "conditional",
    "covariance_penalty",
    "detect",
    "energy",
    "energy_batch",
    "export",
    "feature_importance",
    "fit",
    "fit_batch",
    "fit_from",
    "fit_groups",
    "fit_history",
    "fit_stream",
    "icl",
    "kmeans",
    "kmeans_plus_plus",
    "load",
    "log_prob",
    "m_step",
    "marginal",
    "predict",
    "programs",
    "pytree",
    "random_responsibilities",
    "responsibilities",
    "responsibilities_batch",
    "sample",
    "save",
    "select",
    "suggest_columns",
    "surprisal",
    "threshold",
    "update",
]

__version__ = "0.1.0"

# Each brings its extra, so they are imported when they are asked for.
_EXTRAS = frozenset({"dagmm", "explorer", "numpyro", "plot", "sklearn"})


def __getattr__(name: str) -> Any:
    if name in _EXTRAS:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'mixjax' has no attribute {name!r}")
