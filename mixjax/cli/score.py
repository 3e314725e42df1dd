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
from . import findings, report
from .errors import exit_on, until_unread
from .features import LabeledTable, aligned
from .missing import Missing, holes, known
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
    out: Annotated[
        Path | None,
        typer.Option(
            help="write a CSV here: row, score, p_value, flagged, why; by default the strangest "
            "rows are printed"
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="number of the strangest rows to print")] = 10,
    missing: MissingRows = Missing.unknown,
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
        words = findings.words_of(detector)
        names, used_columns = detector.feature_names, detector.columns
        rows, numbers = aligned(table, names, used_columns, missing, words)
        report.left_out(table.n_rows - len(rows), table.n_rows)
        report.unknown(holes(rows[:, list(used_columns)], [names[i] for i in used_columns]))
        limit = float(detector.threshold)
        if out is not None:
            n_flagged = _written(out, detector, rows, numbers, why)
            report.scored(len(rows), n_flagged, limit, out)
            return
        scores = np.concatenate([np.asarray(detector.scores(known(some))) for some in _parts(rows)])
        report.scored(len(rows), int(np.sum(detector.flags(scores))), limit, None)
        table_of = LabeledTable(rows, list(names), None, numbers, {}, words)
        report.strangest(findings.strangest(detector, table_of, np.arange(len(rows)), scores, top))


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    """The rows, as many as are judged at once."""
    return [rows[first : first + ROWS_AT_ONCE] for first in range(0, len(rows), ROWS_AT_ONCE)]


def _written(
    out: Path, detector: Detector, rows: np.ndarray, numbers: np.ndarray, why: bool
) -> int:
    """Write a line for each row; returns how many are flagged."""
    n_flagged, n_done = 0, 0
    with atomically(out) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        lines = csv.writer(text)
        lines.writerow(["row", "score", "p_value", "flagged", *(["why"] if why else [])])
        for some in _parts(rows):
            scores, p_values, flagged = map(np.asarray, detector.judge(known(some)))
            n_flagged += int(flagged.sum())
            causes = [""] * len(some)
            if why and flagged.any():
                places = np.flatnonzero(flagged)
                found = findings.reasons_of(detector, some[places])
                for place, reasons in zip(places, found, strict=True):
                    causes[place] = "; ".join(reason.text for reason in reasons)
            for i in range(len(some)):
                line = [numbers[n_done + i], f"{scores[i]:.9g}", f"{p_values[i]:.6g}"]
                lines.writerow([*line, int(flagged[i]), *([cell(causes[i])] if why else [])])
            n_done += len(some)
        text.detach()
    return n_flagged
