"""Finding the workflow: by file, by module, by name, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cano_trio import Workflow
from cano_trio.cli.target import find_workflow

if TYPE_CHECKING:
    from tests.cli.conftest import Command

RELATIVE = "can't load flow.py: ImportError: attempted relative import with no known parent package"


@pytest.mark.parametrize(
    "target, name",
    [
        ("ingest.py", "ingest"),
        ("ingest.py:workflow", "ingest"),
        ("./ingest.py", "ingest"),
        ("ingest", "ingest"),
        ("ingest:workflow", "ingest"),
        ("small.py:failing", "failing"),
        ("small:ok", "ok"),
    ],
)
def test_a_target_is_a_file_or_a_module_and_maybe_a_name(folder: Path, target: str, name: str) -> None:
    """The name may be left out where there is only one workflow."""
    assert find_workflow(target).name == name


def test_an_absolute_path_and_a_nested_name(folder: Path) -> None:
    """A file may lie anywhere, and a workflow may be an attribute of something at module level."""
    elsewhere = folder / "else"
    elsewhere.mkdir()
    (elsewhere / "beside.py").write_text("import small\nclass Flows:\n    main = small.ok\n")
    (folder / "small.py").rename(elsewhere / "small.py")
    assert find_workflow(f"{elsewhere}/beside.py:Flows.main").name == "ok"


def test_a_module_in_a_package_is_found_from_the_working_directory(folder: Path) -> None:
    """`module:` is looked up from where the command is called."""
    (folder / "flows").mkdir()
    (folder / "flows" / "one.py").write_text("from small import ok\n")
    assert find_workflow("flows.one").name == "ok"
    assert sys.path[0] == str(folder)


def test_a_file_does_not_replace_a_module_of_its_name(folder: Path) -> None:
    """A file called trio.py is loaded, and trio stays trio."""
    (folder / "small.py").rename(folder / "trio.py")
    trio = sys.modules["trio"]
    with pytest.raises(Exception, match="several workflows"):
        find_workflow("trio.py")
    assert sys.modules["trio"] is trio


def test_a_file_that_runs_itself_does_not_run_when_loaded(folder: Path) -> None:
    """The file is a module, not `__main__`; dataclasses find it in `sys.modules`."""
    with (folder / "ingest.py").open("a") as file:
        file.write("\nif __name__ == '__main__':\n    raise SystemExit('ran')\n")
    workflow = find_workflow("ingest.py")
    assert workflow.data is not None
    assert vars(sys.modules[workflow.data.__module__])["workflow"] is workflow


def test_the_same_workflow_under_two_names_is_one(folder: Path) -> None:
    """An alias makes no choice necessary."""
    (folder / "alias.py").write_text("from small import ok\nagain = ok\n")
    assert isinstance(find_workflow("alias.py"), Workflow)


@pytest.mark.parametrize(
    "target, message",
    [
        ("ingets.py", "there is no file ingets.py. Did you mean ingest.py or imports.py?"),
        ("nowhere/x.py", "there is no file nowhere/x.py"),
        (
            "./",
            ". is a directory, not a file. Name one, such as: empty.py, imports.py, ingest.py, leaves.py, small.py.\n",
        ),
        (".", ". is a directory, not a file. Name one, such as: empty.py, "),
        ("..", ".. is a directory, not a file"),
        ("package/", "package is a directory, not a file. Name one, such as: package/flow.py."),
        (
            "package/flow.py:ok",
            f"{RELATIVE} (package/flow.py:1: from .inner import ok). It is a part of a package: call it as package.flow\n",
        ),
        (
            "package/deep/flow.py",
            f"{RELATIVE} (package/deep/flow.py:1: from ..inner import ok). It is a part of a package: call it as package.deep.flow\n",
        ),
        ("ingets", "there is no module 'ingets'. Did you mean ingest or ingest.py?"),
        ("ingest.yp", "there is no module 'ingest.yp'. Did you mean ingest.py or ingest?"),
        ("trio.testin", "there is no module 'trio.testin'. Did you mean trio.testing"),
        (".relative", "there is no module '.relative'"),
        (":workflow", "there is no module ''"),
        ("small.py", "small.py has several workflows. Say which: small.py:ok or small.py:failing or "),
        ("small.py:failign", "small.py has no 'failign'. Did you mean failing?"),
        ("small:nothing_like_it", "small has no 'nothing_like_it'. Its workflows are: ok, failing, group"),
        ("small:Step", "small:Step is no Workflow but a EnumType. Its workflows are: ok"),
        ("small:fail", "small:fail is no Workflow but a function. Did you mean failing?"),
        ("empty.py", "empty.py has no Workflow at module level"),
        ("empty.py:x", "empty.py has no 'x'\n"),
        ("syntax.py", "can't load syntax.py: SyntaxError: invalid syntax (syntax.py:2: y = = 1)"),
        (
            "imports.py",
            "can't load imports.py: ModuleNotFoundError: No module named 'htppx' (imports.py:2: import htppx)",
        ),
        ("imports", "can't load imports: ModuleNotFoundError: No module named 'htppx' (imports.py:2: import htppx)"),
        ("leaves.py", "can't load leaves.py: SystemExit: 3 (leaves.py:2: sys.exit(3))"),
        ("wrong.py", "can't load wrong.py: DefinitionError: E15 WORK: "),
        ("zero.py", "can't load zero.py: "),
    ],
)
def test_a_wrong_target_is_one_line_and_exit_code_2(command: Command, folder: Path, target: str, message: str) -> None:
    """What is wrong, the user's own line where it is in the user's code, and a near miss where there is one."""
    (folder / "empty.py").write_text("")
    (folder / "syntax.py").write_text("x = 1\ny = = 1\n")
    (folder / "imports.py").write_text("import sys\nimport htppx\n")
    (folder / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (folder / "zero.py").write_text("x = '\0'\n")
    (folder / "package" / "deep").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "flow.py").write_text("from .inner import ok\n")
    (folder / "package" / "deep" / "flow.py").write_text("from ..inner import ok\n")
    (folder / "wrong.py").write_text(
        "from small import Step\nfrom cano_trio import Workflow\n"
        "flow = Workflow(Step, initial=Step.WORK, exits=[Step.DONE])\n@flow.task(Step.WORK)\ndef f(): ...\n"
    )
    result = command("run", target)
    assert result.stderr.startswith(f"Error: {message}")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)


def test_a_part_of_a_package_from_inside_it(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called where the package is not found, it is said from where, and that call works."""
    (folder / "package").mkdir()
    (folder / "package" / "flow.py").write_text("from .inner import ok\n")
    (folder / "package" / "inner.py").write_text("from small import ok\n")
    monkeypatch.chdir(folder / "package")
    message = command("check", "flow.py").stderr.splitlines()[-1]
    assert message.endswith(f"It is a part of a package: call it in {folder} as package.flow")
    monkeypatch.chdir(folder)
    assert command("check", "package.flow").exit_code == 0


def test_traceback_shows_the_whole_of_an_import_error(command: Command, folder: Path) -> None:
    """With `--traceback` a target that can't be loaded shows how, before the same line."""
    (folder / "imports.py").write_text("import htppx\n")
    for name in ("run", "check", "graph"):
        lines = command(name, "imports.py", "--traceback").stderr.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[-1].startswith("Error: can't load imports.py: ")


def test_what_a_module_prints_is_not_mixed_into_the_answer(command: Command, folder: Path) -> None:
    """A drawing on stdout can be piped on, whatever the module prints while it is loaded."""
    with (folder / "ingest.py").open("a") as file:
        file.write("\nprint('loaded')\n")
    result = command("graph", "ingest.py")
    assert (result.stdout.startswith("flowchart"), result.stderr) == (True, "loaded\n")
