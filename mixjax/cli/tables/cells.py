"""Cells of text as numbers: numbers, dates, and signs of missing values."""

import datetime
import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...rows.frames import values_of

# Signs of missing values in other programs; the last ones may be words in a text column.
EMPTY_MARKS = {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "null", "?"}
MISSING = EMPTY_MARKS | {"-", "none", "nat"}
SIGNS = r"[€$£¥₹%]|EUR|USD|GBP|CHF|JPY"
DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
BEFORE = re.compile(rf"([+-]?)\s?({SIGNS})\s?")
AFTER = re.compile(rf"\s?({SIGNS})$")
BOOLEANS = {"true": 1.0, "false": 0.0}


def _grammar(decimal: str, thousands: str) -> re.Pattern[str]:
    grouped = rf"[1-9][0-9]{{0,2}}([{thousands}'’\s])[0-9]{{3}}(?:\1[0-9]{{3}})*"
    return re.compile(
        rf"[+-]?(?:(?:{grouped}|[0-9]+)(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    )


NUMBER = {".": _grammar(r"\.", ","), ",": _grammar(",", r"\.")}


def is_missing(cell: str, among_words: bool = False) -> bool:
    """Whether a cell stands for a missing value."""
    return cell.strip().lower() in (EMPTY_MARKS if among_words else MISSING)


def is_value(cell: str) -> bool:
    """Whether a cell is a number in any format, a date, or true or false."""
    cell = cell.strip()
    return (
        cell.lower() in BOOLEANS
        or _day(cell) is not None
        or any(_number(cell, decimal) is not None for decimal in NUMBER)
    )


def plain_numbers(cells: Sequence[str] | pa.Array) -> np.ndarray | None:
    """(N,) float64 from cells such as ``-1.5e3``; None if a cell has another format."""
    present = _present(cells)
    try:
        numbers = pc.cast(present, pa.float64())
    except pa.ArrowInvalid:
        return None
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def booleans(cells: pa.Array) -> np.ndarray | None:
    """(N,) 1 and 0 from ``true`` and ``false``; None if a cell is something else."""
    return _each(cells, lambda cell: BOOLEANS.get(cell.lower()))


def dates(cells: pa.Array) -> np.ndarray | None:
    """(N,) days since 1970 from ISO dates and times; None if a cell is something else."""
    return _each(cells, _day)


def numbers(cells: pa.Array, decimal: str) -> np.ndarray | None:
    """(N,) float64 of numbers with thousands, percent or one currency; None if a cell is not."""
    signs = set()

    def one(cell: str) -> float | None:
        number = _number(cell, decimal)
        if number is not None:
            signs.add(_sign(cell))
        return number

    found = _each(cells, one)
    return found if len(signs) <= 1 else None


def has_point(cells: pa.Array) -> bool:
    """Whether a cell contains a point."""
    return bool(pc.any(pc.match_substring(cells, ".")).as_py())


def first_present(cells: pa.Array, decimal: str) -> tuple[str, float]:
    """The first cell with a separator or a sign, or else with a value; and its number."""
    present = [cell for cell in _present(cells).to_pylist() if cell is not None]
    cell = next((cell for cell in present if re.search("[^0-9+-]", cell)), present[0])
    number = _number(cell, decimal)
    return cell, np.nan if number is None else number


def _present(cells: Sequence[str] | pa.Array) -> pa.Array:
    """The cells without surrounding blanks; null for missing values."""
    if not isinstance(cells, pa.Array):
        cells = pa.array(cells, pa.string())
    cells = pc.utf8_trim_whitespace(cells)
    absent = pc.is_in(pc.utf8_lower(cells), pa.array(sorted(MISSING)))
    return pc.if_else(absent, pa.scalar(None, pa.string()), cells)


def _each(cells: pa.Array, value: Callable[[str], float | None]) -> np.ndarray | None:
    """The values of the cells; equal cells are converted once."""
    coded = _present(cells).dictionary_encode()
    values = []
    for cell in coded.dictionary.to_pylist():
        found = value(cell)
        if found is None:
            return None
        values.append(found)
    codes = coded.indices.fill_null(len(values)).to_numpy()
    return np.array([*values, np.nan])[codes]


def _day(cell: str) -> float | None:
    if not DATE.fullmatch(cell):
        return None
    try:
        return float(values_of([datetime.datetime.fromisoformat(cell)], "date")[0])
    except ValueError:
        return None


def _number(cell: str, decimal: str) -> float | None:
    cell = cell.replace("−", "-")
    if sign := BEFORE.match(cell):
        cell = sign[1] + cell[sign.end() :]
    elif sign := AFTER.search(cell):
        cell = cell[: sign.start()]
    if not NUMBER[decimal].fullmatch(cell):
        return None
    return float(re.sub(rf"[^0-9eE+\-{decimal}]", "", cell).replace(",", "."))


def _sign(cell: str) -> str:
    found = re.search(SIGNS, cell)
    return found[0] if found else ""
