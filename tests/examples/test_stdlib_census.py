"""The census counts right, and copes with what lies about in real trees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

CENSUS = Path(__file__).parents[2] / "examples" / "stdlib_census.py"

DOCUMENTED = '''\
"""A module."""
import os.path, sys
from collections.abc import Mapping


class Shelf:
    """A class."""

    def put(self):
        """A method."""

    async def get(self):
        import os

        if sys:

            def inner(): ...
'''

RUN = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"

PLAIN = "import sys\nfrom . import documented\ntry:\n    pass\nexcept OSError:\n    def late(): '\\d'\n"


DURABLE = """
import json, os, sys, time, trio
from dataclasses import asdict
from functools import partial
from cano_trio.journals import SqliteJournal
import stdlib_census as census

_, directory, path = sys.argv
count = census.study

def slowly(path):
    os.write(2, f"{path.name}\\n".encode(errors="replace"))
    time.sleep(0.01)
    return count(path)

census.study = slowly
census.threads.total_tokens = 1
journal = SqliteJournal(path)
asked = census.Census(directory)
result = trio.run(partial(census.workflow.run, asked, run_id="c", on_duplicate="attach", journal=journal))
print(json.dumps(asdict(result.data.report)))
"""


def census(*arguments: object) -> subprocess.CompletedProcess[str]:
    return python(CENSUS, *arguments)


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "utf8", "-W", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False)


def report(*arguments: object) -> dict[str, Any]:
    """What `--json` prints, which must be all there is."""
    done = census("--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two good files, one of them in a folder, and some that are none of the census' business."""
    (tmp_path / "documented.py").write_text(DOCUMENTED)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "plain.py").write_text(PLAIN)
    (tmp_path / "notes.txt").write_text("import this")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed.py").write_text("import installed")
    return tmp_path


def test_it_counts_exactly(tree: Path) -> None:
    """Every figure of a small tree is known; a module counts once a file, and a relative import not at all."""
    found = report(tree)
    # Two modules, one class, four functions, one of them in a function and one in an except clause; '\d' is no docstring's
    # concern, but a warning that must not become an error.
    assert {name: found[name] for name in ("files", "lines", "functions", "classes", "failed", "failures")} == {
        "files": 2, "lines": 23, "functions": 4, "classes": 1, "failed": 0, "failures": [],
    }  # fmt: skip
    assert found["docstring_coverage"] == round(4 / 7, 4)
    assert found["imports"] == [["sys", 2], ["collections", 1], ["os", 1]]
    assert {name for name, _ in found["slowest"]} == {"deep/plain.py", "documented.py"}


def test_bad_files_are_listed_and_stop_nobody(tree: Path) -> None:
    """Broken syntax, bytes that are no text, a dead link, a name that is no text: counted, listed, left out of the sums."""
    (tree / "bad.py").write_text("def f(:\n")
    (tree / "bytes.py").write_bytes(b'x = "\xff"\n')
    (tree / "gone.py").symlink_to("nowhere")
    Path(bytes(tree / "name-").decode() + "\udcff.py").write_text("1 +")
    found = report(tree)
    assert (found["files"], found["failed"], found["functions"]) == (6, 4, 4)
    assert [(name, why.partition(":")[0]) for name, why in found["failures"]] == [
        ("bad.py", "SyntaxError"),
        ("bytes.py", "SyntaxError"),
        ("gone.py", "FileNotFoundError"),
        ("name-?.py", "SyntaxError"),
    ]


def test_only_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    """A file that can't be read is tried three times; one that can't be parsed, once."""
    (tmp_path / "bad.py").write_text("def f(:\n")
    (tmp_path / "gone.py").symlink_to("nowhere")
    told = (
        "import os; from pathlib import Path; read = Path.read_bytes;"
        "Path.read_bytes = lambda path: os.write(1, f'reading {path.name};'.encode()) and read(path);"
    )
    said = python("-c", told + RUN, CENSUS, tmp_path).stdout  # written at once: print is not safe from two threads
    assert (said.count("reading bad.py"), said.count("reading gone.py")) == (1, 3)


def test_a_sample_is_of_that_size_and_the_same_each_time(tmp_path: Path) -> None:
    """`--sample N` takes N files, always the same ones, whatever the number of threads."""
    for number in range(20):
        (tmp_path / f"m{number}.py").write_text(f"import module{number}\n")
    first, second = report(tmp_path, "--sample", 7), report(tmp_path, "--sample", 7, "--jobs", 1)
    assert first["files"] == 7
    assert first["imports"] == second["imports"]


def test_a_pipe_gets_plain_aligned_lines(tree: Path) -> None:
    """Without a terminal there is no bar and no table, and each figure stands in the same column."""
    done = census(tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "lines          23\nfunctions      4\nclasses        1\ndocstrings     57.1%\n" in done.stdout
    assert "most imported  sys by 2\n               collections by 1\n" in done.stdout


def test_a_killed_census_goes_on_on_its_journal(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Killed twice on a journal, it counts no file again that was written down, and its report is that of an unkilled one."""
    for number in range(60):
        (tree / f"m{number:02}.py").write_text(f"import module{number % 7}\n")
    (tree / "bad.py").write_text("def f(:\n")
    Path(bytes(tree / "name-").decode() + "\udcff.py").write_text("import sys")
    expected = report(tree)
    path = tmp_path_factory.mktemp("journal") / "census.db"
    command = [sys.executable, "-X", "utf8", "-c", DURABLE, str(tree), str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(CENSUS.parent)])}
    counted: list[str] = []
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8", env=environment) as process:
            assert process.stderr is not None
            counted += [process.stderr.readline() for _ in range(20)]
            process.kill()
            counted += process.stderr.readlines()
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    counted += done.stderr.splitlines()
    assert len(counted) < 64 + 2 * 20  # each kill costs what was done since the last chunk, of 50 ms
    del expected["slowest"]  # times are taken anew
    assert json.loads(done.stdout) | expected == json.loads(done.stdout)


def test_an_empty_directory_has_nothing_to_document(tmp_path: Path) -> None:
    """No file is no error, and no division by zero; nor is a sample of more than there is."""
    found = report(tmp_path, "--sample", 3)
    assert (found["files"], found["docstring_coverage"]) == (0, None)
    assert "docstrings     nothing to document\n" in census(tmp_path).stdout


@pytest.mark.parametrize("there", ["nothing", "a file"])
def test_a_missing_directory_is_one_clear_line(tmp_path: Path, there: str) -> None:
    """What is no directory ends it with code 2 and a line that names it; no traceback, and nothing on stdout."""
    path = tmp_path / "shelf"
    if there == "a file":
        path.touch()
    done = census(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"stdlib_census.py: {path} is not a directory\n"


def test_it_does_without_rich(tree: Path) -> None:
    """Where rich is not installed the lines are the same."""
    done = python("-c", "import sys; sys.modules['rich'] = sys.modules['rich.console'] = None;" + RUN, CENSUS, tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert "functions      4\n" in done.stdout


def test_a_terminal_gets_a_bar_and_a_table(tree: Path) -> None:
    """On a terminal a bar is drawn up to the end and taken away, and the figures stand in a frame."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-W", "error", str(CENSUS), str(tree)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert process.returncode == 0
    assert "100%" in text
    assert re.search(r"│ functions +│ 4 +│", text)
    assert "Traceback" not in text
