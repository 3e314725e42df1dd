"""One of everything that can be saved, made without much work."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from conftest import FAMILIES

import mixjax
from mixjax.detect.committee import Calibration, Member
from mixjax.detect.detector import Detector
from mixjax.mixture.average import Average
from mixjax.selection.candidates import Candidate
from mixjax.selection.selection import Selection


def mixture_of(family, lanes=()):
    rng = np.random.default_rng(3)

    def leaf(name, array):
        if not array.any():
            return jnp.asarray(rng.normal(size=lanes + array.shape), array.dtype)
        return jnp.broadcast_to(0.5 * array, lanes + array.shape)

    standard = vars(family.standard(2, 3, jnp.float32))
    components = family(**{name: leaf(name, array) for name, array in standard.items()})
    return mixjax.Mixture(
        jnp.broadcast_to(jnp.log(jnp.array([0.25, 0.75])), (*lanes, 2)), components
    )


def fit_of(family, lanes=()):
    n_iter = jnp.full(lanes, 4, jnp.int32)
    return mixjax.Fit(mixture_of(family, lanes), jnp.full(lanes, 1.5), n_iter, 0 * n_iter)


def detector():
    energies = jnp.array([0.0, 1.0, 1.0, jnp.inf])
    half = jnp.asarray(0.5)
    member = Member(mixture_of(mixjax.Gaussian, (2,)), Calibration(energies, half, half, half))
    return Detector(
        np.array([1e9, 0.0, 1.0]), np.ones(3), np.ones((3, 2)), (member,), jnp.array([0.1, -0.2, jnp.inf]),
        mixjax.threshold.Conformal(energies, half), jnp.asarray(jnp.inf),
        jnp.array([0.5, jnp.inf]),
        (Candidate(mixjax.Gaussian, 2, 1e-6), Candidate(mixjax.Laplace, 1, 0.0)),
        (3, 0, 1), ("a", "b", "π", "=1+1"),
    )  # fmt: skip


def selection():
    found = detector().candidates
    two = np.array([1.0, np.inf])
    fit, whole = fit_of(mixjax.Laplace), np.array([3, 4])
    return Selection(
        found, two, two, whole, whole, 0 * whole, 0, fit, Average(jnp.zeros(1), (fit.mixture,))
    )


def everything():
    """By name: all kinds of what `save` takes."""
    scores = jnp.arange(200.0) ** 1.5
    labels = jnp.arange(200) > 190
    mixture = mixture_of(mixjax.Gaussian)
    failed = fit_of(mixjax.Gaussian, (3,))
    lost = mixture_of(mixjax.Gaussian, (3,))
    log_weights = lost.log_weights.at[1].set(-31.9).at[2].set(jnp.array([-jnp.inf, 0.0]))
    failed = dataclasses.replace(
        failed,
        mixture=dataclasses.replace(lost, log_weights=log_weights),
        energy=jnp.array([1.0, jnp.nan, -3.0]),
        status=jnp.array([0, mixjax.Status.TOO_FEW_ROWS, mixjax.Status.DEGENERATE], jnp.int32),
    )
    return {
        **{f"fit of {family.__name__}": fit_of(family) for family in FAMILIES},
        **{f"fits of {family.__name__}": fit_of(family, (2, 3)) for family in FAMILIES},
        "components": mixture.components,
        "fits that failed": failed,
        "a fit on the host": jax.tree.map(lambda leaf: np.asarray(leaf)[0], failed),
        "detector": detector(),
        "selection": selection(),
        "average": Average(jnp.log(jnp.array([0.5, 0.5])), (mixture, mixture_of(mixjax.Laplace))),
        "stepwise": mixjax.Stepwise.of(mixture, reg_covar=1e-6),
        "conformal": mixjax.threshold.conformal(scores, 0.05),
        "peaks": mixjax.threshold.peaks_over_threshold(scores, 1e-3),
        "best_f1": mixjax.threshold.best_f1(scores, labels),
        "elkan_noto": mixjax.threshold.elkan_noto(jnp.array([0.2, 0.3])),
        "percentile": mixjax.threshold.percentile(scores, 0.01),
        "groups": (np.array(["a", "bc"]), fit_of(mixjax.Gaussian, (2,))),
    }
