"""The `mixjax` command: fit a mixture to normal rows, find the strange ones."""

import dataclasses
import enum
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import mixjax

from .files import atomically
from .start import Start
from .tables import LabelledTable, read_table

try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
    from sklearn.datasets import load_breast_cancer
    from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
except ImportError as error:
    raise SystemExit(
        f"the mixjax command needs its extra ({error.name} is missing): pip install 'mixjax[cli]'"
    ) from error

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()


class FamilyName(enum.StrEnum):
    """The families, as words."""

    gaussian = "gaussian"
    tied = "tied"
    diagonal = "diagonal"
    spherical = "spherical"
    laplace = "laplace"


FAMILIES = {
    FamilyName.gaussian: mixjax.Gaussian,
    FamilyName.tied: mixjax.TiedGaussian,
    FamilyName.diagonal: mixjax.DiagonalGaussian,
    FamilyName.spherical: mixjax.SphericalGaussian,
    FamilyName.laplace: mixjax.Laplace,
}


class StartName(enum.StrEnum):
    """The starts, as words."""

    random = "random"
    kmeans_plus_plus = "kmeans++"
    kmeans = "kmeans"


STARTS: dict[StartName, Start] = {
    StartName.random: mixjax.random_responsibilities,
    StartName.kmeans_plus_plus: mixjax.kmeans_plus_plus,
    StartName.kmeans: mixjax.kmeans,
}


class Split(NamedTuple):
    """Row numbers of the table to fit on and to judge by; anomalies of the latter."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray | None


@app.callback()
def about() -> None:
    """Mixture models in JAX."""


@app.command()
def detect(
    data: Annotated[
        Path | None, typer.Argument(help=".npz, .npy or .csv; none: a bundled table")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="label column, by name or number (-1: the last)")
    ] = None,
    normal: Annotated[str | None, typer.Option(help="the label of normal rows")] = None,
    components: Annotated[int, typer.Option(min=1, help="components of the mixture")] = 2,
    family: Annotated[FamilyName, typer.Option(help="what a component is")] = FamilyName.gaussian,
    percentile: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="flag above this percentile of all energies"),
    ] = None,
    false_alarms: Annotated[
        float, typer.Option(min=0, max=100, help="or: % of training rows above the threshold")
    ] = 5.0,
    # In tables with a few rows far out, k-means++ spends its centres on these.
    start: Annotated[StartName, typer.Option(help="where a fit begins")] = StartName.random,
    n_init: Annotated[int, typer.Option(min=1, help="starts; the lowest energy is kept")] = 1,
    reg_covar: Annotated[
        float, typer.Option(min=0, help="ridge, as a share of each column's variance")
    ] = 1e-6,
    tol: Annotated[float, typer.Option(min=0, help="stop below this change of energy")] = 1e-3,
    max_iter: Annotated[int, typer.Option(min=0, help="the most EM iterations")] = 100,
    drop: Annotated[list[str] | None, typer.Option(help="a column to leave out")] = None,
    top: Annotated[int, typer.Option(min=0, help="how many of the strangest rows to show")] = 10,
    seed: Annotated[int, typer.Option(help="of the split and the starts")] = 0,
    output: Annotated[Path | None, typer.Option(help="write the figures here as JSON")] = None,
) -> None:
    """Fit a mixture to normal rows and flag the strange ones.

    With labels, half of the normal rows are for training; the other half and all
    anomalies are the test, by which precision, recall, F1 and AUC are taken. Without
    labels, every row is fitted and every row is scored.
    """
    try:
        table, normal, source = _load(data, label, normal, tuple(drop or ()))
        table = _finite_rows(table)
        split = _split(table, normal, seed)
        if components > len(split.train):
            raise ValueError(f"--components {components}, but only {len(split.train)} rows to fit")
    except ValueError as error:
        Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False)
        raise typer.Exit(2) from None

    train = _standardized(table.rows[split.train], table.rows[split.train])
    test = _standardized(table.rows[split.test], table.rows[split.train])
    fit = _fit(
        train, components, FAMILIES[family], STARTS[start], n_init, reg_covar, tol, max_iter, seed
    )
    mixjax.check(fit, train)
    trained = np.asarray(mixjax.energy(fit.mixture, train), np.float64)
    energy = np.asarray(mixjax.energy(fit.mixture, test), np.float64)
    if percentile is not None:
        everything = trained if split.is_anomaly is None else np.concatenate([trained, energy])
        threshold = float(np.percentile(everything, percentile))
        rule = f"the {percentile:g}th percentile of all energies"
    else:
        threshold = float(np.percentile(trained, 100 - false_alarms))
        rule = f"above which {false_alarms:g} % of the training rows lie"

    figures = {
        "data": source,
        "family": family.value,
        "components": components,
        "train_rows": len(train),
        "test_rows": len(test),
        "columns": train.shape[1],
        "iterations": int(fit.n_iter),
        "status": mixjax.Status(int(fit.status)).name,
        "train_energy": float(fit.energy),
        "threshold": threshold,
        "flagged": int((energy > threshold).sum()),
    }
    if split.is_anomaly is not None:
        figures |= _quality(energy, threshold, split.is_anomaly)
    _report(figures, rule)
    _strangest(energy, threshold, table, split, top)
    if output is not None:
        with atomically(output) as file:
            file.write(f"{json.dumps(figures, indent=2)}\n".encode())


def _load(
    data: Path | None, label: str | None, normal: str | None, drop: tuple[str, ...]
) -> tuple[LabelledTable, str | None, str]:
    if data is None:
        if label is not None or normal is not None:
            raise ValueError("--label and --normal need a file; the bundled table has its own")
        bundled = load_breast_cancer()
        labels = np.array([str(bundled.target_names[i]) for i in bundled.target])
        columns = [str(name) for name in bundled.feature_names]
        source = "breast cancer (bundled with scikit-learn)"
        return LabelledTable(bundled.data, columns, labels), "benign", source
    if (label is None) != (normal is None):
        raise ValueError("--label and --normal go together: the column, and its normal value")
    table = read_table(data, label, drop)
    return table, normal, str(data)


def _finite_rows(table: LabelledTable) -> LabelledTable:
    finite = np.isfinite(table.rows).all(axis=1)
    if finite.all():
        return table
    if not finite.any():
        raise ValueError("every row has a missing or infinite value")
    console.print(
        f"[yellow]left out {(~finite).sum():,} of {len(finite):,} rows[/] "
        "with a missing or infinite value; row numbers below skip them"
    )
    labels = None if table.labels is None else table.labels[finite]
    return LabelledTable(table.rows[finite], table.columns, labels)


def _split(table: LabelledTable, normal: str | None, seed: int) -> Split:
    everything = np.arange(len(table.rows))
    if table.labels is None:
        return Split(everything, everything, None)
    is_normal = table.labels == normal
    if is_normal.sum() < 2:
        found = ", ".join(sorted(set(table.labels))[:10])
        raise ValueError(
            f"--normal {normal}: fewer than two rows have that label; there are {found}"
        )
    shuffled = np.random.default_rng(seed).permutation(everything[is_normal])
    half = len(shuffled) // 2
    test = np.concatenate([shuffled[half:], everything[~is_normal]])
    return Split(shuffled[:half], test, ~is_normal[test])


def _standardized(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """By the training rows, in float64: the fit itself then runs in float32."""
    spread = train.std(axis=0)
    scale = np.where(spread > 0, spread, 1)
    return ((rows - train.mean(axis=0)) / scale).astype(np.float32)


def _fit(
    train: np.ndarray,
    components: int,
    family: Any,
    start: Start,
    n_init: int,
    reg_covar: float,
    tol: float,
    max_iter: int,
    seed: int,
) -> mixjax.Fit:
    """Fit a few iterations at a time, so that there is something to show and to stop."""
    solver = mixjax.EM(reg_covar=reg_covar)
    few = 5
    fits = []
    columns = (
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.completed:.0f} of at most {task.total:.0f} iterations"),
        TextColumn("{task.fields[energy]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        for i, key in enumerate(jax.random.split(jax.random.key(seed), n_init)):
            name = "fitting" if n_init == 1 else f"start {i + 1} of {n_init}"
            task = progress.add_task(name, total=max_iter, energy="compiling")
            fit = mixjax.fit(
                key, train, components, family=family, start=start, solver=solver, tol=tol,
                max_iter=0,
            )  # fmt: skip
            done = 0
            try:
                while done < max_iter:
                    fit = mixjax.fit_from(
                        fit.mixture, train, solver=solver, tol=tol,
                        max_iter=min(few, max_iter - done),
                    )  # fmt: skip
                    done += int(fit.n_iter)
                    progress.update(task, completed=done, energy=f"energy {float(fit.energy):.4f}")
                    if int(fit.status) != mixjax.Status.MAX_ITER:
                        break
            except KeyboardInterrupt:
                console.print(f"interrupted after {done} iterations; going on with that mixture")
            fits.append(dataclasses.replace(fit, n_iter=jnp.int32(done)))
    return mixjax.best(jax.tree.map(lambda *leaves: jnp.stack(leaves), *fits))


def _quality(energy: np.ndarray, threshold: float, is_anomaly: np.ndarray) -> dict[str, float]:
    precision, recall, f1, _ = precision_recall_fscore_support(
        is_anomaly, energy > threshold, average="binary", zero_division=0
    )
    auc = roc_auc_score(is_anomaly, energy) if 0 < is_anomaly.sum() < len(energy) else float("nan")
    return {
        "anomalies": int(is_anomaly.sum()), "precision": float(precision),
        "recall": float(recall), "f1": float(f1), "roc_auc": float(auc),
    }  # fmt: skip


def _report(figures: dict[str, Any], rule: str) -> None:
    console.print(f"[bold]{figures['data']}[/]", highlight=False)
    known = "anomalies" in figures
    console.print(
        f"fitted {figures['components']} {figures['family']} components to "
        f"{figures['train_rows']:,} {'normal ' if known else ''}rows of {figures['columns']} "
        f"columns: {figures['status']} after {figures['iterations']} iterations, mean energy "
        f"{figures['train_energy']:.4f}"
    )
    console.print(
        f"threshold {figures['threshold']:.4f}, {rule}: {figures['flagged']:,} of "
        f"{figures['test_rows']:,} {'test ' if known else ''}rows flagged"
    )
    if known:
        console.print(
            f"of {figures['anomalies']:,} anomalies: precision {figures['precision']:.4f}  "
            f"recall {figures['recall']:.4f}  F1 {figures['f1']:.4f}  "
            f"ROC AUC {figures['roc_auc']:.4f}"
        )


def _strangest(
    energy: np.ndarray, threshold: float, table: LabelledTable, split: Split, top: int
) -> None:
    if top == 0:
        return
    shown = Table(title="the strangest rows", title_justify="left")
    names = ["row", "energy", "flagged"] + (["label"] if table.labels is not None else [])
    for name in names:
        shown.add_column(name, justify="right")
    for i in np.argsort(-energy, kind="stable")[:top]:
        row = split.test[i]
        cells = [str(row), f"{energy[i]:.4g}", "yes" if energy[i] > threshold else "no"]
        if table.labels is not None:
            cells.append(table.labels[row])
        shown.add_row(*cells)
    console.print(shown)


def main() -> None:
    """Run the command."""
    app(prog_name=os.path.basename(sys.argv[0]) if sys.argv[0].endswith("mixjax") else "mixjax")


if __name__ == "__main__":
    main()
