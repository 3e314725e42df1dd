"""DAGMM and its variants on the KDD Cup data, beside the published table and beside controls.

    python benchmarks/kddcup.py --data kdd_cup.npz --seeds 5 --json out.json   # some 70 minutes
    python benchmarks/kddcup.py --data kdd_cup.npz --quick                     # two minutes
    python benchmarks/kddcup.py --seeds 5      # rows by scikit-learn's loader (network)

Train: half of the label-0 rows, drawn with the seed. Test: the other half and every label-1
row, which is the anomaly class. No row is in both. "At 20 %" flags the rows above the 80th
percentile of the train and test scores together; precision, recall and F1 are then taken on
the test rows.
"""

import argparse
import functools
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.decomposition import PCA
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
from sklearn.neighbors import NearestNeighbors

import mixjax
from mixjax import dagmm
from mixjax.files import check_outputs, write_text

SHARES = (10, 20, 30, 40, 50, 60)
PUBLISHED = {
    "autoencoder": (0.9297, 0.9442, 0.9369, None),
    "variational": (0.9642, 0.9461, 0.9551, 0.9828),
    "quantized": (0.9663, 0.9499, 0.9581, 0.9893),
    "energy + reconstruction": (0.9505, 0.9200, 0.9350, 0.9862),
    "Laplacian": (0.8532, 0.7554, 0.8014, 0.8891),
    "labeled anomalies, 1/E": (0.4207, 0.8556, 0.5641, 0.8180),
    "labeled anomalies, repulsion": (0.4207, 0.8556, 0.5641, 0.8180),
    "positive-unlabeled": (0.7411, 0.9785, 0.8434, None),
}
LABELED_ANOMALIES = 0.05  # of the anomalies: known in training, and not in the test
LABELED_NORMALS = 0.20  # of the training rows, in the positive-unlabeled setup
ADAM = optax.adam(1e-3)
SLOW_ADAM = optax.adam(1e-4)
NO_STEP = optax.sgd(0.0)


class Split(NamedTuple):
    """Training rows, test rows, and which of these are anomalies."""

    train: np.ndarray
    test: np.ndarray
    is_anomaly: np.ndarray


class Recipe(NamedTuple):
    """How a model is made and trained."""

    latent: int
    epochs: int
    optimizer: Any
    objective: dagmm.Objective
    train: dict[str, Any]
    noise: float


def default_recipe(epochs: int) -> Recipe:
    return Recipe(8, epochs, ADAM, dagmm.Objective(), {}, 0.2)


def published_recipe(epochs: int, n_features: int) -> Recipe:
    """Zong et al. (2018): raw columns, one latent column, no mixture fitted afterwards."""
    objective = dagmm.Objective(
        energy_weight=0.1, covariance_weight=0.005, reg_covar=1e-6, anomaly_weight=0.1
    )
    options = {"inputs": dagmm.Inputs.unchanged(n_features), "refit": None}
    return Recipe(1, epochs, SLOW_ADAM, objective, options, 0.5**0.5)


def table_of_file(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        table = file["kdd"]
    return table[:, :-1].astype(np.float32), table[:, -1].astype(int)


def table_of_loader() -> tuple[np.ndarray, np.ndarray]:
    """The same rows as scikit-learn downloads them: one-hot words, min-max scaled numbers."""
    from sklearn.datasets import fetch_kddcup99

    raw = fetch_kddcup99(percent10=True)
    columns = []
    for column in raw.data.T:
        try:
            values = column.astype(np.float64)
        except ValueError:
            columns.append((column[:, None] == np.unique(column)[None]).astype(np.float32))
            continue
        reach = values.max() - values.min()
        columns.append(((values - values.min()) / (reach if reach > 0 else 1))[:, None])
    return np.concatenate(columns, axis=1).astype(np.float32), (raw.target == b"normal.").astype(
        int
    )


def made_up_table() -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of rows in a dozen columns: to see that everything runs."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 12)) + 0.1 * rng.normal(
        size=(20_000, 12)
    )
    x = np.concatenate([normal, rng.normal(size=(4_000, 12)) * 2]).astype(np.float32)
    return x, np.repeat([0, 1], [20_000, 4_000])


def split(x: np.ndarray, y: np.ndarray, seed: int) -> Split:
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    half = len(normal) // 2
    anomalies = np.flatnonzero(y == 1)
    test = np.concatenate([normal[half:], anomalies])
    return Split(x[normal[:half]], x[test], np.arange(len(test)) >= len(normal) - half)


def quality(
    trained: np.ndarray, tested: np.ndarray, is_anomaly: np.ndarray, n_labeled: int = 0
) -> dict[str, Any]:
    """Precision, recall and F1 at each share of flagged rows; AUC on the test and on all rows.

    The last ``n_labeled`` of the training rows are anomalies.
    """
    everything = np.concatenate([trained, tested])
    row: dict[str, Any] = {"at": {}}
    for share in SHARES:
        flagged = tested > np.percentile(everything, 100 - share)
        p, r, f1, _ = precision_recall_fscore_support(
            is_anomaly, flagged, average="binary", zero_division=0
        )
        row["at"][share] = {"precision": float(p), "recall": float(r), "f1": float(f1)}
    row |= row["at"][20]
    row["auc"] = float(roc_auc_score(is_anomaly, tested))
    known = np.arange(len(trained)) >= len(trained) - n_labeled
    truth = np.concatenate([known, is_anomaly])
    row["auc_train_and_test"] = float(roc_auc_score(truth, everything))
    return row


def made(seed: int, n_features: int, recipe: Recipe, kind: str) -> dagmm.DAGMM:
    options: dict[str, Any] = {"latent": recipe.latent}
    autoencoder: dagmm.Autoencoder = dagmm.Autoencoder(**options)
    if kind == "variational":
        autoencoder = dagmm.VariationalAutoencoder(noise=recipe.noise, **options)
    if kind == "quantized":
        autoencoder = dagmm.VectorQuantizedAutoencoder(**options)
    family = mixjax.MeanLaplace if kind == "Laplacian" else mixjax.Gaussian
    return dagmm.DAGMM(jax.random.key(seed), n_features, autoencoder=autoencoder, family=family)


def trained_by(
    seed: int, x: np.ndarray, recipe: Recipe, kind: str, **options: Any
) -> tuple[dagmm.Trained, float]:
    model = made(seed, x.shape[1], recipe, kind)
    begin = time.perf_counter()
    result = dagmm.train(
        jax.random.key(1000 + seed), model, x, epochs=recipe.epochs, progress=False,
        **{"optimizer": recipe.optimizer, "objective": recipe.objective, **recipe.train, **options},
    )  # fmt: skip
    jax.block_until_ready(result)
    return result, time.perf_counter() - begin


def scored(
    trained: dagmm.Trained, data: Split, weight: float = 0.0, n_labeled: int = 0
) -> dict[str, Any]:
    score = functools.partial(dagmm.score, trained, reconstruction_weight=weight)
    scores = np.asarray(score(data.train)), np.asarray(score(data.test))
    return quality(*scores, data.is_anomaly, n_labeled)


def one_class(seed: int, data: Split, recipe: Recipe, kind: str) -> dict[str, dict[str, Any]]:
    """A row; for the plain autoencoder also that of energy and reconstruction together."""
    trained, seconds = trained_by(seed, data.train, recipe, kind)
    about = {"seconds": seconds, "status": dagmm.Status(int(trained.status)).name}
    rows = {kind: scored(trained, data) | about}
    if kind == "autoencoder":
        rows["energy + reconstruction"] = scored(trained, data, 1.0) | about
    return rows


def labeled(seed: int, data: Split, recipe: Recipe, kind: str) -> dict[str, dict[str, Any]]:
    """Some anomalies are known in training; they are not in the test."""
    anomalies = np.flatnonzero(data.is_anomaly)
    known = np.random.default_rng(seed).permutation(anomalies)
    known = known[: round(LABELED_ANOMALIES * len(anomalies))]
    rest = np.setdiff1d(np.arange(len(data.test)), known)
    train = np.concatenate([data.train, data.test[known]])
    labels = np.arange(len(train)) >= len(data.train)
    rule = dagmm.InverseEnergy() if "1/E" in kind else dagmm.Repulsion()
    objective = mixjax.dagmm.Objective(**{**vars(recipe.objective), "anomalies": rule})
    trained, seconds = trained_by(seed, train, recipe, kind, labels=labels, objective=objective)
    known_too = Split(train, data.test[rest], data.is_anomaly[rest])
    row = scored(trained, known_too, n_labeled=len(known))
    return {kind: row | {"seconds": seconds, "status": dagmm.Status(int(trained.status)).name}}


def positive_unlabeled(
    seed: int, data: Split, recipe: Recipe, kind: str
) -> dict[str, dict[str, Any]]:
    """Some normal rows are known; the threshold is found from a mix of both kinds."""
    rng = np.random.default_rng(seed)
    n_known = round(LABELED_NORMALS * len(data.train))
    anomalies = rng.permutation(np.flatnonzero(data.is_anomaly))
    seen, rest = np.split(anomalies, 2)
    mix = np.concatenate([data.train[n_known:], data.test[seen]])
    test = np.concatenate([np.flatnonzero(~data.is_anomaly), rest])
    begin = time.perf_counter()
    trained, _ = trained_by(seed, data.train[:n_known], recipe, kind)
    classifier = dagmm.positive_unlabeled(
        jax.random.key(2000 + seed), trained, data.train[:n_known], mix
    )
    truth = data.is_anomaly[test]
    found = np.asarray(classifier.is_anomaly(data.test[test]))
    seconds = time.perf_counter() - begin
    p, r, f1, _ = precision_recall_fscore_support(truth, found, average="binary", zero_division=0)
    strange = 1 - np.asarray(classifier.labeled_probability(data.test[test]))
    return {kind: {
        "precision": float(p), "recall": float(r), "f1": float(f1),
        "auc": float(roc_auc_score(truth, strange)), "seconds": seconds,
        "c": float(classifier.rule.c), "true_c": n_known / len(data.train),
    }}  # fmt: skip


def controls(seed: int, data: Split, quick: bool) -> dict[str, dict[str, Any]]:
    """What needs no trained network."""
    rows: dict[str, dict[str, Any]] = {}
    inputs = dagmm.Inputs.of(jnp.asarray(data.train))
    spread = dagmm.Inputs(inputs.shift, inputs.scale, jnp.asarray(np.inf, np.float32))
    untrained, _ = trained_by(seed, data.train, default_recipe(1), "autoencoder", optimizer=NO_STEP)
    rows["untrained network"] = scored(untrained, data)

    train, test = (np.asarray(inputs(jnp.asarray(x))) for x in (data.train, data.test))
    pca = PCA(8, random_state=seed).fit(train)

    def error(x: np.ndarray) -> np.ndarray:
        return ((x - pca.inverse_transform(pca.transform(x))) ** 2).sum(axis=1)

    rows["PCA reconstruction, 8 axes"] = quality(error(train), error(test), data.is_anomaly)

    few = np.random.default_rng(seed).permutation(len(train))[: 500 if quick else 5_000]
    neighbors = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(train[few])
    others = np.setdiff1d(np.arange(len(train)), few)
    near, far = (neighbors.kneighbors(x)[0][:, -1] for x in (train[others], test))
    rows[f"5th neighbor among {len(few):,} rows"] = quality(near, far, data.is_anomaly)

    def mixture(columns: dagmm.Inputs, k: int, start: Any) -> dict[str, Any]:
        x, x_test = (columns(jnp.asarray(rows)) for rows in (data.train, data.test))
        fit = mixjax.fit(jax.random.key(seed), x, k, start=start)
        energies = [np.asarray(mixjax.energy(fit.mixture, rows)) for rows in (x, x_test)]
        return quality(*energies, data.is_anomaly)

    for k in (4,) if quick else (1, 4, 16):
        name = f"plain mixture, {k} component" + "s" * (k > 1)
        rows[name] = mixture(spread, k, mixjax.random_responsibilities)
    if not quick:
        rows["plain mixture, 32 components, bounded columns"] = mixture(inputs, 32, mixjax.kmeans)
    return rows


def summary(results: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean and standard deviation over seeds of each figure of each row."""
    out: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for result in results for name in result):
        rows = [result[name] for result in results if name in result]
        out[name] = {}
        for figure in ("precision", "recall", "f1", "auc", "auc_train_and_test", "seconds"):
            values = [row[figure] for row in rows if figure in row]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else float("nan")
                out[name][figure] = (statistics.mean(values), spread)
    return out


def markdown(results: dict[str, Any]) -> str:
    lines = [
        "| model | published P / R / F1 / AUC | P | R | F1 | AUC, test rows | AUC, train + test | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for part in ("default", "published recipe", "controls"):
        if not results.get(part):
            continue
        lines.append(f"| **{part}** ({len(results[part])} seeds) | | | | | | | |")
        for name, row in summary(results[part]).items():
            reference = " / ".join(
                "–" if value is None else f"{value:.4f}" for value in PUBLISHED.get(name, ())
            )
            cells = [
                written(*row[figure]) if figure in row else "–"
                for figure in ("precision", "recall", "f1", "auc", "auc_train_and_test")
            ]
            seconds = f"{row['seconds'][0]:.0f}" if "seconds" in row else "–"
            lines.append(
                f"| {name} | {reference if part != 'controls' else ''} | "
                + " | ".join(cells)
                + f" | {seconds} |"
            )
    for part in ("default", "published recipe", "controls"):
        with_shares = [r for r in results.get(part, []) if any("at" in row for row in r.values())]
        if not with_shares:
            continue
        lines += [
            "",
            f"F1 by the share of rows flagged, {part}:",
            "",
            "| model | " + " | ".join(f"{share} %" for share in SHARES) + " |",
            "| --- |" + " --- |" * len(SHARES),
        ]
        for name in with_shares[0]:
            rows = [result[name]["at"] for result in with_shares if "at" in result.get(name, {})]
            if rows:
                means = [
                    statistics.mean(at_share(row, share)["f1"] for row in rows) for share in SHARES
                ]
                lines.append(f"| {name} | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")
    return "\n".join(lines)


def written(mean: float, spread: float) -> str:
    """Mean ± standard deviation, the latter only where there is one."""
    return f"{mean:.4f}" if spread != spread else f"{mean:.4f} ± {spread:.4f}"


def at_share(row: dict[Any, Any], share: int) -> dict[str, float]:
    """A figure by its share, whose key JSON turns into text."""
    return row[share] if share in row else row[str(share)]


ROWS: dict[str, Callable[..., dict[str, dict[str, Any]]]] = {
    "autoencoder": one_class,
    "variational": one_class,
    "quantized": one_class,
    "Laplacian": one_class,
    "labeled anomalies, 1/E": labeled,
    "labeled anomalies, repulsion": labeled,
    "positive-unlabeled": positive_unlabeled,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="kdd_cup.npz; none: scikit-learn's loader")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a made-up table, one seed")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, one seed")
    parser.add_argument("--parts", nargs="*", default=["default", "published recipe", "controls"])
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--published-epochs", type=int, default=200)
    args = parser.parse_args()
    check_outputs({"--json": args.json})
    if args.smoke:
        x, y = made_up_table()
    else:
        x, y = table_of_file(args.data) if args.data else table_of_loader()
    epochs, seeds = 20, range(args.first_seed, args.first_seed + args.seeds)
    if args.smoke:
        args.quick, seeds = True, range(1)
        args.only = ["autoencoder", "labeled anomalies, repulsion", "positive-unlabeled"]
        args.parts = [part for part in args.parts if part != "published recipe"]
    elif args.quick:
        some = np.random.default_rng(0).permutation(len(x))[: len(x) // 10]
        x, y, seeds = x[some], y[some], range(1)
        args.parts = [part for part in args.parts if part != "published recipe"]
    results: dict[str, Any] = {
        "machine": {"python": platform.python_version(), "jax": jax.__version__,
                    "device": str(jax.devices()[0])},
        "rows": len(x), **{part: [] for part in args.parts},
    }  # fmt: skip
    recipes = {
        "default": default_recipe(epochs),
        "published recipe": published_recipe(args.published_epochs, x.shape[1]),
    }
    for seed in seeds:
        data = split(x, y, seed)
        for part in args.parts:
            rows: dict[str, Any] = {}
            results[part].append(rows)
            if part == "controls":
                rows |= controls(seed, data, args.quick)
            else:
                for kind in args.only:
                    rows |= ROWS[kind](seed, data, recipes[part], kind)
                    figures = {
                        k: round(v, 4) for k, v in rows[kind].items() if isinstance(v, float)
                    }
                    print(part, seed, kind, figures, file=sys.stderr, flush=True)
            if args.json:
                write_text(args.json, json.dumps(results, indent=2))
    print(markdown(results))


if __name__ == "__main__":
    main()
