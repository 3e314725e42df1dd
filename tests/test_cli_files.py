"""What the command writes: nothing that is read is lost, and nothing is lost with a reader."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from test_cli import FAST, as_users_do, run_here, words

import mixjax


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, and a detector of it."""
    folder = tmp_path_factory.mktemp("command")
    rows = np.random.default_rng(0).normal(size=(300, 2))
    (folder / "x.csv").write_text("a,b\n" + "\n".join(f"{a},{b}" for a, b in rows))
    done = run_here("detect", folder / "x.csv", *FAST, "--save", folder / "d.npz")
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("detect x.csv --save x.csv", "--save x.csv is also the input (x.csv)"),
        ("detect x.csv --report ./x.csv", "--report x.csv is also the input"),
        ("detect x.csv --output link.csv", "--output link.csv is also the input"),
        ("detect x.csv --save n.npz --output n.npz", "--save n.npz is also --output n.npz"),
        ("detect x.csv --save .", "--save . cannot be written: it is a folder"),
        ("detect x.csv --report none/p.html", "there is no folder"),
        ("score d.npz x.csv --out x.csv", "--out x.csv is also the input (x.csv)"),
        ("score d.npz x.csv --out d.npz", "--out d.npz is also the input (d.npz)"),
        ("score d.npz link.csv --out x.csv", "--out x.csv is also the input (link.csv)"),
        ("score d.npz x.csv --out /dev/full", "No space left"),
    ],
)
def test_outputs_are_refused_before_any_work(folder, monkeypatch, arguments, text):
    monkeypatch.chdir(folder)
    if not (folder / "link.csv").exists():
        (folder / "link.csv").symlink_to("x.csv")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run_here(*arguments.split(), *(FAST if arguments.startswith("detect") else ()))
    assert done.exit_code == 2, done.output
    assert text in words(done)
    assert len(done.output.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def process(command, folder):
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; mixjax() {{ {sys.executable} -m mixjax.cli \"$@\"; }}; {command}"],
        cwd=folder, env=as_users_do(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def test_a_table_from_standard_input_is_not_written_over(folder):
    before = (folder / "x.csv").read_bytes()
    done = process("mixjax score d.npz - --out x.csv < x.csv", folder)
    assert done.returncode == 2
    assert "--out x.csv is also the input (standard input)" in done.stderr
    assert (folder / "x.csv").read_bytes() == before


def test_a_reader_that_leaves_takes_nothing_along(folder):
    fast = " ".join(map(str, FAST))
    done = process(f"mixjax detect x.csv {fast} --save e.npz --output e.json | true", folder)
    assert done.returncode == 0, done.stderr
    assert "Broken" not in done.stderr
    assert "Traceback" not in done.stderr
    detector = mixjax.load(folder / "e.npz")
    assert float(detector.threshold) == pytest.approx(
        json.loads((folder / "e.json").read_text())["threshold"]
    )


def test_scores_to_standard_output_are_the_scores_alone(folder):
    done = process("mixjax score d.npz x.csv --out /dev/stdout", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("row,score,p_value,flagged,why\n")
    assert len(done.stdout.splitlines()) == 301
    assert "of 300 rows above the threshold" in done.stderr
    assert process("mixjax score d.npz x.csv --out /dev/stdout | true", folder).stderr.count(
        "Broken"
    ) == 0  # fmt: skip


def test_the_figures_of_a_private_file_stay_private(folder):
    path = folder / "private.csv"
    path.touch(0o600)
    done = run_here("score", folder / "d.npz", folder / "x.csv", "--out", path)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    name = folder / os.fsdecode(b"odd\xff\x1b.csv")
    done = run_here("score", folder / "d.npz", folder / "x.csv", "--out", name)
    assert done.exit_code == 0, done.output
    assert r"odd\xff\x1b.csv" in done.output
    assert name.read_bytes() == path.read_bytes()


def test_names_of_any_bytes(folder, monkeypatch):
    monkeypatch.chdir(folder)
    odd = os.fsdecode(b"x\xff[red].csv")
    (folder / odd).write_bytes((folder / "x.csv").read_bytes())
    outputs = ["--save", f"{odd}.npz", "--output", f"{odd}.json", "--report", f"{odd}.html"]
    done = run_here("detect", odd, *FAST, *outputs)
    assert done.exit_code == 0, done.output
    assert r"x\xff[red].csv.npz" in done.output
    assert r"<title>x\xff[red].csv</title>" in (folder / f"{odd}.html").read_text("utf-8")
    assert json.loads((folder / f"{odd}.json").read_text("utf-8"))["data"] == odd
    assert mixjax.load(folder / f"{odd}.npz").feature_names == ("a", "b")
    (folder / odd).write_bytes(b"")
    done = run_here("score", f"{odd}.npz", odd, "--out", "s.csv")
    assert done.exit_code == 2
    assert r"x\xff[red].csv" in words(done)
    done = run_here("score", odd, "x.csv", "--out", "s.csv")
    assert done.exit_code == 2
    assert r"x\xff[red].csv is not a whole mixjax file" in words(done)
