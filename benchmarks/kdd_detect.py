"""The detector on the KDD Cup data, with no setting given, at the published "20 % threshold".

    python benchmarks/kdd_detect.py --data kdd_cup.npz --seeds 3 --json OUT

Trained on a random half of the label-0 rows, tested on the other half and all label-1 rows; the
threshold is the 80th percentile of the training and test scores together, F1 that of the test rows.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

import mixjax
from mixjax.files import check_outputs, write_text

SHARE = 80


def measure(table: np.ndarray, seed: int, kinds: str | None) -> dict[str, float]:
    x, y = table[:, :-1], table[:, -1].astype(int)
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    begin = time.perf_counter()
    detector = mixjax.detect.fit(jax.random.key(seed), x[normal[:half]], kinds=kinds)
    seconds = time.perf_counter() - begin
    trained, scores = (np.asarray(detector.scores(x[rows])) for rows in (normal[:half], test))
    threshold = np.percentile(np.concatenate([trained, scores]), SHARE)
    return {
        "seed": seed,
        "f1": float(f1_score(y[test], scores > threshold)),
        "auc": float(roc_auc_score(y[test], scores)),
        "false_alarms": float(detector.flags(scores[y[test] == 0]).mean()),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="kdd_cup.npz: one table, the label last")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", choices=["auto"], help="find the columns of categories")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a small made-up table, one seed")
    options = parser.parse_args()
    check_outputs({"--json": options.json})
    if options.smoke:
        rng = np.random.default_rng(0)
        y = np.repeat([0.0, 1.0], [400, 40])
        table = np.c_[rng.normal(size=(440, 4)) + 5 * y[:, None], y].astype(np.float32)
        options.seeds = 1
    elif options.data is None:
        parser.error("give --data, or --smoke")
    else:
        with np.load(options.data, allow_pickle=False) as archive:
            table = archive[archive.files[0]].astype(np.float32)
    rows = []
    for seed in range(options.seeds):
        rows.append(measure(table, seed, options.kinds))
        print({name: round(value, 4) for name, value in rows[-1].items()}, flush=True)
    print(f"F1 {np.mean([row['f1'] for row in rows]):.4f} on average")
    if options.json:
        write_text(options.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
