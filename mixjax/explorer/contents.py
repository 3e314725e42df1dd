"""The contents of the page: scores of all rows, and details of the drawn rows."""

from typing import Any

import jax
import numpy as np

from ..detect.detector import Detector
from ..mixture.conditioning import marginal
from ..rows.observed import Observed
from ..threshold import best_f1
from .packing import compressed_size

# The largest number of embedded columns: with 20,000 rows the page stays below 15 MB.
MOST_COLUMNS = 32
# In bytes: if the values of all rows take more, the page has those of the drawn rows.
MOST_VALUES = 1_500_000
# The number of stops of the slider, and of bars of the histogram.
STOPS = 400
BARS = 60
# The shares of a component inside its outlines.
SHARES = (0.5, 0.9)


def contents(
    detector: Detector,
    x: Any,
    is_anomaly: np.ndarray | None,
    labels: np.ndarray | None,
    row_numbers: np.ndarray | None,
    most_drawn: int,
    most_listed: int,
    scores: np.ndarray | None = None,
    incomplete: bool = False,
) -> dict[str, Any]:
    """All data of the page; arrays stay arrays.

    Args:
      detector: the detector.
      x: (N, D) rows.
      is_anomaly: (N,) bool, or None.
      labels: (N,) text, or None.
      row_numbers: (N,) whole numbers, or None for 0, 1, ...
      most_drawn: at most this many rows are drawn; only drawn rows have details.
      most_listed: at most this many of the strangest rows are listed.
      scores: (N,) how strange the rows are, or None for those of the detector.
      incomplete: whether NaN is a missing value.

    Returns:
      The data by name. Rows are given by their positions in x. ``drawn`` holds the positions of the
      explained rows: the first ``kept`` are the strangest, in order, and the others are random.
      ``values`` are of these rows, and behind them of all others in table order if they fit. The
      embedded columns are the most surprising ones, in table order.
    """
    if scores is None:
        judged_rows = Observed(x) if incomplete else x
        scores, p_values, flagged = map(np.asarray, detector.judge(judged_rows))
    else:
        judged = detector.p_values_of(scores), detector.flags(scores)
        p_values, flagged = map(np.asarray, judged)
    order = np.argsort(-np.where(np.isnan(scores), np.inf, scores), kind="stable")
    kept = min(len(order), max(most_listed, min(int(flagged.sum()), most_drawn // 2)))
    drawn = np.concatenate([order[:kept], _drawn(order[kept:], most_drawn - kept)])
    rows = x[drawn] if isinstance(x, jax.Array) else np.asarray(x)[drawn]
    surprises = np.asarray(detector.explain(Observed(rows) if incomplete else rows))
    ranked = _by_surprise(surprises[:most_listed])
    columns = np.sort(ranked[:MOST_COLUMNS])
    used = np.asarray(detector.columns)[columns]
    center, scale = (np.asarray(v, np.float64)[columns] for v in (detector.center, detector.scale))
    words, codes = (None, None) if labels is None else np.unique(labels, return_inverse=True)
    threshold = np.asarray(detector.threshold, scores.dtype)
    stops = _stops(scores, threshold)
    return {
        "scores": scores,
        "pValues": p_values.astype(np.float32),
        "rowNumbers": None if row_numbers is None else _small(row_numbers),
        "isAnomaly": None if is_anomaly is None else np.packbits(is_anomaly, bitorder="little"),
        "labels": None if codes is None else _small(codes),
        "labelWords": None if words is None else words.tolist(),
        "stops": stops,
        "start": int(np.searchsorted(stops, threshold)),
        "bestF1": None if is_anomaly is None else _best_threshold(scores, is_anomaly),
        "histogram": _histogram(scores, is_anomaly),
        "drawn": drawn.astype(np.int32),
        "kept": kept,
        "listed": min(most_listed, len(order)),
        "columns": [detector.feature_names[i] for i in used],
        "columnsUsed": len(detector.columns),
        "columnsThere": detector.n_features,
        "axes": [int(np.searchsorted(columns, i)) for i in ranked[:2]],
        "values": _values(np.asarray(x), drawn, used, scale),
        "surprises": _brief(surprises[:, columns]),
        "levels": _words(detector, columns),
        "usual": np.asarray(detector.usual, np.float64)[columns].reshape(-1),
        "totals": _above(surprises).sum(axis=1).astype(np.float32),
        "center": center,
        "scale": scale,
        "mixture": _outlines(detector, columns),
    }


def _words(detector: Detector, columns: np.ndarray) -> list[list[str] | None] | None:
    """The words of these columns, None for those of numbers; None if there are no words."""
    levels = detector.levels or ((),) * len(detector.columns)
    found = [
        list(map(str, levels[i])) if levels[i] and isinstance(levels[i][0], str) else None
        for i in columns
    ]
    return found if any(found) else None


def _best_threshold(scores: np.ndarray, is_anomaly: np.ndarray) -> np.ndarray:
    """(1,) the threshold of the highest F1 for these rows; infinite if there is nothing to find."""
    best: Any = np.inf
    if is_anomaly.any() and not np.isnan(scores).any():
        best = best_f1(scores, is_anomaly).threshold
    return np.asarray(best, scores.dtype).reshape(1)


def _drawn(places: np.ndarray, n: int) -> np.ndarray:
    """n of the positions, drawn uniformly with a fixed seed, in random order."""
    return np.random.default_rng(0).permutation(places)[:n]


def _above(surprises: np.ndarray) -> np.ndarray:
    """The surprises above those of normal rows, 0 for the others."""
    return np.maximum(np.nan_to_num(surprises.astype(np.float64)), 0)


def _by_surprise(surprises: np.ndarray) -> np.ndarray:
    """The columns of surprises (n, C), the most surprising first.

    They are ranked by shares of the surprise of a row, so that all rows count alike.
    """
    above = _above(surprises)
    total = above.sum(axis=1, keepdims=True)
    shares = above / np.where(total > 0, total, 1)
    return np.argsort(-shares.mean(axis=0), kind="stable")


def _stops(scores: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Ascending thresholds for the slider, including that of the detector.

    Each is a score. Above them lie 0, 1, 2, ... rows, then ever more: thresholds of interest are in
    the tail, so one step there is one row.
    """
    finite = np.sort(scores[np.isfinite(scores)])[::-1]
    if len(finite) == 0:
        return threshold[None]
    above = np.unique(np.geomspace(1, len(finite), STOPS).astype(int)) - 1
    return np.unique(np.append(finite[above], threshold))


def _squashed(scores: np.ndarray) -> np.ndarray:
    """Scores on a scale that is linear for small and logarithmic for large scores."""
    return np.sign(scores) * np.log1p(np.abs(scores.astype(np.float64)))


def _histogram(scores: np.ndarray, is_anomaly: np.ndarray | None) -> dict[str, Any]:
    """Counts (kinds, bars) between squashed edges (bars + 1,); infinity is in the last bar."""
    squashed = _squashed(scores)
    finite = squashed[np.isfinite(squashed)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BARS + 1)
    place = np.clip(np.nan_to_num(squashed, nan=np.inf), edges[0], edges[-1])
    anomalous = np.zeros(len(scores), bool) if is_anomaly is None else is_anomaly
    kinds = [~anomalous] if is_anomaly is None else [~anomalous, anomalous]
    counts = [np.histogram(place[kind], edges)[0] for kind in kinds]
    return {"edges": edges, "counts": [c.astype(np.int32) for c in counts]}


def _values(
    x: np.ndarray, drawn: np.ndarray, used: np.ndarray, scale: np.ndarray
) -> list[np.ndarray]:
    """The values of each column: of the drawn rows, and then of the others if they fit."""
    others = np.setdiff1d(np.arange(len(x)), drawn)
    for rows in (np.concatenate([drawn, others]), drawn):
        values = [_compact(x[rows, i], s) for i, s in zip(used, scale, strict=True)]
        # Random digits, which compress least, take a seventh less than their bytes.
        hopeless = sum(column.nbytes for column in values) > 6 * MOST_VALUES
        if len(rows) == len(drawn) or (not hopeless and compressed_size(values) <= MOST_VALUES):
            break
    return values


def _brief(surprises: np.ndarray) -> np.ndarray:
    """Single precision without the digits that nobody sees: four of them are left."""
    single = surprises.astype(np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits + np.uint32(1 << 9)) & np.uint32(0xFFFFFC00)).view(np.float32)
    return np.where(np.isfinite(single) & np.isfinite(rounded), rounded, single)


def _compact(values: np.ndarray, scale: float) -> np.ndarray:
    """Single precision if it keeps rows distinct; a time in seconds needs double."""
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
        error = np.nanmax(np.abs(single - values.astype(np.float64)), initial=0)
    return single if error <= 1e-4 * scale else values.astype(np.float64)


def _small(whole: np.ndarray) -> np.ndarray:
    """Whole numbers in the smallest dtype that JavaScript can read."""
    low, high = whole.min(), whole.max()
    for kind in (np.uint8, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return whole.astype(kind)
    return whole.astype(np.float64)


def _outlines(detector: Detector, columns: np.ndarray) -> dict[str, Any]:
    """The first mixture of the detector, for these standardized columns."""
    mixture = jax.tree.map(lambda leaf: leaf[0], detector.members[0].mixtures)
    family = type(mixture.components)
    facts = {"family": family.__name__, "weights": np.asarray(mixture.weights)}
    outline = mixture.components.outline
    if outline is None:
        return facts | {"outline": None}
    components = marginal(mixture, columns.tolist()).components
    return facts | {
        "outline": outline.line,
        "shares": SHARES,
        "radii": [outline.radius(share) for share in SHARES],
        "centers": np.asarray(components.centers),
        "covariances": np.asarray(components.covariances),
    }
