"""The command on tables as people have them: what it says, keeps apart, and refuses."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from test_cli import FAST, as_users_do, judged, run_here, words

import mixjax

RNG = np.random.default_rng(0)


def table_of(path, names, columns, separator=","):
    lines = [
        separator.join(names),
        *(separator.join(map(str, row)) for row in zip(*columns, strict=True)),
    ]
    path.write_text("\n".join(lines))
    return path


def test_words_and_columns_are_kept_apart(tmp_path):
    """Words and names with an equals sign; a column named as a word of another would be."""
    n = 60
    said = np.array(["x", "a=b", "c\\=d"])[RNG.integers(3, size=n)]
    labels = np.array(["007", "0.0", "1e5"])[np.arange(n) % 3]
    value = RNG.normal(size=n).round(3)
    path = table_of(tmp_path / "t.csv", ["op", "op=x", "k"], [said, value, labels])
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    done = run_here("detect", path, "--text", "one-hot", "--label", "k", "--anomalous", "007",
                    *FAST, "--save", model, "--output", tmp_path / "o.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o.json").read_text())["anomalies"] == 20
    detector = mixjax.load(model)
    assert detector.feature_names == ("op=a\\=b", "op=c\\\\\\=d", "op=x", "op\\=x")
    done = run_here("score", model, path, "--out", out)
    assert done.exit_code == 0, done.output
    rows = np.stack([*(said == word for word in ("a=b", "c\\=d", "x")), value], axis=1)
    scores = [float(row["score"]) for row in judged(out)]
    np.testing.assert_allclose(scores, detector.scores(rows), rtol=1e-4)
    # Two rows whose words all look like numbers are taken for the words they are.
    table_of(tmp_path / "few.csv", ["op=x", "op"], [[0.5, 0.5], ["1", "2"]])
    assert run_here("score", model, tmp_path / "few.csv", "--out", out).exit_code == 0
    unknown = float(detector.scores(np.array([[0, 0, 0, 0.5]]))[0])
    assert [float(row["score"]) for row in judged(out)] == pytest.approx([unknown] * 2, rel=1e-4)


def test_a_detector_of_the_library_finds_its_columns(tmp_path):
    x = RNG.normal(size=(60, 2)).astype("float32")
    import jax

    detector = mixjax.detect.fit(jax.random.key(0), x, feature_names=["a=b", "c"], n_components=[1],
                                 families=[mixjax.Gaussian])  # fmt: skip
    mixjax.save(tmp_path / "m.npz", detector)
    path = table_of(tmp_path / "t.csv", ["c", "a=b"], [x[:, 1], x[:, 0]])
    done = run_here("score", tmp_path / "m.npz", path, "--out", tmp_path / "s.csv")
    assert done.exit_code == 0, done.output
    scores = [float(row["score"]) for row in judged(tmp_path / "s.csv")]
    np.testing.assert_allclose(scores, detector.scores(x), rtol=1e-4)


def test_one_message_names_all_that_is_wrong(tmp_path):
    v = RNG.normal(size=20)
    u = ["red", "", "NA", "?", *["blue"] * 16]
    path = table_of(
        tmp_path / "t.csv", ["id", "u", "w", "v"], [range(20), u, ["x"] * 20, ["", *v[1:]]]
    )
    refused = run_here(
        "detect", path, "--drop", "nope", "--text", "refuse", "--missing", "refuse", *FAST
    )
    assert refused.exit_code == 2
    assert len(refused.output.splitlines()) == 1
    for text in ("--drop nope: there is no such column", "'u' holds the text 'red' in row 1 "
                 "(3 cells are missing)", "'w' holds the text 'x'", "--drop 'u' --drop 'w'",
                 "--text one-hot", "1 of 20 rows have a missing", "--missing drop"):  # fmt: skip
        assert text in words(refused)
    done = run_here("detect", path, "--text", "one-hot", "--missing", "drop", *FAST, "--false-alarms", 10,
                    "--output", tmp_path / "o.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Left out: 'id'" in words(done)
    assert "4 of 20 rows with a missing" in words(done)
    assert json.loads((tmp_path / "o.json").read_text())["columns"] == 4  # u=blue, u=red, w=x, v


def test_what_was_guessed_is_said(tmp_path):
    days = [f"2024-01-{i + 1:02d}" for i in range(20)]
    prices = [f"{1000 + i}.{i:02d}".replace(".", ",") + " €" for i in range(20)]
    path = tmp_path / "t.csv"
    path.write_bytes(
        "\n".join(["Größe;Tag", *map(";".join, zip(prices, days, strict=True))]).encode("cp1252")
    )
    done = run_here("detect", path, *FAST)
    assert done.exit_code == 0, done.output
    for text in (
        "read as cp1252",
        "'Tag': dates, in days since 1970",
        "'Größe': 1000,00 € is read as 1000",
    ):
        assert text in words(done)


def test_a_rate_that_cannot_be_kept(tmp_path):
    np.save(tmp_path / "t.npy", RNG.normal(size=(990, 1)))
    refused = run_here("detect", tmp_path / "t.npy", "--false-alarms", "0.1", *FAST)
    assert refused.exit_code == 2
    assert "1/(n + 1) = 1/991: use --false-alarms 0.101," in words(refused)
    out = tmp_path / "o.json"
    for rate in (["--false-alarms", "0.101"], ["--false-alarms", "0.1", "--percentile", "99"]):
        done = run_here("detect", tmp_path / "t.npy", *rate, *FAST, "--output", out)
        assert done.exit_code == 0, done.output
        assert np.isfinite(json.loads(out.read_text(), parse_constant=pytest.fail)["threshold"])


def test_text_from_data_runs_nowhere(tmp_path):
    x = RNG.normal(size=(40, 2))
    x[0] = 50
    path = table_of(
        tmp_path / "t.csv",
        ["=cmd\x1b]0;gotcha\x07", "b", "k"],
        [*x.T, ["odd", *["fi\x1b[2Jne[/]"] * 39]],
    )
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    asked = ["detect", path, "--label", "k", *FAST]
    done = run_here(*asked, "--normal", "fi\x1b[2Jne[/]", "--save", model)
    assert done.exit_code == 0, done.output
    assert "fi\\x1b[2Jne[/]" in words(done)
    refused = run_here(*asked, "--normal", "fine")
    assert "there are fi\\x1b[2Jne[/]" in words(refused)
    assert "\x1b" not in done.output + refused.output
    assert run_here("score", model, path, "--out", out).exit_code == 0
    why = [row["why"] for row in judged(out) if row["why"]]
    assert why
    assert all(text.startswith(("'=cmd\\x1b", "b ")) for text in why)
    assert "\x1b" not in out.read_text()


def test_whatever_is_given_ends_in_a_line(tmp_path):
    (tmp_path / "a.csv").write_text("a\n" + "1\n2\n" * 20)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + bytes([118, 0]) + b"{'descr': '<f8', "
                                        b"'fortran_order': False, 'shape': (10000000000000, 1), }".ljust(117) + b"\n")  # fmt: skip
    (tmp_path / "not.npz").write_text("no model")
    cases = [
        (["a.csv", "--seed", "1e20"], "--seed"), (["a.csv", "--seed", 2**63], "--seed"),
        (["a.csv", "--seed", -1], "--seed"), (["a.csv", "--rows", 10**30, "--seed", "x"], "--seed"),
        (["a.csv", "--false-alarms", "nan"], "--false-alarms"), (["a.csv", "--percentile", "nan"], "--percentile"),
        (["a.csv", "--components", 10**30], "rows to fit"), (["huge.npy"], "80,000,000,000,000 bytes"),
        (["x[/b].npz"], "there is no file x[/b].npz"), ([b"\xff.csv"], "there is no file \\xff.csv"),
        (["."], "is a folder"), (["empty.csv"], "is empty"), (["a.csv/b"], "there is no file"),
        (["a.csv", "--nope"], "No such option"), (["a.csv", "more"], "extra argument"), (["n" * 300 + ".csv"], "name too long"),
    ]  # fmt: skip
    program = "import sys; from mixjax.cli import app\nfor line in sys.stdin.buffer.read().split(b'\\n'):\n"
    program += "    try: app(['detect', *map(__import__('os').fsdecode, line.split(b'\\0'))])\n"
    program += "    except SystemExit as end: print(end.code, file=sys.stderr, flush=True)\n"
    given = b"\n".join(b"\0".join(a if isinstance(a, bytes) else str(a).encode() for a in arguments)
                       for arguments, _ in cases)  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True,
                          cwd=tmp_path, env=as_users_do(), timeout=300)  # fmt: skip
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2 * len(cases), lines
    for (arguments, text), said, code in zip(cases, lines[::2], lines[1::2], strict=True):
        assert said.startswith("error: "), (arguments, said)
        assert text in said, (arguments, said)
        assert code == "2", (arguments, code)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_a_closed_standard_input():
    closed = f"{sys.executable} -m mixjax.cli detect - <&-"
    done = subprocess.run(
        ["sh", "-c", closed], capture_output=True, text=True, env=as_users_do(), timeout=300
    )
    assert done.returncode == 2
    assert done.stderr == "error: standard input is closed: use a file or an open input\n"


def test_a_header_is_known_by_the_columns_of_the_model(tmp_path):
    """Names that look like a row of numbers."""
    x = RNG.normal(size=(40, 2)).round(3)
    path = table_of(tmp_path / "t.csv", ["7", "3"], x.T)
    model, out = tmp_path / "m.npz", tmp_path / "s.csv"
    assert run_here("detect", path, "--header", *FAST, "--save", model).exit_code == 0
    assert mixjax.load(model).feature_names == ("7", "3")
    turned = table_of(tmp_path / "u.csv", ["3", "7"], x.T[::-1])
    assert run_here("score", model, turned, "--out", out, "--no-why").exit_code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 40
    np.testing.assert_allclose(
        [float(row["score"]) for row in rows], mixjax.load(model).scores(x), rtol=1e-4
    )
