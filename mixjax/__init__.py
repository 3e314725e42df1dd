"""mixjax: mixture models in JAX; the public names, and nothing else."""

import importlib
from typing import Any

from . import detect, programs, threshold
from .batching.batch import fit_batch, fit_groups
from .batching.questions import energy_batch, responsibilities_batch
from .families.categorical import Categorical
from .families.diagonal import DiagonalGaussian
from .families.family import Family
from .families.gaussian import Gaussian
from .families.laplace import Laplace, MeanLaplace
from .families.moments import Moments
from .families.product import product
from .families.spherical import SphericalGaussian
from .families.tied import TiedGaussian
from .files.exporting import export
from .files.program_cache import disable_cache, enable_cache
from .files.saving import load, save
from .fitting.em import EM
from .fitting.front_door import fit, fit_from, fit_history
from .fitting.gradient import Gradient
from .fitting.outcome import Fit, FitError, best, check
from .fitting.solver import Solver, Status
from .fitting.starts import (
    KMeans,
    KMeansPlusPlus,
    RandomResponsibilities,
    Start,
    kmeans,
    kmeans_plus_plus,
    random_responsibilities,
)
from .mixture.average import Average
from .mixture.conditioning import Prediction, conditional, marginal, predict
from .mixture.explain import feature_importance, suggest_columns, surprisal
from .mixture.imputing import impute
from .mixture.maximization import m_step
from .mixture.mixture import Mixture
from .mixture.questions import covariance_penalty, energy, log_prob, responsibilities, sample
from .pytrees import pytree
from .rows.observed import Observed
from .rows.scaling import Scaling
from .selection.criteria import HeldOut, aic, bic, icl
from .selection.selection import Selection, select
from .streaming.stepwise import Stepwise, update
from .streaming.stream import fit_stream

__all__ = [
    "EM",
    "Average",
    "Categorical",
    "DiagonalGaussian",
    "Family",
    "Fit",
    "FitError",
    "Gaussian",
    "Gradient",
    "HeldOut",
    "KMeans",
    "KMeansPlusPlus",
    "Laplace",
    "MeanLaplace",
    "Mixture",
    "Moments",
    "Observed",
    "Prediction",
    "RandomResponsibilities",
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
    "disable_cache",
    "enable_cache",
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
    "impute",
    "kmeans",
    "kmeans_plus_plus",
    "load",
    "log_prob",
    "m_step",
    "marginal",
    "predict",
    "product",
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


def __dir__() -> list[str]:
    return sorted([*__all__, *_EXTRAS, "__version__"])
