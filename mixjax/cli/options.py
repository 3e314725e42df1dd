"""Options that several commands have: how a table is read."""

from typing import Annotated

import typer

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
MissingRows = Annotated[Missing, typer.Option(help="what to do with rows that have missing values")]
