"""Options that several commands have: how a table is read."""

import os
from typing import Annotated

import typer

import mixjax

from .missing import Missing
from .tables import Decimal

Header = Annotated[
    bool | None, typer.Option(help="whether the first line holds names (default: detected)")
]
DecimalMark = Annotated[
    Decimal | None, typer.Option(help="the decimal separator (default: detected)")
]
Encoding = Annotated[
    str | None, typer.Option(help="encoding of the text, such as cp1250 (default: detected)")
]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache",
        help="keep compiled programs on disk, for the next time (MIXJAX_CACHE: in this folder; "
        "empty: nowhere)",
    ),
]
MissingRows = Annotated[Missing, typer.Option(help="what to do with rows that have missing values")]


def keep_programs(cache: bool) -> None:
    """Enable the cache of compiled programs, unless an option or the environment forbids it."""
    place = os.environ.get("MIXJAX_CACHE")
    if cache and place != "":
        mixjax.enable_cache(place)
