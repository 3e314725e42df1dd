"""The gallery: ``python -m mixjax.plot FOLDER`` writes a picture of each function."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import mixjax
from mixjax import plot
from mixjax.files import atomically, check_outputs

NAMES = ["length", "width", "weight", "age"]


class Example(NamedTuple):
    """Rows of three kinds, fits to them, and new rows with anomalies.

    Attributes:
      x: (N, 4) rows.
      fit: three components in all columns.
      pair: three components in the first two columns, with less certain responsibilities.
      new: new rows; the last ones are anomalies.
      is_anomaly: which new rows are anomalies.
      energies: energies of the new rows.
      threshold: exceeded by one in a hundred normal rows.
    """

    x: np.ndarray
    fit: mixjax.Fit
    pair: mixjax.Mixture
    new: np.ndarray
    is_anomaly: np.ndarray
    energies: np.ndarray
    threshold: float


def example() -> Example:
    """Four columns; each pair shows a different view of the same three kinds."""
    rng = np.random.default_rng(7)
    x = _normal_rows(rng, 1200)
    fit = mixjax.check(mixjax.fit(jax.random.key(0), x, 3))
    pair = mixjax.check(mixjax.fit(jax.random.key(0), x[:, :2], 3)).mixture
    odd = rng.uniform([-7, -6, -5, -5], [8, 7, 6, 6], size=(60, 4)).astype("float32")
    new = np.concatenate([_normal_rows(rng, 1500), odd])
    energies = np.asarray(mixjax.energy(fit.mixture, new))
    held_out = mixjax.energy(fit.mixture, _normal_rows(rng, 1000))
    rule = mixjax.threshold.conformal(held_out, 0.01)
    is_anomaly = np.arange(len(new)) >= 1500
    return Example(x, fit, pair, new, is_anomaly, energies, float(rule.threshold))


def _normal_rows(rng: np.random.Generator, n: int) -> np.ndarray:
    means = np.array([[-3.0, 0.5, 1.5, 0.0], [1.0, 2.5, -1.5, 2.0], [2.5, -2.0, 0.5, -2.0]])
    mixing = np.array(
        [
            [[1.0, 0.8, 0.2, 0.0], [0.0, 0.7, 0.3, 0.0], [0, 0, 0.7, 0.4], [0, 0, 0, 0.8]],
            [[1.3, -0.6, 0.0, 0.3], [0.0, 0.6, 0.0, 0.0], [0, 0, 0.9, -0.5], [0, 0, 0, 0.5]],
            [[0.8, 0.3, -0.6, 0.0], [0.0, 0.9, 0.0, 0.4], [0, 0, 0.6, 0.0], [0, 0, 0, 0.9]],
        ]
    )
    kind = rng.choice(3, size=n, p=[0.45, 0.35, 0.2])
    noise = rng.normal(size=(n, 1, 4))
    return (means[kind] + (noise @ mixing[kind])[:, 0]).astype("float32")


def gallery(folder: Path) -> list[Path]:
    """Write all pictures into a folder, which is created; returns the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    check_outputs({"the last picture": folder / "overview.png"})
    data = example()
    mixture, x = data.fit.mixture, data.x
    at_random = np.random.default_rng(0).dirichlet(np.ones(3), len(x))
    begin = mixjax.m_step(mixjax.Gaussian, x, at_random)
    laplace = mixjax.fit(jax.random.key(0), x[:, :2], 3, family=mixjax.Laplace).mixture
    chosen = mixjax.select(
        jax.random.key(2), x[:400], n_components=[1, 2, 3, 4, 6, 8], ridge=[1e-3, 1e-2],
        families=[mixjax.Gaussian, mixjax.DiagonalGaussian],
    )  # fmt: skip
    typical = mixjax.surprisal(mixture, x).mean(axis=0)
    odd = x[:1] + np.array([[0, 0, 5, 0]], "float32")
    why = np.asarray(mixjax.surprisal(mixture, odd)[0] - typical)
    history = mixjax.fit_history(begin, x, max_iter=60)[1]
    far = np.linalg.norm(data.new - x.mean(axis=0), axis=1)

    def curves(draw: Callable[..., Axes], ax: Axes) -> None:
        draw(data.energies, data.is_anomaly, label="mixture", ax=ax)
        draw(far, data.is_anomaly, label="distance from the mean", ax=ax)

    tables = [_normal_rows(np.random.default_rng(i), 40)[:, :2] for i in range(300)]
    tables[7][0] = np.nan
    many = mixjax.fit_batch(jax.random.key(3), tables, 3, max_iter=60)

    drawings: dict[str, Callable[[Axes], object]] = {
        "contours": lambda ax: plot.contours(mixture, x, names=NAMES, ax=ax),
        "ellipses": lambda ax: plot.ellipses(mixture, x, names=NAMES, ax=ax),
        "ellipses_laplace": lambda ax: plot.ellipses(laplace, x[:, :2], names=NAMES[:2], ax=ax),
        "responsibilities": lambda ax: plot.responsibilities(
            data.pair, x[:, :2], names=NAMES[:2], ax=ax
        ),
        "energy_histogram": lambda ax: plot.energy_histogram(
            data.energies, data.threshold, data.is_anomaly, ax=ax
        ),
        "convergence": lambda ax: plot.convergence(history, ax=ax),
        "fits": lambda ax: plot.fits(many, ax=ax),
        "selection": lambda ax: plot.selection(chosen, ax=ax),
        "surprisal": lambda ax: plot.surprisal(why, NAMES, ax=ax),
        "roc": lambda ax: curves(plot.roc, ax),
        "precision_recall": lambda ax: curves(plot.precision_recall, ax),
    }
    sizes = {"roc": (5.0, 4.8), "precision_recall": (5.0, 4.8), "surprisal": (6.8, 3.0)}
    files = []
    for name, draw in drawings.items():
        figure = Figure(figsize=sizes.get(name, (6.8, 4.8)), layout="constrained")
        draw(figure.subplots())
        files.append(_written(figure, folder / f"{name}.png"))
    figure = Figure(figsize=(6.8, 5.2), layout="constrained")
    plot.surface(mixture, names=NAMES, ax=figure.add_subplot(projection="3d"))
    files.append(_written(figure, folder / "surface.png"))
    drawn = plot.pairs(mixture, x, names=NAMES)[0, 0].figure
    files.append(_written(drawn, folder / "pairs.png", 110))
    plt.close(drawn)
    files.append(_written(overview(data), folder / "overview.png", 100))
    return sorted(files)


def overview(data: Example) -> Figure:
    """Three pictures side by side: the density, the components, the energies."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.15, 1, 1.1])
    two, x = data.pair, data.x[:, :2]
    plot.contours(two, x, names=NAMES[:2], ax=left)
    plot.responsibilities(two, x, names=NAMES[:2], ax=middle)
    plot.ellipses(two, names=NAMES[:2], ax=middle)
    plot.energy_histogram(data.energies, data.threshold, data.is_anomaly, ax=right)
    # Narrow: shorter captions, and numbers inside the components instead of a legend.
    middle.get_legend().remove()
    for text in list(middle.texts):
        if text.get_gid():
            text.set_text("uncertain rows have mixed colors")
    for ax, title in ((left, "Density"), (middle, "Components"), (right, "Anomalies")):
        ax.set_title(title, loc="left", pad=20, weight="bold")
    return figure


def _written(figure: Any, path: Path, dpi: int = 150) -> Path:
    with atomically(path) as file:
        figure.savefig(file, format="png", dpi=dpi)
    return path


def main() -> None:
    """Run the gallery from the command line."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit("usage: python -m mixjax.plot FOLDER (writes a picture of each function)")
    try:
        files = gallery(Path(sys.argv[1]))
    except OSError as error:
        raise SystemExit(f"no pictures in {sys.argv[1]}: {error}") from error
    print(*files, sep="\n")


if __name__ == "__main__":
    main()
