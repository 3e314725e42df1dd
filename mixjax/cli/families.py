"""Families by their words."""

import typer

from ..families import known
from ..families.family import Family


def family_of(word: str) -> type[Family]:
    """The family of this word.

    Raises:
      BadParameter: no family has this word.
    """
    families = known.by_word()
    if word not in families:
        raise typer.BadParameter(f"{word!r} is not one of {words()}")
    return families[word]


def words() -> str:
    """The words of all families, for a message."""
    return ", ".join(known.by_word())
