"""What the README and the pages of docs/ show is run as it stands, Python and shell, on small data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
pytestmark = pytest.mark.skipif(
    not PAGES["README"].exists(), reason="an installed package has no README"
)

# The names that the examples take for granted.
GIVEN = """
import matplotlib
matplotlib.use("Agg")
import jax, jax.numpy as jnp, numpy as np
import mixjax
rng = np.random.default_rng(0)
def rows(n):
    return np.where(np.arange(n)[:, None] % 2, 4.0, 0.0).astype("f") + rng.normal(size=(n, 3)).astype("f")
x, x_new, x_normal, table = rows(320), rows(200), rows(1100), rows(120)
key, names, n_features = jax.random.key(0), ["a", "b", "c"], 3
weights, variances, known = np.ones(320), np.full(3, 0.1), np.full(320, -1)
keys, xs = jax.random.split(key, 4), np.stack([rows(60) for _ in range(4)])
tables = [rows(50 + i) for i in range(20)]
sensor_of_row = np.arange(120) % 20
import os
os.mkdir("folder_of_npy")
for i in range(3):
    np.save(f"folder_of_npy/{i}.npy", rows(100))
loader = [(rows(100), None)] * 3
sensor = [rows(30)] * 3
mixture = mixjax.fit(key, x, 2).mixture
values, scores_of_normal_rows = x_new[:, :2], mixjax.energy(mixture, x_normal)
def network(params, batch):
    z = batch @ params
    return z, z @ params.T, jax.nn.softmax(z)
"""
# What holds after all examples of a page.
PROVED = {
    "README": """
assert jnp.isfinite(gradient).all() and jnp.abs(gradient).max() > 0
assert detector.explain(x_new).shape == (200, 3)
""",
    "tour": """
assert flagged.shape == (200,)
assert abs((labels == 0).mean() - 0.5) < 0.5
""",
}


def blocks(page, language):
    text = PAGES[page].read_text() if PAGES[page].exists() else ""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run(command, folder, **more):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **more,
    }
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_examples_in_python(page, tmp_path):
    # The README makes its data itself: people paste it.
    given = "" if page == "README" else GIVEN
    program = "\n".join([given, *blocks(page, "python"), PROVED[page]])
    (tmp_path / "page.py").write_text(program)
    # The example of many devices uses eight.
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    run([sys.executable, "page.py"], tmp_path, XLA_FLAGS=flags)


def test_the_examples_of_the_command(tmp_path):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(240, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(np.arange(240) < 220, "ok", "broken")
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.iloc[:, :3].to_csv(tmp_path / "new.csv", index=False)
    frame.iloc[:, :3].to_parquet(tmp_path / "new.parquet")
    np.savez(
        tmp_path / "kdd_cup.npz",
        kdd=np.column_stack([rng.normal(size=(240, 2)), np.arange(240) >= 220]),
    )
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    commands = [line for line in lines if "mixjax" in line and "venv" not in line]
    # Downloads; and the bundled table is what the first command of the README runs in CI.
    left_out = {"mixjax detect", "mixjax detect kddcup99"}
    commands = [c for c in commands if c.partition("#")[0].strip() not in left_out]
    assert len(commands) >= 4
    for command in commands:
        run(["bash", "-euo", "pipefail", "-c", command], tmp_path)
    assert (tmp_path / "scores.csv").read_text().count("\n") == 241
