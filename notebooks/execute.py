"""Run the notebooks top to bottom, as a reader would, and say how long each took.

python notebooks/execute.py [NAME ...] [--html FOLDER]
"""

import argparse
import sys
import time
from pathlib import Path

import address
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

from mixjax.files import write_text

HERE = Path(__file__).parent
LIMIT = 120  # seconds: what a reader waits for


def problems_of(notebook: nbformat.NotebookNode) -> list[str]:
    """What makes a diff of it hard to read: outputs and counts that are stored."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    stored = [cell for cell in cells if cell.outputs or cell.execution_count is not None]
    return [f"{len(stored)} cells hold outputs: store it without"] if stored else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="the first letters of names; none: all")
    parser.add_argument("--html", type=Path, help="write what came out to this folder")
    options = parser.parse_args()
    failed = 0
    for path in sorted(HERE.glob("*.ipynb")):
        if options.names and not path.name.startswith(tuple(options.names)):
            continue
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        problems = problems_of(notebook) + address.problems_of(path)
        where = {"metadata": {"path": str(HERE)}}
        client = NotebookClient(
            notebook, timeout=10 * LIMIT, kernel_name="python3", resources=where
        )
        begun = time.perf_counter()
        try:
            client.execute()
        except CellExecutionError as error:
            problems.append(str(error))
        seconds = time.perf_counter() - begun
        slow = f" - more than {LIMIT} s" if seconds > LIMIT else ""
        print(f"{path.name}: {seconds:.0f} s{slow}", *problems, sep="\n  ", flush=True)
        failed += bool(problems)
        if options.html:
            options.html.mkdir(parents=True, exist_ok=True)
            page, _ = HTMLExporter().from_notebook_node(notebook)
            write_text(options.html / f"{path.stem}.html", page)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
