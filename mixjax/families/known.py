"""The families whose classes are defined, by their names and by their words.

They are looked up here, never imported: reading a file or a command runs no code.
"""

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .family import Family

_BY_NAME: dict[str, type["Family"]] = {}


def register(family: type["Family"]) -> None:
    """Make a family known; a class that is defined again replaces the earlier one.

    No class of a user replaces one of mixjax: files and commands keep their meaning.
    """
    earlier = _BY_NAME.get(family.__name__)
    if earlier is None or _built_in(family) or not _built_in(earlier):
        _BY_NAME[family.__name__] = family


def by_name() -> dict[str, type["Family"]]:
    """The families by the names of their classes, as files hold them."""
    return {name: family for name, family in _BY_NAME.items() if not inspect.isabstract(family)}


def by_word() -> dict[str, type["Family"]]:
    """The families of numbers by their words, in alphabetical order: for commands and searches."""
    of_numbers = [family for family in by_name().values() if not family.looks_at_rows()]
    # Those of mixjax last: they keep their words.
    families = sorted(of_numbers, key=_built_in)
    return dict(sorted({family.word: family for family in families}.items()))


def named(name: str) -> type["Family"]:
    """The family whose class has this name.

    Raises:
      ValueError: no family has this name.
    """
    families = by_name()
    if name not in families:
        raise ValueError(
            f"no family has the name {name!r}: define its class, or import the module that does"
        )
    return families[name]


def name_taken(family: type["Family"]) -> str:
    """Why a file cannot hold this family."""
    return (
        f"a file holds a family by its name, and another family is called {family.__name__}: "
        "give this one a name of its own"
    )


def _built_in(family: type["Family"]) -> bool:
    return family.__module__.partition(".")[0] == __name__.partition(".")[0]
