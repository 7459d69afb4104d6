"""The pytest plugin in a fresh project outside of this one, where the built wheel is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WORKFLOW = """\
from dataclasses import dataclass
from enum import Enum
from typing import Literal
import trio
from cano_trio import Workflow

Step = Enum("Step", "BREW POUR DONE")

@dataclass
class Pot:
    cups: int

workflow = Workflow(Step, initial=Step.BREW, exits=[Step.DONE], name="tea", data=Pot)

@workflow.task(Step.BREW)
async def brew() -> Literal[Step.POUR]:
    await trio.sleep(3600)
    return Step.POUR

@workflow.task(Step.POUR)
async def pour(pot: Pot) -> Literal[Step.DONE]:
    pot.cups += 1
    return Step.DONE
"""

CONFTEST = """\
import sys

assert "pytest_cano_trio" in sys.modules, "the plugin is not loaded"
brought_in = sorted(name for name in sys.modules if name.split(".")[0] in {"cano_trio", "msgspec", "apsw"})
assert brought_in == [], f"the plugin brings in {brought_in}"
"""

TESTS = """\
import cano_trio
import trio.testing
from cano_trio.testing import FakeTask
from tea import Pot, Step, workflow

def test_what_is_installed_is_used():
    assert "site-packages" in cano_trio.__file__

async def test_in_virtual_time(virtual_runtime, record_events, memory_journal):
    begun = trio.current_time()
    async with virtual_runtime(workflow) as runtime:
        run = await runtime.start(workflow, Pot(2), run_id="tea-1")
        assert (await run.wait()).data == Pot(3)
    assert trio.current_time() - begun == 3600
    record_events.assert_path(Step.BREW, Step.POUR, Step.DONE)
    async with memory_journal:
        assert [record.run_id for record in await memory_journal.runs()] == ["tea-1"]

async def test_with_the_clock_of_the_test(virtual_runtime, mock_clock):
    async with virtual_runtime(workflow) as runtime:
        run = await runtime.start(workflow, Pot(2))
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(3601)
        await run.wait()

async def test_in_real_time(cano_runtime, record_events):
    quick = workflow.with_tasks({Step.BREW: FakeTask(Step.POUR)})
    async with cano_runtime(quick) as runtime:
        await (await runtime.start(quick, Pot(0))).wait()
    record_events.assert_completed_with(Step.DONE)

async def test_that_fails(virtual_runtime, record_events):
    async with virtual_runtime(workflow) as runtime:
        await (await runtime.start(workflow, Pot(0))).wait()
    record_events.assert_path(Step.BREW, Step.DONE)
"""

WITHOUT_TRIO = """\
def test_that_has_nothing_to_do_with_it(tmp_path, record_events, memory_journal):
    assert record_events.events == []

def test_that_needs_pytest_trio(virtual_runtime):
    pass
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter for which our wheel is installed, and the packages of this one are there."""
    pytest.importorskip("hatchling", reason="it builds the wheel: pip install hatchling")
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    call(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT))
    call(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    (wheel,) = folder.glob("*.whl")
    made = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    call(*pip, "--python", str(made), "install", "-q", "--no-deps", "--no-index", str(wheel))
    site = call(str(made), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    (Path(site) / "present.pth").write_text(sysconfig.get_path("purelib"))
    return made


def call(*command: str, folder: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Call a program as one who has never seen this checkout."""
    ours = {"PYTEST_ADDOPTS", "PYTHONPATH", "COVERAGE_PROCESS_START"} if folder else set[str]()
    env = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def project(folder: Path, tests: str, *, trio_mode: bool) -> Path:
    """A fresh project."""
    (folder / "tea.py").write_text(WORKFLOW)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_tea.py").write_text(tests)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = .\n{'trio_mode = true' if trio_mode else ''}\n")
    return folder


def test_the_fixtures_work_in_a_fresh_project(python: Path, tmp_path: Path) -> None:
    """Nothing but the wheel is needed; tests that pass pass, one that fails shows the path; and loading it costs no import."""
    folder = project(tmp_path, TESTS, trio_mode=True)
    done = call(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", folder=folder, code=1)
    assert "1 failed, 4 passed" in done.stdout
    assert "FAILED test_tea.py::test_that_fails" in done.stdout
    assert "expected BREW > DONE" in done.stdout
    assert "was      BREW > POUR > DONE" in done.stdout


def test_a_project_without_pytest_trio_is_left_alone(python: Path, tmp_path: Path) -> None:
    """Its tests run; only who asks for virtual time is told what is missing."""
    folder = project(tmp_path, WITHOUT_TRIO, trio_mode=False)
    arguments = ("-q", "-p", "no:cacheprovider", "-p", "no:trio")
    done = call(str(python), "-m", "pytest", *arguments, folder=folder, code=1)
    assert "1 passed, 1 error" in done.stdout
    assert "the fixture virtual_runtime needs pytest-trio" in done.stdout
    assert "pip install pytest-trio" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_fixtures_are_listed_with_what_they_are(python: Path, tmp_path: Path) -> None:
    """`pytest --fixtures` shows each with its documentation."""
    folder = project(tmp_path, "", trio_mode=True)
    told = call(str(python), "-m", "pytest", "--fixtures", folder=folder).stdout
    for name in ("cano_runtime", "memory_journal", "record_events", "virtual_runtime"):
        assert f"\n{name} -- " in told
    assert "no docstring available" not in told.split("cano_runtime -- ")[1].split("virtual_runtime -- ")[1][:200]
