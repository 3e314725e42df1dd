"""`mixjax detect`: learn from normal rows; flag and explain the strange ones."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import typer

import mixjax

from ..detect.detector import Detector
from ..detect.learning import MOST_ROWS
from ..detect.preparing import FEWEST_ROWS
from ..families.family import Family
from ..files import check_outputs, write_text
from ..rows.observed import Observed
from ..selection.candidates import default_families
from ..threshold.ranking import Ranking
from . import findings, report
from .errors import exit_on, until_unread
from .families import family_of, words
from .features import LabeledTable, Text, labeled
from .missing import Missing, holes, known
from .options import Cache, DecimalMark, Encoding, Header, MissingRows, keep_programs
from .positions import named
from .rates import require_number, require_rate, without_infinity
from .source import source_of
from .tables import Columns, Reading
from .text import visible

# With --columns auto: the share of the total importance that the kept columns hold.
ENOUGH = 0.95


class Split(NamedTuple):
    """Row numbers to fit and to test, and which test rows are anomalies."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray | None


def detect(
    data: Annotated[
        str | None,
        typer.Argument(
            help=".csv, .parquet, .xlsx, .npz, .npy, - for standard input, or a data set "
            "of scikit-learn such as kddcup99; by default a bundled table"
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="label column, by name or number (-1: the last)")
    ] = None,
    normal: Annotated[str | None, typer.Option(help="the label of normal rows")] = None,
    anomalous: Annotated[
        str | None, typer.Option(help="or the label of anomalies; all other rows are normal")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="columns to use, comma-separated; auto: those that make rows strange"),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="columns to leave out, comma-separated; may be repeated"),
    ] = None,
    missing: MissingRows = Missing.unknown,
    text: Annotated[
        Text,
        typer.Option(help="what to do with text columns: one-hot makes a column for each word"),
    ] = Text.categories,
    components: Annotated[
        list[int] | None,
        typer.Option(min=1, help="components to compare; may be repeated (default 1, 2, 4 ... 64)"),
    ] = None,
    family: Annotated[
        list[Any] | None,
        typer.Option(
            parser=family_of,
            metavar="WORD",
            help=f"family of components ({words()}); may be repeated (default: all that suit)",
        ),
    ] = None,
    false_alarms: Annotated[
        float, typer.Option(min=0, max=99, help="largest % of new normal rows that are flagged")
    ] = 5.0,
    contamination: Annotated[
        float, typer.Option(min=0, max=49, help="or: % of the fitted rows that are anomalies")
    ] = 0.0,
    percentile: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="or: flag above this percentile of all scores"),
    ] = None,
    rows: Annotated[int, typer.Option(min=10, help="fit at most this many rows")] = MOST_ROWS,
    top: Annotated[int, typer.Option(min=0, help="number of the strangest rows to show")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="random seed of the split and the starts")
    ] = 0,
    header: Header = None,
    decimal: DecimalMark = None,
    encoding: Encoding = None,
    cache: Cache = True,
    output: Annotated[Path | None, typer.Option(help="write the figures here as JSON")] = None,
    save: Annotated[
        Path | None, typer.Option(help="write the detector here, for mixjax score")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", help="write an HTML page here to explore the rows"),
    ] = None,
) -> None:
    """Learn from normal rows, and flag the strange ones.

    Families, numbers of components and ridges are compared by held-out energy; the best of each
    family are combined. With labels, half of the normal rows are fitted; the other half and all
    anomalies are the test rows, which give precision, recall, F1 and AUC. Without labels, all rows
    are fitted and scored.
    """
    with exit_on(ValueError, mixjax.FitError):
        check_outputs(
            {"--output": output, "--save": save, "--report": page}, [0 if data == "-" else data]
        )
        report.beside(output, save, page)
        keep_programs(cache)
        numbers = {"--false-alarms": false_alarms, "--contamination": contamination}
        for option, value in (numbers | {"--percentile": percentile}).items():
            require_number(option, value)
        if page is not None:
            _require_explorer()
        source = source_of(data, Reading(header, decimal, encoding))
        report.found_out(source.table)
        label = label or source.label
        if normal is None and anomalous is None:
            normal, anomalous = source.normal, source.anomalous
        auto = columns == "auto"
        keep = () if auto or not columns else named(columns, source.table.values)
        dropped = [name for some in drop or () for name in named(some, source.table.values)]
        table = labeled(source.table, label, keep, dropped, text, missing)
        split = _split(table, normal, anomalous, seed)
        figures = _reading(source.table, table, table.rows[split.train])
        report.what_was_read(figures)
        chosen = family or default_families(len(table.columns))
        _require_rows(len(split.train), len(table.columns), chosen, auto)
        if components and max(components) > len(split.train) // 2:
            raise ValueError(
                f"--components {max(components)}, but there are {len(split.train)} rows to fit"
            )
        promised = not contamination and percentile is None
        if promised:
            require_rate(false_alarms, min(len(split.train), rows))
        options: dict[str, Any] = {
            "families": family or None,
            "n_components": sorted(set(components)) if components else "auto",
            "feature_names": table.columns,
            "alpha": false_alarms / 100 if promised else 0.05,
            "contamination": contamination / 100,
            "max_rows": rows,
            "progress": True,
            "kinds": table.words or None,
        }
        key, train = jax.random.key(seed), known(table.rows[split.train])
        if auto:
            used = _telling_columns(key, train, options)
            report.columns_kept([table.columns[i] for i in used], len(table.columns))
            options["columns"] = used
        detector, own = mixjax.detect.fit_scores(key, train, **options)

    # Rows that were fitted are judged by mixtures that were not fitted to them.
    tested = known(table.rows[split.test])
    judged = own if split.is_anomaly is None else detector.scores(tested)
    scores = np.asarray(judged, np.float64)
    trained = scores if split.is_anomaly is None else np.asarray(detector.scores(train), np.float64)
    rule = f"at most about {false_alarms:g} % of new normal rows are flagged"
    if contamination:
        rule = f"{contamination:g} % of the fitted rows are flagged"
    if percentile is not None:
        everything = scores if split.is_anomaly is None else np.concatenate([trained, scores])
        limit = mixjax.threshold.percentile(everything.astype(detector.threshold.dtype), percentile)
        detector = dataclasses.replace(detector, threshold=limit)
        rule = f"rows above the {percentile:g}th percentile of all scores are flagged"
    flagged = np.asarray(detector.flags(scores))

    figures |= {
        "members": [
            {
                "family": member.mixtures.components.word,
                "components": member.mixtures.log_weights.shape[-1],
                "appearance": member.appearance,
            }
            for member in detector.members
        ],
        "candidates": len(detector.candidates),
        "train_rows": len(split.train),
        "fitted_rows": min(len(split.train), rows),
        "test_rows": len(scores),
        "columns": len(detector.columns),
        "threshold": float(detector.threshold),
        "promised": None,
        "flagged": int(flagged.sum()),
        "strangest": findings.strangest(
            detector, table, split.test, scores, top, fitted=split.is_anomaly is None
        ),
    }
    if promised:
        rate, n = false_alarms / 100, figures["fitted_rows"]
        n_judged = int((~split.is_anomaly).sum()) if split.is_anomaly is not None else len(scores)
        deviation = findings.deviation(rate, n, n_judged)
        figures["promised"] = {"rate": rate, "deviation": deviation}
    if split.is_anomaly is not None:
        figures |= _quality(scores, flagged, split.is_anomaly)
    with exit_on(), until_unread(output):
        # Before anything is printed: the reader of the output may be gone.
        if save is not None:
            mixjax.save(save, detector)
        if page is not None:
            _write_page(page, detector, table, split, scores, source.table.source)
        if output is not None:
            write_text(
                output, f"{json.dumps(without_infinity(figures), indent=2, allow_nan=False)}\n"
            )
    with exit_on():
        report.what_was_learned(figures, rule)
        report.strangest(figures["strangest"])
        report.next_steps(save, page, output)


def _reading(source: Columns, table: LabeledTable, train: np.ndarray) -> dict[str, Any]:
    """What was read of a table, and what was left out."""
    return {
        "mixjax": mixjax.__version__,
        "data": source.source,
        "rows": source.n_rows,
        "rows_left_out": source.n_rows - len(table.rows),
        "columns_used": table.columns,
        "columns_left_out": [{"column": name, "why": why} for name, why in table.left_out.items()],
        "categories": [table.columns[i] for i in table.words],
        "unknown": holes(table.rows, table.columns),
        "constant_columns": findings.constant_columns(train, table.columns),
    }


def _require_explorer() -> None:
    """Raise before the long fit, not after it."""
    try:
        import mixjax.explorer  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--report: {error}") from error


def _write_page(
    path: Path,
    detector: Detector,
    table: LabeledTable,
    split: Split,
    scores: np.ndarray,
    title: str,
) -> None:
    from ..explorer import write

    write(
        path,
        detector,
        known(table.rows[split.test]),
        is_anomaly=split.is_anomaly,
        labels=None if table.labels is None else table.labels[split.test],
        row_numbers=table.numbers[split.test],
        scores=scores.astype(detector.threshold.dtype),
        title=visible(title),
    )


def _split(table: LabeledTable, normal: str | None, anomalous: str | None, seed: int) -> Split:
    everything = np.arange(len(table.rows))
    if table.labels is None:
        if normal is not None or anomalous is not None:
            raise ValueError("--normal and --anomalous need --label, the column of the labels")
        return Split(everything, everything, None)
    shown = ", ".join(sorted(set(table.labels))[:10])
    if (normal is None) == (anomalous is None):
        raise ValueError(
            f"with --label, pass one of the labels as --normal or --anomalous; there are {shown}"
        )
    is_normal = table.labels == normal if normal is not None else table.labels != anomalous
    if is_normal.sum() < 2:
        raise ValueError(
            f"at most one of {len(everything):,} rows has the label --normal {normal}, but at "
            f"least two are needed; there are {shown}"
            if normal is not None
            else f"all {len(everything):,} rows but at most one are labeled {anomalous}: there "
            "are no normal rows to fit"
        )
    shuffled = np.random.default_rng(seed).permutation(everything[is_normal])
    half = len(shuffled) // 2
    test = np.concatenate([shuffled[half:], everything[~is_normal]])
    return Split(shuffled[:half], test, ~is_normal[test])


def _require_rows(n: int, d: int, families: list[type[Family]], auto: bool) -> None:
    if n < FEWEST_ROWS:
        raise ValueError(f"there are {n} rows to fit, but at least {FEWEST_ROWS} are needed")
    if n < d and not auto and not all(family.independent_columns for family in families):
        raise ValueError(
            f"there are {n} rows to fit, but {d} columns: a covariance needs more rows than "
            "columns. Use fewer with --columns (auto chooses), or families with independent "
            "columns, --family diagonal --family laplace"
        )


def _telling_columns(key: jax.Array, train: Any, options: dict[str, Any]) -> list[int]:
    """The smallest set of columns with nearly all of the importance."""
    detector = mixjax.detect.fit(key, train, **options)
    mixture = jax.tree.map(lambda leaf: leaf[0], detector.members[0].mixtures)
    some = train.x if isinstance(train, Observed) else train
    rows = known(np.asarray(detector.standardized(some[: options["max_rows"]])))
    importance = np.sort(np.asarray(mixjax.feature_importance(mixture, rows)))[::-1]
    n = int(np.searchsorted(np.cumsum(importance), ENOUGH)) + 1
    return sorted(mixjax.suggest_columns(mixture, rows, min(n, len(importance))))


def _quality(scores: np.ndarray, flagged: np.ndarray, is_anomaly: np.ndarray) -> dict[str, Any]:
    n_flagged, n_odd = int(flagged.sum()), int(is_anomaly.sum())
    n_found = int((flagged & is_anomaly).sum())
    ranking = Ranking.of(scores, is_anomaly) if 0 < n_odd < len(scores) else None
    return {
        "anomalies": n_odd,
        "normal_rows": len(scores) - n_odd,
        "normal_flagged": n_flagged - n_found,
        "precision": n_found / max(n_flagged, 1),
        "recall": n_found / max(n_odd, 1),
        "f1": 2 * n_found / max(n_flagged + n_odd, 1),
        "roc_auc": None if ranking is None else ranking.roc_area,
        "average_precision": None if ranking is None else ranking.average_precision,
        "false_alarms": float(flagged[~is_anomaly].mean()),
    }
