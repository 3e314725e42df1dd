"""Anomaly detection on tables of ADBench against the usual peers, in one process.

    python benchmarks/adbench.py --data DIR --json OUT       # .npz files with X and y

Protocol "one class": at most 20,000 rows a set, drawn with the seed; trained on a random half of
the normal rows, tested on the other half and all anomalies; columns scaled by the training rows.
Beside ROC AUC and average precision stands the rate of false alarms at a promised 5 %.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

import mixjax
from mixjax.files import check_outputs, write_text

MOST_ROWS = 20_000
ALPHA = 0.05


def split(file: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, test rows and which of these are anomalies."""
    with np.load(file, allow_pickle=False) as archive:
        x, y = archive["X"].astype(np.float64), archive["y"].astype(int)
    rng = np.random.default_rng(seed)
    if len(x) > MOST_ROWS:
        drawn = rng.permutation(len(x))[:MOST_ROWS]
        x, y = x[drawn], y[drawn]
    normal = rng.permutation(np.flatnonzero(y == 0))
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    return x[normal[:half]], x[test], y[test]


def scaled(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the columns scaled by the training rows."""
    spread = train.std(axis=0)
    center, scale = train.mean(axis=0), np.where(spread > 0, spread, 1)
    return (train - center) / scale, (test - center) / scale


def made_up(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two correlated clusters, and anomalies between them: for a smoke run."""
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(600, 4)) @ rng.normal(size=(4, 4)) + 9 * rng.integers(0, 2, (600, 1))
    strange = rng.uniform(normal.min(0), normal.max(0), (60, 4))
    return normal[:300], np.concatenate([normal[300:], strange]), np.repeat([0, 1], [300, 60])


Scores = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def five_neighbors(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)[0][:, -1]


def isolation_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def local_outlier_factor(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -LocalOutlierFactor(novelty=True).fit(train).score_samples(test)


def four_gaussians(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return -GaussianMixture(4, random_state=seed).fit(train).score_samples(test)


PEERS: dict[str, Scores] = {
    "5 nearest neighbors": five_neighbors,
    "isolation forest": isolation_forest,
    "local outlier factor": local_outlier_factor,
    "scikit-learn mixture, K=4": four_gaussians,
}


def quality(scores: np.ndarray, y: np.ndarray) -> dict[str, float]:
    scores = np.nan_to_num(scores, nan=1e30, posinf=1e30)
    return {
        "auc": float(roc_auc_score(y, scores)),
        "ap": float(average_precision_score(y, scores)),
    }


def measure(
    name: str, train: np.ndarray, test: np.ndarray, y: np.ndarray, seed: int, kinds: bool
) -> list[dict[str, object]]:
    """A row for each method; nothing is set by the name of the set or by labels."""
    own: dict[str, dict[str, object]] = {"mixjax.detect": {}}
    if kinds:
        own["mixjax.detect, kinds"] = {"kinds": "auto"}
    rows = [detected(name, method, train, test, y, seed, how) for method, how in own.items()]
    train, test = scaled(train, test)
    for method, score in PEERS.items():
        begin = time.perf_counter()
        scores = score(train, test, seed)
        seconds = time.perf_counter() - begin
        rows.append(
            {"set": name, "seed": seed, "method": method, "seconds": seconds} | quality(scores, y)
        )
    return rows


def detected(
    name: str,
    method: str,
    train: np.ndarray,
    test: np.ndarray,
    y: np.ndarray,
    seed: int,
    options: dict[str, object],
) -> dict[str, object]:
    """The row of a detector of ours; it scales the columns itself."""
    begin = time.perf_counter()
    key = jax.random.key(seed)
    detector = mixjax.detect.fit(key, train.astype(np.float32), alpha=ALPHA, **options)
    scores = np.asarray(detector.scores(test.astype(np.float32)), np.float64)
    seconds = time.perf_counter() - begin
    alarms = float(detector.flags(scores[y == 0]).mean())
    # Both the rows that set the threshold and those that are judged are samples.
    n_normal = int((y == 0).sum())
    noise = np.sqrt(ALPHA * (1 - ALPHA) * (1 / len(train) + 1 / n_normal))
    row = {"set": name, "seed": seed, "method": method, "seconds": seconds}
    honest = {"false_alarms": alarms, "deviations": (alarms - ALPHA) / noise}
    return row | quality(scores, y) | honest


def report(rows: list[dict[str, object]]) -> None:
    """Means by set and over all sets, as Markdown."""
    methods = list(dict.fromkeys(str(row["method"]) for row in rows))
    names = list(dict.fromkeys(str(row["set"]) for row in rows))

    def mean(column: str, **wanted: str) -> float:
        found = [row[column] for row in rows if all(row[k] == v for k, v in wanted.items())]
        return float(np.mean(np.array(found, float)))

    print(f"| set | {' | '.join(methods)} | false alarms at 5 % (deviations) |")
    print("| --- " * (len(methods) + 2) + "|")
    for name in names:
        cells = [
            f"{mean('auc', set=name, method=m):.3f} / {mean('ap', set=name, method=m):.3f}"
            for m in methods
        ]
        own = {"set": name, "method": methods[0]}
        alarms = f"{mean('false_alarms', **own):.3f} ({mean('deviations', **own):+.1f})"
        print(f"| {name} | {' | '.join(cells)} | {alarms} |")
    cells = [f"**{mean('auc', method=m):.4f} / {mean('ap', method=m):.4f}**" for m in methods]
    print(f"| mean of the sets | {' | '.join(cells)} | |")
    for m in methods:
        total = sum(float(str(row["seconds"])) for row in rows if row["method"] == m)
        print(f"{m}: {total:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="parts of the names of the sets wanted")
    parser.add_argument("--kinds", action="store_true", help="also with columns of categories")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a made-up table, one seed")
    options = parser.parse_args()
    check_outputs({"--json": options.json})
    if not options.smoke and options.data is None:
        parser.error("give --data, a folder of .npz files with X and y, or --smoke")
    begin = time.perf_counter()
    rows: list[dict[str, object]] = []
    if options.smoke:
        rows = measure("made up", *made_up(0), 0, options.kinds)
    else:
        files = sorted(options.data.glob("*.npz"))
        wanted = [f for f in files if not options.only or any(w in f.stem for w in options.only)]
        for file in wanted:
            for seed in range(options.seeds):
                rows += measure(file.stem, *split(file, seed), seed, options.kinds)
            print(f"{file.stem}: {time.perf_counter() - begin:.0f} s", flush=True)
            jax.clear_caches()  # another table is another program
    report(rows)
    print(f"the whole run: {time.perf_counter() - begin:.0f} s")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
