"""What all notebooks share: where they are opened from, and the cell that installs mixjax."""

import importlib.util
import sys
from pathlib import Path

import pytest

import mixjax

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="an installed package has no notebooks")


@pytest.fixture(scope="module")
def address():
    spec = importlib.util.spec_from_file_location("address", FOLDER / "address.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_have_one_address_and_one_pinned_install_cell(address, path):
    assert address.problems_of(path) == []
    text = path.read_text("utf-8")
    assert "git+" not in text
    assert f"mixjax[all,notebooks]=={mixjax.__version__}" in text


def run(address, monkeypatch, missing, found_after):
    """What the cell installs, where the import of one module fails."""
    installed = []
    magic = '%pip install -q "'
    line = next(line for line in address.INSTALL.splitlines() if magic in line)
    code = address.INSTALL.replace(line, line.replace(magic, 'install("').rstrip() + ")")
    if missing:

        def imports(name, *rest, **more):
            if name == "mixjax":
                raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
            return real(name, *rest, **more)

        real = __import__
        monkeypatch.setattr("builtins.__import__", imports)
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: found_after)
    try:
        exec(code, {"install": installed.append})
    finally:
        monkeypatch.undo()
    return installed


def test_it_installs_where_mixjax_is_missing_and_hides_nothing_else(address, monkeypatch):
    pinned = f"mixjax[all,notebooks]=={mixjax.__version__}"
    assert run(address, monkeypatch, None, None) == []
    assert run(address, monkeypatch, "mixjax", sys) == [pinned]
    with pytest.raises(ModuleNotFoundError, match="jaxlib"):
        run(address, monkeypatch, "jaxlib", sys)
    with pytest.raises(RuntimeError, match=f"mixjax {mixjax.__version__} could not be installed"):
        run(address, monkeypatch, "mixjax", None)
