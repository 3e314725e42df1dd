"""The source of a table: a file, standard input, the bundled table, or one of scikit-learn."""

import difflib
import sys
import urllib.error
import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .tables import Columns, Reading, column_of, read_columns, read_stream, text_of

BUNDLED = "breast_cancer"
LABEL = "target"


class Source(NamedTuple):
    """A table, and facts about its labels.

    Attributes:
      table: the columns.
      label: the default label column.
      normal: the label of normal rows.
      anomalous: or the label of anomalies.
    """

    table: Columns
    label: str | None = None
    normal: str | None = None
    anomalous: str | None = None


# In the KDD Cup data most rows are attacks; published tables treat normal traffic as the anomaly.
KNOWN: dict[str, dict[str, str]] = {
    BUNDLED: {"normal": "benign"},
    "kddcup99": {"anomalous": "normal."},
}


def source_of(data: str | None, how: Reading = Reading()) -> Source:  # noqa: B008 - frozen
    """The table of a path, of ``-`` for standard input, or of a name; None is the bundled table.

    Raises:
      ValueError: the table does not exist or cannot be read.
    """
    if data is None or (data == BUNDLED and not Path(data).exists()):
        return bundled()
    if data == "-":
        stream = None if sys.stdin is None else sys.stdin.buffer
        return Source(read_stream(stream, "standard input", how))
    path = Path(data)
    if path.suffix or path.exists():
        return Source(read_columns(path, how))
    return _loaded(data)


def bundled() -> Source:
    """The table of the first command; it needs no scikit-learn, which takes a second to import."""
    with resources.as_file(resources.files(__package__) / "bundled" / f"{BUNDLED}.csv") as path:
        table = read_columns(path)
    values = dict(table.values)
    target = values.pop(LABEL)
    table = Columns(f"{BUNDLED} (bundled)", values, {LABEL: target})
    return Source(table, LABEL, normal=KNOWN[BUNDLED]["normal"])


def loaders() -> dict[str, Callable[..., Any]]:
    """The loaders and fetchers of scikit-learn, by name."""
    from sklearn import datasets

    return {
        name.split("_", 1)[1]: getattr(datasets, name)
        for name in datasets.__all__
        if name.startswith(("load_", "fetch_"))
    }


def _loaded(name: str) -> Source:
    known = loaders()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"there is no file {name}, and no data set of scikit-learn has this name{hint}"
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Retry downloading")  # only the final result counts
            bunch = known[name]()
    except (urllib.error.URLError, OSError) as error:
        raise ValueError(
            f"{name} could not be downloaded ({error}): try again, or use a file"
        ) from error
    except TypeError as error:
        raise ValueError(f"{name} cannot be loaded by its name alone: {error}") from error
    return source_of_bunch(name, bunch)


def source_of_bunch(name: str, bunch: Any) -> Source:
    """The table from the result of a loader of scikit-learn."""
    rows = getattr(bunch, "data", None)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2:
        raise ValueError(f"scikit-learn's {name} is not a table of rows and columns")
    names = [str(n) for n in getattr(bunch, "feature_names", range(rows.shape[1]))]
    values = {n: column_of(rows[:, i]) for i, n in enumerate(names)}
    table = Columns(f"{name} (scikit-learn)", values, {})
    target = getattr(bunch, "target", None)
    if target is None or target.ndim != 1 or not _is_classes(target):
        return Source(table)
    words = getattr(bunch, "target_names", None)
    if words is not None and target.dtype.kind in "iu" and len(words) > target.max():
        target = np.array([text_of(words[i]) for i in target], object)
    table = table._replace(beside={LABEL: column_of(target)})
    return Source(table, LABEL, **KNOWN.get(name, {}))


def _is_classes(target: np.ndarray) -> bool:
    """Whether a target holds classes rather than amounts."""
    return target.dtype.kind not in "f" or bool(
        (target == np.round(target)).all() and len(np.unique(target)) <= 100
    )
