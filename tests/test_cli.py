"""The command, run as a process, on real files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mixjax.cli import app

KDD = Path(__file__).parents[2] / "shared" / "data" / "kdd_cup.npz"


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "mixjax.cli", "detect", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, "XLA_FLAGS": os.environ["USERS_XLA_FLAGS"], "COLUMNS": "200"}, timeout=500,
    )  # fmt: skip


def run_here(*arguments):
    """In this process: starting JAX and compiling once more would show nothing more."""
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    normal, odd = rng.normal(size=(300, 3)), rng.normal(6, 1, size=(30, 3))
    return np.concatenate([normal, odd]), np.array([0] * 300 + [1] * 30)


def test_the_embedded_default(tmp_path):
    done = run("--output", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    for words in (
        "breast cancer",
        "2 gaussian components",
        "precision",
        "recall",
        "F1",
        "ROC AUC",
        "malignant",
    ):
        assert words in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["roc_auc"] > 0.9
    assert figures["anomalies"] == 212
    assert f"F1 {figures['f1']:.4f}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize("kind", ["npy", "npz", "npz pair", "csv"])
def test_every_kind_of_file(tmp_path, table, kind):
    x, y = table
    joined = np.c_[x, y]
    path = tmp_path / f"table.{kind.split()[0]}"
    label = "-1"
    if kind == "npy":
        np.save(path, joined)
    elif kind == "npz":
        np.savez(path, data=joined)
    elif kind == "npz pair":
        np.savez(path, X=x, y=y)
        label = "y"
    else:
        lines = ["a,b,c,kind"] + [f"{a},{b},{c},{'odd' if d else 'fine'}" for a, b, c, d in joined]
        path.write_text("\n".join(lines))
        label = "kind"
    normal = "fine" if kind == "csv" else "0"
    out = tmp_path / "out.json"
    done = run_here(path, "--label", label, "--normal", normal, "--components", 1, "--output", out)
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    assert figures["columns"] == 3
    assert (figures["train_rows"], figures["test_rows"]) == (150, 180)
    assert figures["roc_auc"] > 0.99


@pytest.mark.parametrize("family", ["tied", "diagonal", "spherical", "laplace"])
def test_families_and_percentile(tmp_path, table, family):
    np.save(tmp_path / "t.npy", np.c_[table])
    done = run_here(tmp_path / "t.npy", "--label", "3", "--normal", "0", "--family", family,
               "--percentile", 90.909, "--n-init", 2, "--output", tmp_path / "o.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "o.json").read_text())
    # 9.1 % of the 330 energies are above, as many as there are anomalies.
    assert abs(figures["flagged"] - 30) <= 2
    assert figures["f1"] > 0.85


@pytest.mark.parametrize("start", ["random", "kmeans", "kmeans++"])
def test_starts(tmp_path, table, start):
    np.save(tmp_path / "t.npy", np.c_[table])
    done = run_here(tmp_path / "t.npy", "--label", "3", "--normal", "0", "--start", start,
                    "--output", tmp_path / "o.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o.json").read_text())["roc_auc"] > 0.99


def test_without_labels_every_row_is_scored(tmp_path, table):
    np.save(tmp_path / "t.npy", table[0])
    done = run_here(
        tmp_path / "t.npy", "--components", 1, "--false-alarms", 10, "--output", tmp_path / "o.json"
    )
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "o.json").read_text())
    assert figures["test_rows"] == 330
    assert abs(figures["flagged"] - 33) <= 1
    assert "precision" not in figures


def test_rows_with_holes_are_left_out_aloud(tmp_path, table):
    x = table[0].copy()
    x[4, 1] = np.nan
    np.save(tmp_path / "t.npy", x)
    done = run_here(tmp_path / "t.npy")
    assert done.exit_code == 0
    assert "left out 1 of 330 rows" in done.output


def test_bad_input_says_what_was_wrong(tmp_path, table):
    np.save(tmp_path / "t.npy", np.c_[table])
    np.save(tmp_path / "flat.npy", np.ones(4))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "words.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "notes.txt").write_text("hello")
    cases = [
        (["missing.npy"], "there is no file"),
        (["flat.npy"], "not a table"),
        (["broken.npz"], "no .npz file"),
        (["empty.csv"], "is empty"),
        (["words.csv"], "'b' holds the text 'x' in row 0"),
        (["ragged.csv"], "line 3: 1 cells, expected 2"),
        (["notes.txt"], "cannot read .txt"),
        (["t.npy", "--label", "9", "--normal", "0"], "no such column"),
        (["t.npy", "--label", "3"], "go together"),
        (["t.npy", "--label", "3", "--normal", "benign"], "fewer than two rows"),
        (["t.npy", "--components", "331"], "only 330 rows"),
        (["--label", "3", "--normal", "0"], "need a file"),
    ]
    for arguments, text in cases:
        given = [str(tmp_path / a) if "." in a else a for a in arguments]
        result = run_here(*given)
        assert result.exit_code == 2, (arguments, result.output)
        assert text in " ".join(result.output.split()), (arguments, result.output)


@pytest.mark.skipif(not KDD.exists(), reason="the KDD Cup table is not here")
def test_kdd_cup(tmp_path):
    """One seed; the others take as long again, and stand in the README."""
    out = tmp_path / "figures.json"
    done = run(KDD, "--label", -1, "--normal", 0, "--components", 4, "--percentile", 80,
               "--seed", 1, "--output", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["f1"] >= 0.97
