"""Where the notebooks are opened from and what they install: one place for all of them.

python notebooks/address.py        # after a new version or address: write it into them
"""

import json
import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
_code = (HERE.parent / PROJECT["tool"]["hatch"]["version"]["path"]).read_text("utf-8")
VERSION = re.search(r'^__version__ = "(.+)"$', _code, re.MULTILINE)[1]
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
INSTALL = f"""\
try:
    import mixjax
except ModuleNotFoundError as error:
    if error.name != "mixjax":
        raise  # mixjax is here, and something that it needs is not
    %pip install -q "mixjax[all,notebooks]=={VERSION}"
    import importlib.util

    if importlib.util.find_spec("mixjax") is None:
        raise RuntimeError(
            "mixjax {VERSION} could not be installed; pip says why, above. In a copy of "
            "{REPOSITORY}: pip install -e '.[all,notebooks]'"
        ) from None"""


def badge_of(name: str) -> str:
    """The link that opens a notebook in Colab."""
    owner = REPOSITORY.removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{owner}/blob/main/notebooks/{name}"
    return f"[![Open in Colab]({BADGE})]({address})"


def is_install(source: str) -> bool:
    """Whether a cell is the one that installs mixjax."""
    return "%pip install" in source


def problems_of(path: Path) -> list[str]:
    """What is not as it is here."""
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]
    problems = []
    if [source for source in cells if is_install(source)] != [INSTALL]:
        problems.append("its install cell is not that of notebooks/address.py: run that")
    if badge_of(path.name) not in cells[0]:
        problems.append("its badge is not that of notebooks/address.py: run that")
    return problems


def main() -> None:
    """Write address and version into all notebooks."""
    for path in sorted(HERE.glob("*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        for number, cell in enumerate(notebook["cells"]):
            source = "".join(cell["source"])
            if is_install(source):
                source = INSTALL
            elif number == 0:
                pattern = r"\[!\[Open in Colab\]\(.*?\)\]\(.*?\)"
                source = re.sub(pattern, lambda _, name=path.name: badge_of(name), source)
            cell["source"] = source.splitlines(keepends=True)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
