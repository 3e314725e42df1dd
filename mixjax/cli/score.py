"""`mixjax score`: score the rows of a table by a saved detector."""

import csv
import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import mixjax

from ..detect.detector import Detector
from ..files import atomically, check_outputs
from . import report
from .errors import exit_on, until_unread
from .features import aligned
from .missing import Missing
from .names import parted
from .options import Cache, DecimalMark, Encoding, Header, MissingRows, keep_programs
from .source import source_of
from .tables import Reading
from .text import cell

# Rows that are scored at once.
ROWS_AT_ONCE = 2**16


def score(
    model: Annotated[Path, typer.Argument(help="a detector from mixjax detect --save")],
    data: Annotated[
        str, typer.Argument(help=".csv, .parquet, .xlsx, .npz, .npy, or - for standard input")
    ],
    out: Annotated[Path, typer.Option(help="a CSV: row, score, p_value, flagged, why")],
    missing: MissingRows = Missing.refuse,
    why: Annotated[
        bool, typer.Option(help="list the most surprising columns of flagged rows")
    ] = True,
    header: Header = None,
    decimal: DecimalMark = None,
    encoding: Encoding = None,
    cache: Cache = True,
) -> None:
    """Score the rows of a table. Columns are found by their names, in any order."""
    with exit_on(ValueError), until_unread(out):
        check_outputs({"--out": out}, [model, 0 if data == "-" else data])
        report.beside(out)
        keep_programs(cache)
        detector = mixjax.load(model)
        if not isinstance(detector, Detector):
            raise ValueError(f"{model.name} holds a {type(detector).__name__}, not a detector")
        used = frozenset(parted(detector.feature_names[i])[0] for i in detector.columns)
        table = source_of(data, Reading(header, decimal, encoding, used)).table
        report.found_out(table)
        rows, numbers = aligned(table, detector.feature_names, detector.columns, missing)
        report.left_out(table.n_rows - len(rows), table.n_rows)
        n_flagged = 0
        with atomically(out) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            lines = csv.writer(text)
            lines.writerow(["row", "score", "p_value", "flagged", *(["why"] if why else [])])
            for first in range(0, len(rows), ROWS_AT_ONCE):
                some = rows[first : first + ROWS_AT_ONCE]
                scores, p_values, flagged = map(np.asarray, detector.judge(some))
                n_flagged += int(flagged.sum())
                causes = [""] * len(some)
                if why and flagged.any():
                    places = np.flatnonzero(flagged)
                    for place, reason in zip(
                        places, report.reasons(detector, some[places]), strict=True
                    ):
                        causes[place] = reason
                for i in range(len(some)):
                    line = [numbers[first + i], f"{scores[i]:.9g}", f"{p_values[i]:.6g}"]
                    lines.writerow([*line, int(flagged[i]), *([cell(causes[i])] if why else [])])
            text.detach()
        report.scored(len(rows), n_flagged, float(detector.threshold), out)
