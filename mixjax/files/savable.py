"""What can be saved, and the valid values of its fields: checked on save and load."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..detect.committee import Calibration, Member
from ..detect.detector import Detector
from ..families import known
from ..families.categorical import Categorical
from ..families.family import Family
from ..families.product import Product
from ..fitting.outcome import Fit
from ..fitting.solver import Status
from ..mixture.average import Average
from ..mixture.mixture import Mixture
from ..selection.candidates import Candidate
from ..selection.selection import Selection
from ..streaming.stepwise import Stepwise
from ..threshold.conformal_prediction import Conformal
from ..threshold.f1_score import BestF1
from ..threshold.peaks import Tail
from ..threshold.pu_learning import ElkanNoto
from .validity import (
    Check,
    ascending,
    counts,
    finite,
    log_weights,
    not_nan,
    not_negative,
    numbers,
    positive,
    require_mixture,
    require_parameters,
    require_same,
    require_shapes,
    shapes_of,
    share,
    some_share,
)

# Fits of these statuses may hold any values.
FAILED = (Status.NONFINITE, Status.TOO_FEW_ROWS)


def require_valid(tree: Any, place: str = "") -> None:
    """Raise unless all values of a tree are valid.

    Raises:
      ValueError: the message names the field, its value and valid values.
    """
    dot = f"{place}." if place else ""
    if isinstance(tree, tuple) and type(tree) not in FIELDS:
        for i, part in enumerate(tree):
            require_valid(part, f"{dot}{i}")
    elif isinstance(tree, Fit):
        _fit(tree, dot)
    elif isinstance(tree, Mixture):
        require_mixture(tree, place)
    elif isinstance(tree, Family):
        require_shapes(tree, dot)
        require_parameters(tree, dot)
    elif type(tree) in FIELDS:
        for name, check in FIELDS[type(tree)].items():
            check(getattr(tree, name), dot + name)
        TOGETHER.get(type(tree), lambda tree, dot: None)(tree, dot)


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


def _is_status(values: np.ndarray) -> Any:
    return np.isin(values, [int(status) for status in Status])


statuses = numbers("numbers of mixjax.Status", _is_status, np.integer)
a_count = _plain("a whole number of at least 0", lambda v: type(v) is int and v >= 0)
text = _plain("text", lambda v: type(v) is str)
names = _plain(
    "a tuple of names", lambda v: type(v) is tuple and all(type(name) is str for name in v)
)
different = _plain(
    "a tuple of different column numbers",
    lambda v: type(v) is tuple and all(type(i) is int for i in v) and len({*v}) == len(v) > 0,
)


def _is_family(value: Any) -> bool:
    made = isinstance(value, type) and issubclass(value, Product | Categorical)
    return made or value in known.by_name().values()


def _are_levels(value: Any) -> bool:
    """Whether these are the levels of columns: each numbers, or each names."""
    if value is None:
        return True
    each = value if type(value) is tuple else (None,)
    return all(
        type(own) is tuple and (set(map(type, own)) <= {str} or set(map(type, own)) <= {int, float})
        for own in each
    )


FIELDS: dict[type, dict[str, Check]] = {
    Mixture: {"log_weights": log_weights, "components": _is(Family)},
    Average: {"log_weights": log_weights, "mixtures": _is(Mixture, many=True)},
    Stepwise: {
        "mixture": _is(Mixture), "scaled": _is(Mixture), "ridge": not_negative,
        "shift": finite, "scale": positive,
    },
    Fit: {"mixture": _is(Mixture), "energy": not_nan, "n_iter": counts, "status": statuses},
    Calibration: {"energies": ascending, "start": not_nan, "scale": positive, "shape": share},
    Member: {"mixtures": _is(Mixture), "calibration": _is(Calibration), "view": text},
    Candidate: {
        "family": _plain("a family", _is_family),
        "n_components": _plain("a whole number above 0", lambda v: type(v) is int and v > 0),
        "ridge": _plain(
            "a number of at least 0", lambda v: type(v) in (int, float) and 0 <= v < np.inf
        ),
    },
    Detector: {
        "center": finite, "scale": positive, "usual": finite, "members": _is(Member, many=True),
        "typical": not_nan, "rule": _is(Conformal), "threshold": not_nan, "held_out": not_nan,
        "candidates": _is(Candidate, many=True), "columns": different, "feature_names": names,
        "levels": _plain("levels of columns", _are_levels),
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


def _fit(fit: Fit, dot: str) -> None:
    """Check each lane; failed lanes may hold any values."""
    numbers("energies", np.isreal)(fit.energy, f"{dot}energy")
    counts(fit.n_iter, f"{dot}n_iter")
    statuses(fit.status, f"{dot}status")
    if not isinstance(fit.mixture, Mixture):
        raise ValueError(f"{dot}mixture is a {type(fit.mixture).__name__}, not a Mixture")
    require_shapes(fit.mixture.components, f"{dot}mixture.", fit.mixture.log_weights)
    of_lanes = {"energy": fit.energy, "n_iter": fit.n_iter, "status": fit.status}
    require_same(dot, mixture=fit.mixture.log_weights.shape[:-1], **shapes_of(of_lanes))
    good = ~np.isin(np.asarray(fit.status), FAILED)
    if good.any():
        some = jax.tree.map(lambda leaf: np.asarray(leaf)[good], fit)
        not_nan(some.energy, f"{dot}energy")
        require_mixture(some.mixture, f"{dot}mixture")


def _detector(detector: Detector, dot: str) -> None:
    width, n = len(detector.columns), len(detector.feature_names)
    if not detector.members:
        raise ValueError(f"{dot}members is empty")
    if not all(0 <= column < n for column in detector.columns):
        raise ValueError(f"{dot}columns must be numbers of the {n} feature_names")
    levels = detector.levels or ((),) * width
    require_same(dot, columns=(width,), levels=(len(levels),))
    categories = tuple(i for i, own in enumerate(levels) if own)
    for i, member in enumerate(detector.members):
        found = member.mixtures.components.shape[-1]
        if found != width or member.mixtures.log_weights.ndim != 2:
            raise ValueError(f"{dot}members.{i} has {found} columns, but the detector has {width}")
        if member.mixtures.components.kind.categories(width) != categories:
            raise ValueError(f"{dot}members.{i} does not hold categories where levels are")
    of_columns = {name: getattr(detector, name) for name in ("center", "scale", "typical")}
    require_same(dot, columns=(width,), **shapes_of(of_columns))
    require_same(dot, columns=(width, 2), **shapes_of({"usual": detector.usual}))
    require_same(dot, candidates=(len(detector.candidates),), held_out=detector.held_out.shape)
    require_same(dot, threshold=detector.threshold.shape, rule=detector.rule.alpha.shape)


def _selection(selection: Selection, dot: str) -> None:
    of_candidates = ("scores", "standard_errors", "n_parameters", "n_iter", "status")
    n = len(selection.candidates)
    found = shapes_of({name: getattr(selection, name) for name in of_candidates})
    require_same(dot, candidates=(n,), **found)
    if selection.best >= n:
        raise ValueError(f"{dot}best is {selection.best}, but there are {n} candidates")


def _average(average: Average, dot: str) -> None:
    require_same(dot, log_weights=average.log_weights.shape, mixtures=(len(average.mixtures),))


def _stepwise(state: Stepwise, dot: str) -> None:
    mixture, scaled = state.mixture, state.scaled
    if type(scaled.components) is not type(mixture.components):
        raise ValueError(f"{dot}scaled is not a mixture of {type(mixture.components).__name__}")
    own = (*mixture.log_weights.shape, *mixture.components.shape)
    require_same(dot, mixture=own, scaled=(*scaled.log_weights.shape, *scaled.components.shape))
    lanes, d = mixture.log_weights.shape[:-1], mixture.components.shape[-1]
    of_columns = {name: getattr(state, name) for name in ("ridge", "shift", "scale")}
    require_same(dot, mixture=(*lanes, d), **shapes_of(of_columns))


def _per_lane(tree: Any, dot: str) -> None:
    """Check that there is one number for each lane of the arrays of scores."""
    longer = ("energies", "calibration")
    shapes = shapes_of(vars(tree)).items()
    require_same(dot, **{name: s[:-1] if name in longer else s for name, s in shapes})


TOGETHER: dict[type, Callable[[Any, str], None]] = {
    Detector: _detector, Selection: _selection, Average: _average, Stepwise: _stepwise,
    Calibration: _per_lane, Conformal: _per_lane, Tail: _per_lane, BestF1: _per_lane,
}  # fmt: skip
