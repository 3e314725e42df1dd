"""Tables over the whole range of floats, and what must hold of a fit to each."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

import mixjax

# One shape, so that a family is compiled once a dtype: shorter tables have rows of weight zero.
ROWS, COLUMNS, COMPONENTS, ITERATIONS = 24, 3, 3, 15
KINDS = ("clusters", "rounded", "copies", "constant", "outlier", "few", "tails")
# The powers of ten that a scale may have: squares of most of them are no floats.
WIDEST = {"float32": 34, "float64": 290}


class Case(NamedTuple):
    """A table to fit, as plain numbers, so that a failing one can be written down.

    Attributes:
      seed: of the rows.
      kind: one of `KINDS`.
      power: the scale is ten to this power.
      offset: how many standard deviations zero is away.
      spread: powers of ten over which the weights go; None for no weights.
      dtype: float32 or float64, in which the table is given and fitted.
    """

    seed: int
    kind: str
    power: float
    offset: float
    spread: float | None
    dtype: str


def drawn(rng, dtype):
    """A case, drawn at random."""
    widest = WIDEST[dtype]
    return Case(
        seed=int(rng.integers(2**31)),
        kind=str(rng.choice(KINDS)),
        power=float(rng.uniform(-widest, widest) if rng.random() < 0.7 else 0),
        offset=float(10 ** rng.uniform(0, 9) if rng.random() < 0.5 else 0),
        spread=float(rng.uniform(0, 12)) if rng.random() < 0.6 else None,
        dtype=dtype,
    )


def rows_of(case):
    """The rows (N, D) and weights (N,) of a case."""
    rng = np.random.default_rng(case.seed)
    centers = 4 * rng.normal(size=(COMPONENTS, COLUMNS))
    x = centers[rng.integers(COMPONENTS, size=ROWS)] + rng.normal(size=(ROWS, COLUMNS))
    present = np.ones(ROWS, bool)
    match case.kind:
        case "rounded":
            x = np.round(x)
        case "copies":
            x = x[rng.integers(4, size=ROWS)]
        case "constant":
            x[:, rng.integers(COLUMNS)] = rng.normal()
        case "outlier":
            x[rng.integers(ROWS), rng.integers(COLUMNS)] *= 10 ** rng.uniform(2, 9)
        case "few":
            present[rng.integers(COMPONENTS, COLUMNS + 2) :] = False
        case "tails":
            x *= np.abs(rng.standard_cauchy(size=(ROWS, 1)))
    x = (x + case.offset) * 10.0**case.power
    weights = np.ones(ROWS) if case.spread is None else 10 ** rng.uniform(0, case.spread, ROWS)
    if case.spread is not None:
        present &= rng.random(ROWS) < 0.8
    with np.errstate(over="ignore"):
        x = x.astype(case.dtype)
    return x, np.where(present, weights, 0).astype(case.dtype)


def fitted(family, x, weights):
    """A fit, always by the same program."""
    key = jax.random.key(1)
    return jax.device_get(
        mixjax.fit(key, x, COMPONENTS, family=family, weights=weights, tol=0.0, max_iter=ITERATIONS)
    )


def energy_of(mixture, x, weights):
    """The mean energy of the rows under a mixture, in double precision by NumPy."""
    x, parts = x.astype(np.float64), mixture.components
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        away = x[:, None] - np.asarray(parts.centers, np.float64)
        if hasattr(parts, "means") and hasattr(parts, "scales"):
            scales = np.asarray(parts.scales, np.float64)
            scales = scales[:, None] if scales.ndim == 1 else scales
            scales = np.broadcast_to(scales, parts.centers.shape)
            each = -0.5 * (away / scales) ** 2 - np.log(scales) - 0.5 * np.log(2 * np.pi)
            each = each.sum(axis=2)
        elif hasattr(parts, "scales"):
            scales = np.asarray(parts.scales, np.float64)
            each = (-np.abs(away) / scales - np.log(2 * scales)).sum(axis=2)
        else:
            factors = np.asarray(getattr(parts, "factors", getattr(parts, "factor", None)), float)
            factors = np.broadcast_to(factors, (COMPONENTS, COLUMNS, COLUMNS))
            y = np.einsum("kij,nkj->nki", factors, away)
            log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
            each = -0.5 * (y**2).sum(axis=2) + log_det - 0.5 * COLUMNS * np.log(2 * np.pi)
        energy = -scipy.special.logsumexp(each + np.asarray(mixture.log_weights, float), axis=1)
    kept = weights > 0
    return np.average(energy[kept], weights=weights[kept].astype(np.float64))


def failures(family, case):
    """What does not hold of the fit of a case, in words; empty if all does."""
    x, weights = rows_of(case)
    # Sums of values near the largest float are none themselves.
    largest = 0.03 * float(np.finfo(x.dtype).max)
    if not (weights > 0).any() or not (np.abs(x) < largest).all():
        return []
    at_an_end = abs(case.power) > WIDEST[case.dtype] - 6
    found = []
    fit = fitted(family, x, weights)
    status = mixjax.Status(int(fit.status))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fit.mixture)):
        found.append(f"{status.name} with parameters that are not finite")
    if abs(float(np.exp(fit.mixture.log_weights).sum()) - 1) > 1e-4:
        found.append("weights that do not sum to 1")

    # Rows of weight zero are absent, whatever they hold.
    other = x.copy()
    other[weights == 0] = np.resize([0, 1e30, np.nan], (int((weights == 0).sum()), COLUMNS))
    again = fitted(family, other, weights)
    if not all(map(np.array_equal, jax.tree.leaves(fit), jax.tree.leaves(again))):
        found.append("rows of weight zero matter")

    # Powers of two move no digit: a fit in other units is the same, to the last one.
    factor = np.float64(2.0) ** (-np.sign(case.power) * 20)
    moved = fitted(family, (x * factor).astype(x.dtype), weights)
    # Near the ends a width of a thousandth of the scale may be no float, which is said.
    lost = mixjax.Status.NONFINITE in (status, int(moved.status))
    if lost and not at_an_end:
        found.append(f"{status.name} although its numbers are floats")
    elif moved.status != fit.status and not lost:
        found.append(
            f"{status.name} becomes {mixjax.Status(int(moved.status)).name} in other units"
        )
    elif not lost and status != mixjax.Status.NONFINITE:
        same = np.allclose if at_an_end else np.array_equal
        if not same(moved.mixture.weights, fit.mixture.weights):
            found.append("weights depend on the units")
        varies = np.ptp(x[weights > 0], axis=0) > 0
        if family.scaling is mixjax.Scaling.SHARED:
            varies[:] = varies.any()
        # A constant column has no units of its own: its width is that of the ridge.
        change = float(moved.energy) - float(fit.energy) - varies.sum() * np.log(factor)
        if abs(change) > 1e-5 * (100 + abs(float(fit.energy))):
            found.append(f"the energy is off by {change:g} in other units")

    if status is not mixjax.Status.NONFINITE:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                mixjax.check(fit)
            except mixjax.FitError as error:
                said.append(error)
        imprecise = any("IMPRECISE" in str(getattr(one, "message", one)) for one in said)
        expected = energy_of(fit.mixture, x, weights)
        if not imprecise and not abs(float(fit.energy) - expected) < 0.05 + 1e-3 * abs(expected):
            found.append(f"the energy is {float(fit.energy):g}, that of the mixture {expected:g}")
        resp = np.asarray(mixjax.responsibilities(fit.mixture, x))
        if not np.allclose(resp.sum(axis=1), 1, atol=1e-4):
            found.append("responsibilities that do not sum to 1")
    gradient = np.asarray(slope(family, jnp.asarray(x), jnp.asarray(weights)))
    if not np.isfinite(gradient).all() and not at_an_end:
        found.append("a gradient that is not finite")
    return [f"{text} [{family.__name__}, {case}]" for text in found]


def _slope(family, x, weights):
    resp = jnp.tile(jnp.eye(COMPONENTS, dtype=x.dtype), (ROWS // COMPONENTS, 1))

    def loss(x):
        mixture = mixjax.m_step(family, x, resp, weights=weights)
        energy = mixjax.energy(mixture, x)
        return jnp.sum(jnp.where(weights > 0, weights / jnp.max(weights) * energy, 0))

    return jax.grad(loss)(x)


slope = jax.jit(_slope, static_argnums=0)
