"""The command, run as a process, on real files."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets
from sklearn.utils import Bunch
from typer.testing import CliRunner

import mixjax
from mixjax.cli import app
from mixjax.cli.source import loaders, source_of, source_of_bunch

KDD = Path(__file__).parents[2] / "shared" / "data" / "kdd_cup.npz"
FAST = ("--family", "gaussian", "--components", 1)


def as_users_do():
    return {**os.environ, "XLA_FLAGS": os.environ["USERS_XLA_FLAGS"], "COLUMNS": "200"}


def run(*arguments, given=None):
    return subprocess.run(
        [sys.executable, "-m", "mixjax.cli", *map(str, arguments)],
        capture_output=True, text=True, input=given, env=as_users_do(), timeout=500,
    )  # fmt: skip


def run_here(*arguments, given=None):
    """In this process: starting JAX and compiling once more would show nothing more."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*map(str, arguments)], input=given)


def words(result):
    return " ".join(result.output.split())


def judged(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    normal, odd = rng.normal(size=(300, 3)), rng.normal(6, 1, size=(30, 3))
    return np.concatenate([normal, odd]), np.array([0] * 300 + [1] * 30)


def write(path, table, kind="csv"):
    x, y = table
    joined = np.c_[x, y]
    if kind == "npy":
        np.save(path, joined)
    elif kind == "npz":
        np.savez(path, data=joined)
    elif kind == "npz pair":
        np.savez(path, X=x, y=y)
    else:
        names = [["a", "b", "c", "kind"]]
        rows = [[*row, "odd" if strange else "fine"] for row, strange in zip(x, y, strict=True)]
        if kind == "csv":
            path.write_text("\n".join(",".join(map(str, line)) for line in names + rows))
        else:
            pyarrow = pytest.importorskip("pyarrow")
            from pyarrow import parquet

            columns = dict(zip(*names, zip(*rows, strict=True), strict=True))
            parquet.write_table(pyarrow.table({k: list(v) for k, v in columns.items()}), path)
    return path


def test_the_embedded_default(tmp_path):
    done = run("detect", "--output", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    for text in (
        "breast_cancer",
        "569 rows, 30 columns",
        "75 that were compared",
        "laplace",
        "at most about 5 % of new normal rows",
        "promised 5 ± 2.3 %",
        "precision",
        "ROC AUC",
        "malignant",
        "of the surprise",
        "area error 542, usually 9.01 to 44.7",
        "--report page.html",
    ):
        assert text in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["roc_auc"] > 0.94
    assert figures["anomalies"] == 212
    assert figures["false_alarms"] < 0.12
    assert {m["family"] for m in figures["members"]} == {
        "gaussian", "tied", "diagonal", "spherical", "laplace",
    }  # fmt: skip
    assert f"F1 {figures['f1']:.4f}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize("kind", ["npy", "npz", "npz pair", "csv", "parquet"])
def test_every_kind_of_file_from_learning_to_judging(tmp_path, table, kind):
    path = write(tmp_path / f"table.{kind.split()[0]}", table, kind)
    label = {"npz pair": "y", "csv": "kind", "parquet": "kind"}.get(kind, "-1")
    normal = "fine" if kind in ("csv", "parquet") else "0"
    out, model, scores = tmp_path / "out.json", tmp_path / "m.npz", tmp_path / "scores.csv"
    done = run_here(
        "detect", path, "--label", label, "--normal", normal, *FAST, "--output", out,
        "--save", model,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    assert figures["columns"] == 3
    assert (figures["train_rows"], figures["test_rows"]) == (150, 180)
    assert figures["roc_auc"] > 0.99
    done = run_here("score", model, path, "--out", scores)
    assert done.exit_code == 0, done.output
    rows = judged(scores)
    assert [int(row["row"]) for row in rows] == list(range(1, 331))
    np.testing.assert_allclose(
        [float(row["score"]) for row in rows], mixjax.load(model).scores(table[0]), rtol=1e-5
    )
    flagged = np.array([int(row["flagged"]) for row in rows])
    assert flagged[300:].mean() > 0.9 > 0.15 > flagged[:300].mean()
    assert all((" %)" in row["why"]) == (row["flagged"] == "1") for row in rows)


def test_judging_by_name_from_standard_input(tmp_path, table):
    path, model = write(tmp_path / "t.csv", table), tmp_path / "m.npz"
    learned = run_here(
        "detect", path, "--label", "kind", "--normal", "fine", *FAST, "--save", model
    )
    assert learned.exit_code == 0, learned.output
    x = table[0]
    other = "c,more,a,b\n" + "\n".join(f"{c},word,{a},{b}" for a, b, c in x)
    done = run("score", model, "-", "--out", tmp_path / "s.csv", "--no-why", given=other)
    assert done.returncode == 0, done.stderr
    lines = list(csv.reader((tmp_path / "s.csv").read_text().splitlines()))
    assert lines[0] == ["row", "score", "p_value", "flagged"]
    detector = mixjax.load(model)
    assert detector.feature_names == ("a", "b", "c")
    np.testing.assert_allclose(
        [float(line[1]) for line in lines[1:]], detector.scores(x), rtol=1e-4
    )
    p = np.array([float(line[2]) for line in lines[1:]])
    np.testing.assert_array_equal(p <= 0.05, [line[3] == "1" for line in lines[1:]])
    buffer = io.BytesIO()
    np.save(buffer, x)
    binary = run_here("score", model, "-", "--out", tmp_path / "n.csv", given=buffer.getvalue())
    assert binary.exit_code == 0, binary.output
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 331


@pytest.mark.parametrize("family", ["tied", "diagonal", "spherical", "laplace"])
def test_families_and_percentile(tmp_path, table, family):
    np.save(tmp_path / "t.npy", np.c_[table])
    done = run_here("detect", tmp_path / "t.npy", "--label", "3", "--normal", "0", "--family",
                    family, "--percentile", 90.909, "--components", 2, "--components", 1,
                    "--output", tmp_path / "o.json", "--save", tmp_path / "m.npz")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "the 90.909th percentile of all scores" in words(done)
    figures = json.loads((tmp_path / "o.json").read_text())
    # 9.1 % of the 330 scores are above, as many as there are anomalies.
    assert abs(figures["flagged"] - 30) <= 2
    assert figures["f1"] > 0.85
    assert figures["members"][0]["family"] == family
    assert figures["candidates"] == 6
    assert float(mixjax.load(tmp_path / "m.npz").threshold) == pytest.approx(figures["threshold"])


def test_without_labels_every_row_is_scored(tmp_path, table):
    np.save(tmp_path / "t.npy", table[0])
    out = tmp_path / "o.json"
    done = run_here("detect", tmp_path / "t.npy", *FAST, "--contamination", 10, "--output", out)
    assert done.exit_code == 0, done.output
    figures = json.loads(out.read_text())
    assert figures["test_rows"] == 330
    assert abs(figures["flagged"] - 33) <= 3
    assert "precision" not in figures
    assert "10 % of the fitted rows" in words(done)


def test_a_row_with_a_component_of_its_own_is_found(tmp_path):
    """A row that was fitted is judged by mixtures that were not fitted to it."""
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(170, 8, 300), rng.lognormal(3, 0.4, 300)]
    x[200] = 171, 900
    lines = ["height,width", *(f"{a:.1f},{b:.2f}" for a, b in x)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    done = run_here("detect", tmp_path / "t.csv", "--family", "gaussian", "--components", 16,
                    "--output", tmp_path / "o.json", "--save", tmp_path / "m.npz")  # fmt: skip
    assert done.exit_code == 0, done.output
    first = json.loads((tmp_path / "o.json").read_text())["strangest"][0]
    assert (first["row"], first["as_strange"], first["of_normal"]) == (201, 0, 299)
    reason = first["reasons"][0]
    assert (reason["column"], reason["value"]) == ("width", 900)
    low, high = reason["usual"]
    assert ((x[:, 1] >= low) & (x[:, 1] <= high)).mean() == pytest.approx(0.95, abs=0.01)
    assert f"width 900, usually {low:.3g} to {high:.3g}" in words(done)
    printed = run_here("score", tmp_path / "m.npz", tmp_path / "t.csv", "--top", 2)
    assert printed.exit_code == 0, printed.output
    assert "of 300 rows above the threshold" in words(printed)
    assert "The strangest rows" in words(printed)


TYPES = {
    "text": str, "whole number": int, "number": (int, float), "true or false": bool,
    "list": list, "object": dict, "number, text": (int, float, str),
}  # fmt: skip


def test_the_json_is_as_documented(tmp_path, table):
    page = (Path(__file__).parents[1] / "docs" / "command.md").read_text()
    rows = re.findall(r"^\| `([\w.]+)` \| ([\w ,]+?) \|", page, re.MULTILINE)
    documented = {name: kinds.split(" or null")[0] for name, kinds in rows}
    assert len(documented) > 25
    path = write(tmp_path / "t.csv", table)
    out = tmp_path / "o.json"
    done = run_here("detect", path, "--label", "kind", "--normal", "fine", *FAST, "--output", out)
    assert done.exit_code == 0, done.output

    def leaves(found, dot=""):
        for name, value in found.items():
            yield dot + name, value
            if isinstance(value, dict):
                yield from leaves(value, f"{dot}{name}.")
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                yield from leaves(value[0], f"{dot}{name}.")

    figures = json.loads(out.read_text(), parse_constant=pytest.fail)
    found = dict(leaves(figures))
    assert sorted(found) == sorted(documented)
    for name, value in found.items():
        assert value is None or isinstance(value, TYPES[documented[name]]), name
    # The same without labels, but for what only labels tell.
    done = run_here("detect", path, "--drop", "kind,a", *FAST, "--output", out)
    assert done.exit_code == 0, done.output
    alone = dict(leaves(json.loads(out.read_text())))
    told = {"anomalies", "normal_rows", "normal_flagged", "precision", "recall", "f1", "roc_auc",
            "average_precision", "false_alarms"}  # fmt: skip
    assert sorted(alone) == sorted(set(documented) - told)
    assert alone["columns_used"] == ["b", "c"]
    assert [one["column"] for one in alone["columns_left_out"]] == ["a", "kind"]


def test_the_version():
    assert run_here("--version").output == f"mixjax {mixjax.__version__}\n"


def test_columns_that_tell_rows_apart(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 12))
    x[:40, 7] += 8 * np.sign(x[:40, 7])
    np.save(tmp_path / "t.npy", x)
    done = run_here("detect", tmp_path / "t.npy", "--columns", "auto", *FAST, "--contamination", 5,
                    "--save", tmp_path / "m.npz")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "of 12 columns" in words(done)
    used = mixjax.load(tmp_path / "m.npz").columns
    assert 7 in used
    assert len(used) < 12
    chosen = run_here("detect", tmp_path / "t.npy", "--columns", "7, 2", *FAST,
                      "--output", tmp_path / "o.json")  # fmt: skip
    assert chosen.exit_code == 0, chosen.output
    assert json.loads((tmp_path / "o.json").read_text())["columns"] == 2
    assert "2 columns used (2, 7)" in words(chosen)


def with_words(path, n=200):
    """A table of sizes and colors, of which some cells are empty."""
    rng = np.random.default_rng(2)
    colors = rng.choice(["red", "blue", ""], n, p=[0.45, 0.45, 0.1])
    sizes = [f"{size:.3f}" for size in rng.normal(size=n)]
    sizes[4] = ""
    lines = [f"{v},{w}" for v, w in zip(sizes, colors, strict=True)]
    path.write_text("\n".join(["size,color", *lines]))
    return int((colors == "").sum()) + 1


def test_words_are_categories_and_holes_are_unknown(tmp_path):
    n_holes = with_words(tmp_path / "t.csv")
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    page, figures = tmp_path / "page.html", tmp_path / "o.json"
    done = run_here("detect", tmp_path / "t.csv", *FAST, "--save", model, "--report", page,
                    "--output", figures)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Categories: color: each word is a category." in words(done)
    assert f"Unknown: {n_holes} values in {n_holes} rows, most in the column 'color'" in words(done)
    found = json.loads(figures.read_text())
    assert found["categories"] == ["color"]
    assert found["unknown"] == {"cells": n_holes, "rows": n_holes, "most_in": "color"}
    assert '["blue","red"]' in page.read_text("utf-8").replace(", ", ",")
    assert mixjax.load(model).levels == ((), ("blue", "red"))
    (tmp_path / "new.csv").write_text("color,size\nred,0.1\ngreen,0.1\n,0.1\nred,\nred,9\n")
    done = run_here("score", model, tmp_path / "new.csv", "--out", out)
    assert done.exit_code == 0, done.output
    assert "Unknown: 2 values in 2 rows" in words(done)
    known, unseen, no_color, no_size, far = judged(out)
    for usual in (known, no_color, no_size):
        assert usual["flagged"] == "0"
    assert (unseen["flagged"], far["flagged"]) == ("1", "1")
    assert unseen["why"].startswith("color is a word that was never seen")
    assert far["why"].startswith("size 9, usually")


def test_words_become_columns_when_asked(tmp_path):
    with_words(tmp_path / "t.csv")
    refused = run_here("detect", tmp_path / "t.csv", *FAST, "--text", "refuse")
    assert refused.exit_code == 2
    assert "'color' holds the text" in words(refused)
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    done = run_here("detect", tmp_path / "t.csv", *FAST, "--text", "one-hot", "--save", model)
    assert done.exit_code == 0, done.output
    assert mixjax.load(model).feature_names == ("size", "color=blue", "color=red")
    (tmp_path / "new.csv").write_text("color,size\nred,0.1\ngreen,0.1\n")
    done = run_here("score", model, tmp_path / "new.csv", "--out", out)
    assert done.exit_code == 0, done.output
    known, unknown = judged(out)
    assert (known["flagged"], unknown["flagged"]) == ("0", "1")


def test_a_word_among_numbers_is_an_error_not_a_category(tmp_path):
    cells = [f"{i / 7:.3f}" for i in range(50)]
    cells[30] = "12,3a"
    (tmp_path / "t.csv").write_text(
        "\n".join(["a;b", *[f"{c};{i % 9}" for i, c in enumerate(cells)]])
    )
    refused = run_here("detect", tmp_path / "t.csv", *FAST)
    assert refused.exit_code == 2
    assert "'a' holds the text '12,3a' in row 31" in words(refused)


def test_rows_with_holes_may_be_refused_or_dropped(tmp_path, table):
    path = write(tmp_path / "t.csv", table)
    lines = path.read_text().splitlines()
    lines[5] = "1.0,,2.0,fine"
    lines[9] = "NA,0.5,2.0,fine"
    path.write_text("\n".join(lines))
    asked = ["detect", path, "--label", "kind", "--normal", "fine", *FAST]
    refused = run_here(*asked, "--missing", "refuse")
    assert refused.exit_code == 2
    assert "2 of 330 rows have a missing or infinite value" in words(refused)
    assert "--missing drop" in words(refused)
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    done = run_here(*asked, "--missing", "drop", "--save", model, "--output", tmp_path / "o.json")
    assert done.exit_code == 0, done.output
    assert "Left out: 'kind' (the label); 2 of 330 rows with a missing" in words(done)
    figures = json.loads((tmp_path / "o.json").read_text())
    assert figures["train_rows"] + figures["test_rows"] == 328
    refused = run_here("score", model, path, "--out", out, "--missing", "refuse")
    assert refused.exit_code == 2
    assert not out.exists()
    for option, left in (("drop", {5, 9}), ("unknown", set())):
        done = run_here("score", model, path, "--out", out, "--missing", option)
        assert done.exit_code == 0, done.output
        numbers = [int(row["row"]) for row in judged(out)]
        assert numbers == [i for i in range(1, 331) if i not in left]


def test_the_bundled_table_is_that_of_scikit_learn():
    own = source_of(None)
    theirs = source_of_bunch("breast_cancer", datasets.load_breast_cancer())
    assert own.label == theirs.label == "target"
    assert (own.normal, own.anomalous) == (theirs.normal, theirs.anomalous)
    assert list(own.table.values) == list(theirs.table.values)
    for name, column in theirs.table.values.items():
        np.testing.assert_array_equal(own.table.values[name].numbers, column.numbers)
    mine, labels = (source.table.beside["target"].words for source in (own, theirs))
    assert list(mine) == list(labels)


def test_data_sets_of_scikit_learn(tmp_path):
    done = run_here("detect", "iris", "--anomalous", "virginica", *FAST, "--output", tmp_path / "o")
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "o").read_text())
    assert (figures["train_rows"], figures["anomalies"]) == (50, 50)
    assert {"kddcup99", "breast_cancer", "covtype"} <= set(loaders())
    # As fetch_kddcup99 returns it, which takes a network.
    rows = np.array([[0, b"tcp", 181.0], [2, b"udp", 5.0], [0, b"tcp", 7.0]], object)
    names = ["duration", "protocol_type", "src_bytes"]
    labels = np.array([b"normal.", b"smurf.", b"smurf."], object)
    source = source_of_bunch("kddcup99", Bunch(data=rows, target=labels, feature_names=names))
    assert source.anomalous == "normal."
    assert list(source.table.values["protocol_type"].words) == ["tcp", "udp", "tcp"]
    assert source.table.values["duration"].numbers.tolist() == [0, 2, 0]
    amounts = source_of_bunch("diabetes", loaders()["diabetes"]())
    assert amounts.label is None


def test_bad_input_says_what_was_wrong(tmp_path, table):
    np.save(tmp_path / "t.npy", np.c_[table])
    write(tmp_path / "t.csv", table)
    np.save(tmp_path / "flat.npy", np.ones(4))
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).normal(size=(20, 30)))
    np.save(tmp_path / "short.npy", np.ones((4, 2)))
    np.save(tmp_path / "holes.npy", np.full((40, 2), np.nan))
    np.save(tmp_path / "none.npy", np.ones((0, 2)))
    np.save(tmp_path / "huge.npy", np.r_[np.full((1, 2), -1e300), np.ones((40, 2))])
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no table")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("a,b\n")
    (tmp_path / "words.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "twice.csv").write_text("a,a\n1,2\n")
    (tmp_path / "notes.txt").write_text("hello")
    labeled = ["t.csv", "--label", "kind"]
    cases = [
        (["missing.npy"], "there is no file"),
        (["flat.npy"], "not a table"),
        (["none.npy"], "is empty"),
        (["broken.npz"], "not a readable .npz file"),
        (["broken.parquet"], "not a readable Parquet file"),
        (["empty.csv"], "is empty"),
        (["header.csv"], "a header but no rows"),
        (["words.csv", "--text", "refuse"], "'b' holds the text 'x' in row 1"),
        (["ragged.csv"], "line 3: 1 cells, expected 2"),
        (["twice.csv"], "several columns have the name 'a'"),
        (["notes.txt"], "cannot read .txt"),
        (["breast_canser"], "did you mean breast_cancer?"),
        (["olivetti_facse"], "did you mean olivetti_faces?"),
        (["t.npy", "--label", "9", "--normal", "0"], "no such column"),
        (["t.csv", "--label", "knid", "--normal", "0"], "did you mean 'kind'?"),
        (["t.csv", "--columns", "a,B"], "did you mean 'b'?"),
        (["t.csv", "--drop", "d"], "no such column; there are a, b, c, kind"),
        ([*labeled, "--normal", "fine", "--columns", "kind"], "is the label or dropped"),
        (labeled, "--normal or --anomalous; there are fine, odd"),
        (["t.npy", "--normal", "3"], "need --label"),
        ([*labeled, "--normal", "benign"], "at most one of 330 rows has the label --normal benign"),
        ([*labeled, "--normal", "fine", "--components", "331"], "150 rows to fit"),
        (["wide.npy"], "20 rows to fit, but 30 columns"),
        (["short.npy"], "4 rows to fit, but at least 10"),
        (["holes.npy", "--missing", "drop"], "no row is left"),
        (["huge.npy"], "1 of 41 rows have an infinite value (or one beyond 1e38)"),
        (["t.npy", "--save", "nowhere/m.npz"], "there is no folder"),
    ]
    for arguments, text in cases:
        given = [str(tmp_path / a) if "." in a else a for a in arguments]
        result = run_here("detect", *given)
        assert result.exit_code == 2, (arguments, result.output)
        assert text in words(result), (arguments, result.output)


def test_models_and_tables_that_do_not_fit(tmp_path, table):
    path, model, out = write(tmp_path / "t.csv", table), tmp_path / "m.npz", tmp_path / "s.csv"
    asked = ["detect", path, "--label", "kind", "--normal", "fine", *FAST, "--save", model]
    assert run_here(*asked).exit_code == 0
    mixjax.save(tmp_path / "mixture.npz", mixjax.load(model).members[0].mixtures)
    (tmp_path / "cut.npz").write_bytes(model.read_bytes()[:900])
    (tmp_path / "other.csv").write_text("a,bb,c\n1,2,3\n")
    (tmp_path / "text.csv").write_text("a,b,c\n1,two,3\n")
    np.save(tmp_path / "two.npy", table[0][:, :2])
    out.write_text("kept")
    cases = [
        (["no.npz", "t.csv"], "No such file"),
        (["cut.npz", "t.csv"], "not a whole mixjax file"),
        (["t.csv", "t.csv"], "not a whole mixjax file"),
        (["mixture.npz", "t.csv"], "holds a Mixture, not a detector"),
        (["m.npz", "other.csv"], "needs the column 'b', which is missing; did you mean 'bb'?"),
        (["m.npz", "text.csv"], "'b' holds the text 'two'"),
        (["m.npz", "two.npy"], "needs the columns 'a', 'b', 'c', which are missing"),
    ]
    for names, text in cases:
        result = run_here("score", *(tmp_path / name for name in names), "--out", out)
        assert result.exit_code == 2, (names, result.output)
        assert text in words(result), (names, result.output)
    assert out.read_text() == "kept"
    result = run_here("score", model, path, "--out", tmp_path / "nowhere" / "s.csv")
    assert result.exit_code == 2
    assert "there is no folder" in words(result)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    """At a terminal, once the bar is there."""
    pty = pytest.importorskip("pty")
    np.save(tmp_path / "t.npy", np.random.default_rng(0).normal(size=(8000, 20)))
    # What runs in the background of a shell ignores the signal, and so would its children.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from mixjax.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "detect", str(tmp_path / "t.npy"),
               "--save", str(tmp_path / "m.npz"), "--output", str(tmp_path / "o.json")]  # fmt: skip
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, env=as_users_do(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    output, sent = b"", False
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                some = terminal.read(4096)
            except OSError:  # the other end is closed
                break
            if not some:
                break
            output += some
            if b"comparing" in output and not sent:
                process.send_signal(signal.SIGINT)
                sent = True
    assert process.wait(timeout=60) not in (0, None)
    assert sent
    assert b"Traceback" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["t.npy"]


@pytest.mark.skipif(not KDD.exists(), reason="the KDD Cup table is not here")
def test_kdd_cup(tmp_path):
    """One seed of those in benchmarks/README.md, where F1 lies between .966 and .985."""
    out = tmp_path / "figures.json"
    done = run("detect", KDD, "--label", -1, "--normal", 0, "--percentile", 80,
               "--seed", 1, "--output", out)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["f1"] >= 0.95
