"""What the values of mixtures, fits and detectors may be: asked of what is saved and loaded."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .average import Average
from .committee import Calibration, Member
from .detector import Detector
from .families.family import Family
from .families.known import KNOWN
from .grid import Candidate
from .mixture import Mixture
from .outcome import Fit
from .select import Selection
from .solver import Status
from .stepwise import Stepwise
from .threshold.best_f1 import BestF1
from .threshold.conformal import Conformal
from .threshold.elkan_noto import ElkanNoto
from .threshold.peaks import Tail

# A check is given a value and the place where it stands, and raises `ValueError`.
Check = Callable[[Any, str], None]
# By how much weights may miss a sum of 1, and shares an end of their range: rounding.
ROUNDING = 1e-3
# Fits of these say nothing of the rows: their lanes may hold anything.
FAILED = (Status.NONFINITE, Status.TOO_FEW_ROWS)


def require_valid(tree: Any, place: str = "") -> None:
    """Raise unless all values of a tree are such as mixjax itself could have put there.

    Raises:
      ValueError: it names the field, what is there and what may be.
    """
    dot = f"{place}." if place else ""
    if isinstance(tree, tuple) and type(tree) not in FIELDS:
        for i, part in enumerate(tree):
            require_valid(part, f"{dot}{i}")
    elif isinstance(tree, Fit):
        _fit(tree, dot)
    elif isinstance(tree, Family):
        _shapes(tree, dot)
        for name, value in vars(tree).items():
            PARAMETERS[name](value, dot + name)
    elif type(tree) in FIELDS:
        for name, check in FIELDS[type(tree)].items():
            check(getattr(tree, name), dot + name)
        TOGETHER.get(type(tree), lambda tree, dot: None)(tree, dot)


def _numbers(words: str, holds: Callable[[np.ndarray], Any], kind: Any = np.floating) -> Check:
    def check(value: Any, place: str) -> None:
        if not isinstance(value, jax.Array | np.ndarray | np.generic):
            raise ValueError(f"{place} is a {type(value).__name__}, not an array")
        array = np.asarray(value)
        wide = array.dtype in (np.float32, np.float64) or kind is not np.floating
        if not np.issubdtype(array.dtype, kind) or not wide:
            raise ValueError(f"{place} holds {array.dtype}, not {words}")
        if array.size and not np.all(holds(array)):
            raise ValueError(f"{place} does not hold {words}")

    return check


def _is(*kinds: type, many: bool = False) -> Check:
    def check(value: Any, place: str) -> None:
        parts = value if many and type(value) is tuple else (value,)
        if (many and type(value) is not tuple) or not all(isinstance(p, kinds) for p in parts):
            names = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"{place} is not {'a tuple of ' if many else 'a '}{names}")
        require_valid(value, place)

    return check


def _plain(words: str, holds: Callable[[Any], bool]) -> Check:
    def check(value: Any, place: str) -> None:
        if not holds(value):
            raise ValueError(f"{place} is {str(value)[:60]!r}, not {words}")

    return check


def _sums_to_one(log_weights: np.ndarray) -> Any:
    with np.errstate(over="ignore"):
        total = np.exp(log_weights.astype(np.float64)).sum(axis=-1)
    return np.abs(total - 1) <= ROUNDING


def _lower(factors: np.ndarray) -> Any:
    above = np.abs(np.triu(factors, 1)).max(axis=(-2, -1), initial=0)
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1)
    few = np.finfo(factors.dtype).eps * np.abs(factors).max(axis=(-2, -1), initial=0)
    return np.isfinite(factors).all() and (diagonal > 0).all() and (above <= few).all()


def _ascending(values: np.ndarray) -> Any:
    ordered = (values[..., 1:] >= values[..., :-1]).all()
    return values.ndim > 0 and ordered and not np.isnan(values).any()


def _is_status(values: np.ndarray) -> Any:
    return np.isin(values, [int(status) for status in Status])


finite = _numbers("finite numbers", np.isfinite)
not_nan = _numbers("numbers without NaN", lambda v: ~np.isnan(v))
positive = _numbers("positive numbers", lambda v: (v > 0) & np.isfinite(v))
not_negative = _numbers("finite numbers of at least 0", lambda v: (v >= 0) & np.isfinite(v))
share = _numbers("numbers from 0 to 1", lambda v: (v >= 0) & (v <= 1 + ROUNDING))
some_share = _numbers("numbers above 0 and up to 1", lambda v: (v > 0) & (v <= 1 + ROUNDING))
ascending = _numbers("ascending numbers", _ascending)
log_weights = _numbers("logarithms of weights that sum to 1", _sums_to_one)
counts = _numbers("whole numbers of at least 0", lambda v: v >= 0, np.integer)
statuses = _numbers("numbers of mixjax.Status", _is_status, np.integer)
a_count = _plain("a whole number of at least 0", lambda v: type(v) is int and v >= 0)
names = _plain(
    "a tuple of names", lambda v: type(v) is tuple and all(type(name) is str for name in v)
)
different = _plain(
    "a tuple of different column numbers",
    lambda v: type(v) is tuple and all(type(i) is int for i in v) and len({*v}) == len(v) > 0,
)

# What the parameters of the families that come with mixjax may be, by their names.
PARAMETERS: dict[str, Check] = {
    "means": finite,
    "locations": finite,
    "scales": positive,
    "factors": _numbers("lower triangles with a positive diagonal", _lower),
    "factor": _numbers("a lower triangle with a positive diagonal", _lower),
}
FIELDS: dict[type, dict[str, Check]] = {
    Mixture: {"log_weights": log_weights, "components": _is(*KNOWN.values())},
    Average: {"log_weights": log_weights, "mixtures": _is(Mixture, many=True)},
    Stepwise: {
        "mixture": _is(Mixture), "scaled": _is(Mixture), "ridge": not_negative,
        "shift": finite, "scale": positive,
    },
    Fit: {"mixture": _is(Mixture), "energy": not_nan, "n_iter": counts, "status": statuses},
    Calibration: {"energies": ascending, "start": not_nan, "scale": positive, "shape": share},
    Member: {"mixtures": _is(Mixture), "calibration": _is(Calibration)},
    Candidate: {
        "family": _plain("a family", lambda v: v in KNOWN.values()),
        "n_components": _plain("a whole number above 0", lambda v: type(v) is int and v > 0),
        "reg_covar": _plain(
            "a number of at least 0", lambda v: type(v) in (int, float) and 0 <= v < np.inf
        ),
    },
    Detector: {
        "center": finite, "scale": positive, "members": _is(Member, many=True),
        "typical": not_nan, "rule": _is(Conformal), "threshold": not_nan, "held_out": not_nan,
        "candidates": _is(Candidate, many=True), "columns": different, "feature_names": names,
    },
    Selection: {
        "candidates": _is(Candidate, many=True), "scores": not_nan, "standard_errors": not_nan,
        "n_parameters": counts, "n_iter": counts, "status": statuses, "best": a_count,
        "fit": _is(Fit), "average": _is(Average),
    },
    Conformal: {"calibration": ascending, "alpha": share},
    Tail: {
        "start": not_nan, "share": some_share, "scale": positive, "shape": finite, "risk": share,
    },
    BestF1: {"threshold": not_nan, "f1": share, "precision": share, "recall": share},
    ElkanNoto: {"c": some_share},
}  # fmt: skip


def _shapes(components: Any, dot: str, log_weights: Any = None) -> None:
    """Arrays of the shapes and types that the family asks for."""
    if type(components) not in KNOWN.values():
        raise ValueError(f"{dot}components is a {type(components).__name__}, not a family")
    for name, value in {**vars(components), "log_weights": log_weights}.items():
        if value is not None:
            _numbers("floating numbers", np.isreal)(value, dot + name)
    means = next(iter(vars(components).values()))
    lanes, (k, d) = means.shape[:-2], means.shape[-2:] if means.ndim > 1 else (0, 0)
    if k * d == 0:
        raise ValueError(f"{dot}components are of shape {means.shape}, not (K, D)")
    expected = vars(jax.eval_shape(lambda: type(components).reference(k, d, means.dtype)))
    found = dict(vars(components))
    if log_weights is not None:
        found["log_weights"] = log_weights
        expected["log_weights"] = jax.ShapeDtypeStruct((k,), means.dtype)
    for name, leaf in expected.items():
        if found[name].shape != lanes + leaf.shape or found[name].dtype != leaf.dtype:
            raise ValueError(
                f"{dot}{name} of {type(components).__name__} has shape {found[name].shape} of "
                f"{found[name].dtype}, expected {lanes + leaf.shape} of {leaf.dtype}"
            )


def _fit(fit: Fit, dot: str) -> None:
    """Lane by lane: those that failed may hold anything."""
    _numbers("energies", np.isreal)(fit.energy, f"{dot}energy")
    counts(fit.n_iter, f"{dot}n_iter")
    statuses(fit.status, f"{dot}status")
    if not isinstance(fit.mixture, Mixture):
        raise ValueError(f"{dot}mixture is a {type(fit.mixture).__name__}, not a Mixture")
    _shapes(fit.mixture.components, f"{dot}mixture.", fit.mixture.log_weights)
    of_lanes = {"energy": fit.energy, "n_iter": fit.n_iter, "status": fit.status}
    _same(dot, mixture=fit.mixture.log_weights.shape[:-1], **_shapes_of(of_lanes))
    good = ~np.isin(np.asarray(fit.status), FAILED)
    if good.any():
        some = jax.tree.map(lambda leaf: np.asarray(leaf)[good], fit)
        not_nan(some.energy, f"{dot}energy")
        require_valid(some.mixture, f"{dot}mixture")


def _detector(detector: Detector, dot: str) -> None:
    width, n = len(detector.columns), len(detector.feature_names)
    if not detector.members:
        raise ValueError(f"{dot}members: there are none")
    if not all(0 <= column < n for column in detector.columns):
        raise ValueError(f"{dot}columns are not among the {n} feature_names")
    for i, member in enumerate(detector.members):
        found = member.mixtures.components.shape[-1]
        if found != width or member.mixtures.log_weights.ndim != 2:
            raise ValueError(f"{dot}members.{i} has {found} columns, the detector {width}")
    of_columns = {name: getattr(detector, name) for name in ("center", "scale", "typical")}
    _same(dot, columns=(width,), **_shapes_of(of_columns))
    _same(dot, candidates=(len(detector.candidates),), held_out=detector.held_out.shape)
    _same(dot, threshold=detector.threshold.shape, rule=detector.rule.alpha.shape)


def _selection(selection: Selection, dot: str) -> None:
    of_candidates = ("scores", "standard_errors", "n_parameters", "n_iter", "status")
    n = len(selection.candidates)
    _same(dot, candidates=(n,), **_shapes_of({k: getattr(selection, k) for k in of_candidates}))
    if selection.best >= n:
        raise ValueError(f"{dot}best is {selection.best}, of {n} candidates")


def _average(average: Average, dot: str) -> None:
    _same(dot, log_weights=average.log_weights.shape, mixtures=(len(average.mixtures),))


def _stepwise(state: Stepwise, dot: str) -> None:
    mixture, scaled = state.mixture, state.scaled
    if type(scaled.components) is not type(mixture.components):
        raise ValueError(f"{dot}scaled is not of {type(mixture.components).__name__}")
    own = (*mixture.log_weights.shape, *mixture.components.shape)
    _same(dot, mixture=own, scaled=(*scaled.log_weights.shape, *scaled.components.shape))
    lanes, d = mixture.log_weights.shape[:-1], mixture.components.shape[-1]
    of_columns = {name: getattr(state, name) for name in ("ridge", "shift", "scale")}
    _same(dot, mixture=(*lanes, d), **_shapes_of(of_columns))


def _shapes_of(arrays: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in arrays.items()}


def _same(dot: str, **shapes: tuple[int, ...]) -> None:
    if len({*shapes.values()}) > 1:
        parts = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{dot.rstrip('.') or 'its parts'}: shapes that do not agree: {parts}")


def _per_lane(tree: Any, dot: str) -> None:
    """One number a lane, beside arrays of scores with a last axis."""
    shapes = _shapes_of(vars(tree))
    _same(dot, **{n: s[:-1] if n in ("energies", "calibration") else s for n, s in shapes.items()})


TOGETHER: dict[type, Callable[[Any, str], None]] = {
    Mixture: lambda mixture, dot: _shapes(mixture.components, dot, mixture.log_weights),
    Detector: _detector, Selection: _selection, Average: _average, Stepwise: _stepwise,
    Calibration: _per_lane, Conformal: _per_lane, Tail: _per_lane, BestF1: _per_lane,
}  # fmt: skip
