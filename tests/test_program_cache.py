"""Compiled programs on disk, read by real processes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import mixjax
from mixjax.files import program_cache

FIT = """
import sys, warnings
warnings.simplefilter("always")
import jax, numpy as np, mixjax
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None
)
used = mixjax.enable_cache(sys.argv[1] if len(sys.argv) > 1 else None)
begun = len(hits)
x = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
fit = mixjax.fit(jax.random.key(0), x, 2, max_iter=5)
print(used, len(hits) - begun, float(fit.energy))
"""


def run(*arguments, **environment):
    """The folder, the number of programs that were read, and the energy of a fit; and warnings."""
    own = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", FIT, *map(str, arguments)],
        env={**own, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder, hits, energy = done.stdout.split()
    return folder, int(hits), float(energy), done.stderr


def test_the_second_process_reads_what_the_first_compiled(tmp_path):
    folder, hits, energy, _ = run(XDG_CACHE_HOME=str(tmp_path))
    assert Path(folder).parent == tmp_path / "mixjax"
    assert hits == 0
    for place in (Path(folder), Path(folder).parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    _, hits, again, warned = run(XDG_CACHE_HOME=str(tmp_path))
    assert hits > 0
    assert (again, warned) == (energy, "")
    for file in Path(folder).iterdir():
        file.write_bytes(file.read_bytes()[:100])
    _, _, again, warned = run(XDG_CACHE_HOME=str(tmp_path))
    assert again == energy
    assert "Error" in warned  # JAX names the damaged files, and compiles


def test_a_folder_that_the_user_set_stays(tmp_path):
    folder, _, _, _ = run(JAX_COMPILATION_CACHE_DIR=str(tmp_path))
    assert folder == str(tmp_path)


@pytest.fixture
def as_before():
    """The tests have a cache of their own."""
    before = jax.config.jax_compilation_cache_dir
    yield
    mixjax.disable_cache()
    assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.usefixtures("as_before")
def test_a_folder_that_cannot_be_used_is_a_warning(tmp_path):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.warns(UserWarning, match="others can write to .*open; chmod 700") as caught:
        assert mixjax.enable_cache(open_to_all) is None
    assert "\n" not in str(caught[0].message)
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.warns(UserWarning, match="cannot be written"):
        assert mixjax.enable_cache(file) is None


@pytest.mark.usefixtures("as_before")
def test_the_oldest_programs_go_when_there_are_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(program_cache, "MOST_BYTES", 250)
    folder = mixjax.enable_cache(tmp_path)
    for i in range(4):
        file = folder / f"program{i}-cache"
        file.write_bytes(bytes(100))
        os.utime(file, (i, i))
    mixjax.enable_cache(tmp_path)
    assert [(folder / f"program{i}-cache").exists() for i in range(4)] == [False] * 2 + [True] * 2


@pytest.mark.usefixtures("as_before")
def test_programs_that_cannot_be_read_back_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(program_cache, "_reads_back", lambda: False)
    monkeypatch.setattr(program_cache, "_least_seconds", lambda: 0.0)
    with pytest.warns(UserWarning, match="compiled again.*xla_cpu_max_isa"):
        mixjax.enable_cache(tmp_path)
