r"""Names of a detector's columns: ``column``, or ``column=word`` for one of its words.

A ``\`` precedes each ``=`` or ``\`` of the column or the word, so that every name can be split
again.
"""

import re


def joined(column: str, word: str | None = None) -> str:
    """The name of a column, or of the one-hot column of a word."""
    parts = [column] if word is None else [column, word]
    return "=".join(re.sub(r"([=\\])", r"\\\1", part) for part in parts)


def parted(name: str) -> tuple[str, str | None]:
    """The column and the word, or None, of such a name."""
    found = re.fullmatch(r"((?:[^=\\]|\\.)*)=((?:[^=\\]|\\.)*)", name, re.DOTALL)
    column, word = found.groups() if found else (name, None)
    return _plain(column), None if word is None else _plain(word)


def _plain(part: str) -> str:
    return re.sub(r"\\([=\\])", r"\1", part)
