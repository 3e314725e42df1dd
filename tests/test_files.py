"""Files are whole or not there, replace nothing that is read, and leave nothing behind."""

import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from mixjax.files import atomically, check_outputs, outputs, read_arrays, write_arrays, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def table(tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n")
    return tmp_path / "x.csv"


@pytest.mark.parametrize("how", ["same", "relative", "dots", "symbolic", "hard", "case"])
def test_no_output_is_an_input(table, how, monkeypatch):
    folder = table.parent
    monkeypatch.chdir(folder)
    other = {
        "same": table, "relative": Path("x.csv"), "dots": folder / ".." / folder.name / "x.csv",
    }.get(how, folder / "X.csv")  # fmt: skip
    if how == "symbolic":
        other.symlink_to("x.csv")
    if how in ("hard", "case"):  # a file system that knows no case shows one file by both names
        os.link(table, other)
    with pytest.raises(ValueError, match=r"--out .*\.csv is also the input \(.*x\.csv\)"):
        check_outputs({"--save": folder / "d.npz", "--out": other}, [None, table])
    with pytest.raises(ValueError, match="also the input"):
        check_outputs({"--out": table}, [other])
    with table.open() as opened, pytest.raises(ValueError, match=r"input \(standard input\)"):
        check_outputs({"--out": other}, [opened.fileno()])
    assert table.read_text() == "1,2\n"


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "link").symlink_to("new.npz")
    for other in ("new.npz", f"../{tmp_path.name}/new.npz", "link"):
        with pytest.raises(ValueError, match=r"--report .* is also --save .*new\.npz"):
            check_outputs({"--save": tmp_path / "new.npz", "--report": tmp_path / other})
    (tmp_path / "one").write_text("")
    os.link(tmp_path / "one", tmp_path / "two")
    with pytest.raises(ValueError, match="is also"):
        check_outputs({"--save": tmp_path / "one", "--report": tmp_path / "two"})
    check_outputs({"--save": "/dev/null", "--report": "/dev/null", "--output": None})
    assert names(tmp_path) == ["link", "one", "two"]


def test_what_cannot_be_written_is_said_before(tmp_path, monkeypatch):
    with pytest.raises(IsADirectoryError, match=r"--save .* is a folder"):
        check_outputs({"--save": tmp_path})
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        check_outputs({"--save": tmp_path / "nowhere" / "d.npz"})
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match="no folder"):
        check_outputs({"--save": tmp_path / "file" / "d.npz"})
    (tmp_path / "round").symlink_to("round")
    for name in ("round", 300 * "a"):
        with pytest.raises(OSError, match=name):
            check_outputs({"--save": tmp_path / name})
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)
        server.bind("socket")
        with pytest.raises(PermissionError, match="cannot be written"):
            check_outputs({"--save": "socket"})


def test_folders_and_files_of_others():
    """Asked by a user who may not write there: root may do all."""
    folder = Path(tempfile.mkdtemp())  # not pytest's, which no other user can look into
    (folder / "d.npz").write_text("")
    (folder / "d.npz").chmod(0o444)
    folder.chmod(0o555)
    script = f"""
import os, runpy, sys
check = runpy.run_path({outputs.__file__!r})["check_outputs"]
os.chdir({str(folder)!r})
if os.geteuid() == 0:
    os.setuid(65534)
for name, mode in (("d.npz", "write-protected"), ("new.npz", "no file can be created in the folder")):
    try:
        check({{"--save": name}})
    except PermissionError as error:
        assert mode in str(error), error
    else:
        raise SystemExit(f"{{name}} was not refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    folder.chmod(0o755)
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_modes_and_links_are_kept(tmp_path, mode):
    path, link = tmp_path / "d.npz", tmp_path / "link"
    path.write_text("old")
    path.chmod(mode)
    link.symlink_to("d.npz")
    owned = os.geteuid() == 0
    if owned:
        os.chown(path, 1234, 2345)
    write_text(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == mode
    if owned:
        assert (found.st_uid, found.st_gid) == (1234, 2345)
    (tmp_path / "dangling").symlink_to("made")
    write_text(tmp_path / "dangling", "new")
    assert (tmp_path / "made").read_text() == "new"
    assert names(tmp_path) == ["d.npz", "dangling", "link", "made"]


def test_a_new_file_is_as_readable_as_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_devices_and_pipes_are_written_to(tmp_path, capfd):
    arrays = {"a": np.arange(3.0)}
    write_arrays("/dev/null", {}, arrays)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OSError, match="No space left"):
        write_arrays("/dev/full", {}, arrays)
    write_text("/dev/stdout", "to standard output\n")
    write_text("/dev/fd/1", "and again\n")
    assert capfd.readouterr().out == "to standard output\nand again\n"

    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()
    write_arrays(pipe, {"format": "f", "version": 1}, arrays)
    thread.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    (tmp_path / "read").write_bytes(read[0])
    np.testing.assert_array_equal(read_arrays(tmp_path / "read", "f", 1)[1]["a"], arrays["a"])
    assert names(tmp_path) == ["pipe", "read"]


KILLED = """
import os, signal, sys
from mixjax.files import atomically
with atomically(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    path = tmp_path / "d.npz"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True)
    assert done.returncode == -9, done.stderr
    assert path.read_text() == "old"
    assert names(tmp_path) == [".d.npz.0.part", "d.npz"]
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["d.npz"]


def test_writers_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "d.npz"
    with atomically(path) as outer:
        outer.write(b"out")
        with atomically(path) as inner:
            inner.write(b"inner")
        assert path.read_text() == "inner"
        outer.write(b"er")
    assert path.read_text() == "outer"

    def write(number):
        for _ in range(20):
            write_text(path, 10_000 * f"{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = path.read_text()
    assert text in [10_000 * f"{number}" for number in range(8)]
    assert names(tmp_path) == ["d.npz"]


@pytest.mark.parametrize(
    "name", ["d.npz", 250 * "d", "x[a].npz", "*", os.fsdecode(b"\xff\x1b.npz")]
)
def test_a_full_disk_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    write_text(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_arrays(path, {}, {"a": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert names(tmp_path) == [name]
    write_text(path, "new")
    assert path.read_text() == "new"


def test_names_of_any_bytes_can_be_printed():
    name = outputs.printable(os.fsdecode(b"a\xff\x1b[31m\xc3\xa9\n"))
    assert name == r"a\xff\x1b[31mé\n"
