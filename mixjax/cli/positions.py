"""Columns named by an option."""

import difflib
from collections.abc import Iterable, Sequence


def positions(
    wanted: Iterable[str], columns: Sequence[str], option: str, others: Iterable[str] = ()
) -> tuple[set[int], list[str]]:
    """The positions of columns given by name or number, and problems with unknown ones."""
    found, problems = set(), []
    for name in wanted:
        if name in columns:
            found.add(columns.index(name))
            continue
        try:
            number = int(name)
        except ValueError:
            number = len(columns)
        if -len(columns) <= number < len(columns):
            found.add(number % len(columns))
        else:
            near = nearest(name, [*columns, *others])
            problems.append(f"{option} {name}: there is no such column{near}")
    return found, problems


def named(text: str, columns: Iterable[str]) -> list[str]:
    """The names in a comma-separated list; one name if there is a column of this whole name."""
    if text in columns:
        return [text]
    return [name.strip() for name in text.split(",")]


def nearest(name: str, columns: list[str]) -> str:
    """A suggestion: the most similar column, or the first columns."""
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    if near:
        return f"; did you mean {lower[near[0]]!r}?"
    return f"; there are {', '.join(columns[:12])}{', ...' if len(columns) > 12 else ''}"
