"""Assembling the page: template, style, scripts, plotly.js and contents in one file."""

import base64
import functools
import hashlib
import html
import json
import re
from importlib import resources
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from plotly.offline import get_plotlyjs

from .. import checks
from ..detect.detector import Detector
from ..files import FilePath, check_outputs, write_text
from ..rows.frames import values_of
from ..rows.observed import Observed
from .contents import contents
from .packing import Store, packed

# Joined in this order into one function, so that nothing is global.
SCRIPTS = (
    "data", "words", "plots", "scatter", "histogram", "curve", "threshold", "rows", "start",
)  # fmt: skip


def write(
    path: FilePath,
    detector: Detector,
    x: Observed | ArrayLike,
    *,
    is_anomaly: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    row_numbers: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    title: str | None = None,
    most_drawn: int = 20_000,
    most_listed: int = 50,
) -> None:
    """Write a page to explore the scores of a table.

    It shows any two columns with the outlines of the mixture, a movable threshold, and the
    strangest rows with explanations. It is one HTML file that works offline and is written
    atomically. Text from the table is shown as text and never run.

    Args:
      path: the file; it is replaced.
      detector: the result of `mixjax.detect.fit`; the page starts at its threshold.
      x: (N, D) rows, in the units of the fitted rows; `mixjax.Observed` rows may have missing
        values.
      is_anomaly: (N,) True or 1 for anomalies; with it the page shows precision, recall and F1.
      labels: (N,) the kind of each row, as text.
      row_numbers: (N,) distinct whole numbers that name the rows; None for 0, 1, ...
      scores: (N,) scores of the rows, such as those of `mixjax.detect.fit_scores`, if the detector
        was fitted to them; None for the scores of the detector.
      title: the heading.
      most_drawn: at most this many rows are drawn and explained: the strangest rows, flagged
        rows up to half of this number, then random ones. Counts include all rows, and so do
        values, if they take less than 1.5 MB of the page.
      most_listed: at most this many of the strangest rows are listed.

    Raises:
      TypeError: detector is not a `Detector`, or x does not hold floating numbers.
      ValueError: shapes do not fit; is_anomaly holds other values than 0 and 1; row numbers are
        not whole or not distinct.
      FileNotFoundError: the folder does not exist.

    Example:
      >>> import jax, mixjax, mixjax.explorer, pathlib, tempfile
      >>> x = jax.random.normal(jax.random.key(0), (200, 2))
      >>> detector = mixjax.detect.fit(
      ...     jax.random.key(1), x, n_components=[1], families=[mixjax.Gaussian])
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = pathlib.Path(folder, "page.html")
      ...     mixjax.explorer.write(path, detector, x, title="Two columns")
      ...     "<title>Two columns</title>" in path.read_text("utf-8")
      True
    """
    if not isinstance(detector, Detector):
        raise TypeError(
            f"detector must be a Detector from mixjax.detect.fit, got {type(detector).__name__}"
        )
    incomplete = isinstance(x, Observed)
    x = detector.in_order(x.x if isinstance(x, Observed) else x)
    table = checks.table(x)
    checks.width(table, detector.n_features)
    most_listed = checks.count(most_listed, "most_listed")
    if checks.count(most_drawn, "most_drawn") < most_listed:
        raise ValueError(
            f"most_drawn must be at least most_listed, {most_listed}; got {most_drawn}"
        )
    check_outputs({"path": path})
    n = len(table)
    shown = contents(
        detector,
        x if isinstance(x, np.ndarray) else table,
        _anomalies(is_anomaly, n),
        None if labels is None else _column(labels, "labels", n).astype(str),
        _numbers(row_numbers, n),
        most_drawn,
        most_listed,
        None if scores is None else _column(scores, "scores", n),
        incomplete,
    )
    shown["title"] = title or "Strange rows"
    write_text(path, page(shown))


def page(shown: dict[str, Any]) -> str:
    """The HTML of the contents and a title."""
    own = "\n".join(_part(f"script/{name}.js") for name in SCRIPTS)
    script = f'(async () => {{\n"use strict";\n{own}}})();\n'
    arrays = Store()
    parts = {
        "script": script,
        # Everything else is blocked: no network, and no script but this one. It runs plotly.js,
        # which is compressed, and which generates functions itself: hence unsafe-eval.
        "policy": "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{_digest(script)}' 'unsafe-eval'",
        "title": html.escape(shown["title"]),
        "style": _part("page.css"),
        "contents": _json(shown, arrays),
        "arrays": arrays.text(),
        "plotly": _plotly(),
    }
    # In one pass, so that inserted text is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


@functools.cache
def _plotly() -> str:
    return packed(get_plotlyjs().encode())


def _part(name: str) -> str:
    return _newlines(resources.files(__package__).joinpath(name).read_text("utf-8"))


def _newlines(text: str) -> str:
    """The text with the newlines that a browser reads, so that the digests agree."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _json(shown: dict[str, Any], arrays: Store) -> str:
    """JSON that is safe in a script element: nothing in it can end the element.

    Arrays, which can hold NaN and infinity, go to the store.
    """
    return json.dumps(shown, default=arrays.add, allow_nan=False).replace("<", "\\u003c")


def _column(values: ArrayLike, name: str, n: int) -> np.ndarray:
    column = np.asarray(values)
    if column.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one for each row; got {column.shape}")
    return column


def _anomalies(values: ArrayLike | None, n: int) -> np.ndarray | None:
    if values is None:
        return None
    return np.asarray(checks.labels(values, n, "is_anomaly")).astype(bool)


def _numbers(values: ArrayLike | None, n: int) -> np.ndarray | None:
    if values is None:
        return None
    column = _column(values_of(values, "row_numbers"), "row_numbers", n)
    if column.dtype.kind not in "iu":
        raise ValueError(f"row_numbers must be whole numbers, got {column.dtype}")
    if len(np.unique(column)) < n:
        raise ValueError(f"row_numbers must be {n} different numbers, but some repeat")
    if np.abs(column).max() > 2**53:
        raise ValueError("row_numbers must lie within 2**53 of 0, the limit of a browser")
    return column
