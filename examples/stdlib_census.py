"""A census of a tree of Python files, by default the standard library that runs this program.

A router chooses between the whole tree and a sample; a batch parses every file in worker threads, tries unreadable ones
again, and adds all up. Bad files are counted and listed, and stop nobody.

    python examples/stdlib_census.py [DIRECTORY] [--sample N] [--jobs N] [--json]
    cano-trio run examples/stdlib_census.py --data '{"sample": 100}'
    cano-trio run examples/stdlib_census.py --journal census.db --run-id today

On a journal it may be killed at any time: the same command goes on with the files that are not counted yet, from the list
that was made at first, and ends with the same report.

A terminal gets a progress bar and a table, if rich is installed; a pipe gets plain lines.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import random
import sys
import sysconfig
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum, auto
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Literal

import outcome
import trio

from cano_trio import BatchResults, BatchTask, Event, ItemResult, Progress, Retry, RunResult, Workflow

try:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.table import Table
except ImportError:
    HAS_RICH = False
else:
    HAS_RICH = True


class Step(Enum):
    """Where a census stands."""

    SCOPE = auto()
    WHOLE = auto()
    SAMPLE = auto()
    DONE = auto()


@dataclass
class Report:
    """What a census found; of lists that could grow long, the first part."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    docstring_coverage: float | None = None
    imports: list[tuple[str, int]] = field(default_factory=list)
    slowest: list[tuple[str, float]] = field(default_factory=list)
    failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Census:
    """What is asked, and the answer."""

    directory: str = field(default_factory=lambda: sysconfig.get_path("stdlib"))
    sample: int = 0
    report: Report | None = None


@dataclass
class Facts:
    """What one file holds, or why it could not be parsed."""

    lines: int = 0
    functions: int = 0
    classes: int = 0
    documented: int = 0
    imports: set[str] = field(default_factory=set)
    seconds: float = 0.0
    failure: str = ""


threads = trio.CapacityLimiter((os.cpu_count() or 1) + 2)
workflow = Workflow(Step, initial=Step.SCOPE, exits=[Step.DONE], name="census", data=Census)


@workflow.router(Step.SCOPE)
async def scope(
    census: Census,
) -> Annotated[Literal[Step.WHOLE], "all files"] | Annotated[Literal[Step.SAMPLE], "some files"]:
    """Take the whole tree unless a sample is wanted."""
    return Step.SAMPLE if census.sample else Step.WHOLE


class Count(BatchTask[Step, bytes, Facts]):
    """Parses every file of the tree.

    An item is a path as bytes: a journal holds any bytes, but no text that stands for bytes which are none.
    """

    concurrency = threads
    retry = Retry.none()  # a missing directory is missing
    item_retry = Retry.fixed(2, delay=0.05)  # a file may be locked, or on a disk that has to wake up

    async def load(self, census: Census) -> list[bytes]:
        """List the files."""
        return await trio.to_thread.run_sync(python_files, Path(census.directory))

    async def process_item(self, path: bytes) -> Facts:
        """Parse one file, without a stop for all others."""
        return await trio.to_thread.run_sync(study, Path(os.fsdecode(path)))

    async def finish(self, results: BatchResults[bytes, Facts], census: Census) -> Literal[Step.DONE]:
        """Add all up."""
        census.report = add_up(results, Path(census.directory))
        return Step.DONE


class CountSample(Count):
    """Parses some files of the tree, the same ones each time."""

    async def load(self, census: Census) -> list[bytes]:
        """Draw the sample."""
        files = await super().load(census)
        return sorted(random.Random(0).sample(files, min(census.sample, len(files))))


workflow.register(Step.WHOLE, Count())
workflow.register(Step.SAMPLE, CountSample())


def python_files(directory: Path) -> list[bytes]:
    """All Python files below a directory, but what is installed there."""
    if not directory.is_dir():
        raise NotADirectoryError(f"{directory} is not a directory")
    found: list[bytes] = []
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = set(subfolders) - {"site-packages"}
        found += [os.fsencode(Path(folder, name)) for name in names if name.endswith(".py")]
    return sorted(found)


# Before Python 3.11.8, threads that parse at once may get a SystemError (github.com/python/cpython/issues/106905).
turn_to_parse = contextlib.nullcontext() if sys.version_info >= (3, 11, 8) else threading.Lock()


def study(path: Path) -> Facts:
    """Count what a file holds. One that can't be read is an error; one that can't be parsed will not get better."""
    source = path.read_bytes()
    begun = time.thread_time()
    try:
        with turn_to_parse:
            tree = ast.parse(source, path.name)  # of bytes, so that it heeds a coding line
    except (SyntaxError, ValueError, RecursionError) as error:
        return Facts(failure=reason(error))
    facts = Facts(lines=len(source.splitlines()))
    for node in statements(tree):
        match node:
            case ast.Import(names):
                facts.imports |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(str(module), level=0):
                facts.imports.add(module.partition(".")[0])
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                facts.classes += isinstance(node, ast.ClassDef)
                facts.functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                facts.documented += ast.get_docstring(node, clean=False) is not None
            case _:
                pass
    facts.seconds = time.thread_time() - begun
    return facts


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and all its statements; expressions, which are most of a tree, hold none."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, part, ())


def add_up(results: BatchResults[bytes, Facts], directory: Path) -> Report:
    """The report on all files."""
    found = {readable(Path(os.fsdecode(result.item)).relative_to(directory)): facts_of(result) for result in results}
    failures = [(name, facts.failure) for name, facts in found.items() if facts.failure]
    good = [(name, facts) for name, facts in found.items() if not facts.failure]
    functions = sum(facts.functions for _, facts in good)
    classes = sum(facts.classes for _, facts in good)
    documented = sum(facts.documented for _, facts in good)
    documentable = len(good) + functions + classes
    return Report(
        files=len(results),
        lines=sum(facts.lines for _, facts in good),
        functions=functions,
        classes=classes,
        docstring_coverage=round(documented / documentable, 4) if documentable else None,
        imports=Counter(module for _, facts in good for module in sorted(facts.imports)).most_common(10),
        slowest=sorted(((name, round(facts.seconds, 3)) for name, facts in good), key=itemgetter(1), reverse=True)[:5],
        failed=len(failures),
        failures=failures[:100],
    )


def facts_of(result: ItemResult[bytes, Facts]) -> Facts:
    """What a file holds, or why it could not be read."""
    match result.outcome:
        case outcome.Value(facts):
            return facts
        case outcome.Error(error):
            return Facts(failure=reason(error))


def reason(error: BaseException) -> str:
    """An error in one line."""
    return readable(f"{type(error).__name__}: {error}")


def readable(text: object) -> str:
    """A text that can be printed, though the name of a file may be of any bytes."""
    return str(text).encode(errors="replace").decode()


def rows(report: Report, elapsed: float) -> Iterator[tuple[str, str]]:
    """The report as labels and texts; what belongs to the label above has none."""
    coverage = report.docstring_coverage
    yield "files", f"{report.files:,} in {elapsed:.1f} s, {report.failed:,} failed"
    yield "lines", f"{report.lines:,}"
    yield "functions", f"{report.functions:,}"
    yield "classes", f"{report.classes:,}"
    yield "docstrings", "nothing to document" if coverage is None else f"{coverage:.1%}"
    several = {
        "most imported": [f"{module} by {files:,}" for module, files in report.imports],
        "slowest": [f"{name}: {seconds:.3f} s" for name, seconds in report.slowest],
        "failed": [f"{name}: {why}" for name, why in report.failures],
    }
    for label, texts in several.items():
        yield from zip([label, *[""] * len(texts)], texts, strict=False)


class ProgressBar:
    """An observer that draws how far a run is."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.line = bar.add_task("parsing", total=None)

    def on_event(self, event: Event) -> None:
        """Move the bar."""
        if isinstance(event, Progress):
            self.bar.update(self.line, completed=event.done, total=event.total)


async def take(census: Census, *, watched: bool) -> RunResult[Step, Census]:
    """Take a census; a watched one shows a progress bar on stderr."""
    if not watched:
        return await workflow.run(census)
    with Bar(console=Console(stderr=True), transient=True) as bar:
        return await workflow.run(census, observers=[ProgressBar(bar)])


def table(report: Report, elapsed: float) -> Table:
    """The report for a terminal."""
    drawn = Table("", "", show_header=False, title="Census")
    drawn.columns[0].style = "bold"
    for label, text in rows(report, elapsed):
        if label in {"most imported", "slowest", "failed"}:
            drawn.add_section()
        drawn.add_row(label, text)
    return drawn


def positive(text: str) -> int:
    """A number that counts something."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def main() -> None:
    """Take a census and print it."""
    parser = argparse.ArgumentParser(description="Count what a tree of Python files holds.")
    parser.add_argument("directory", nargs="?", default=Census().directory, help="default: the standard library")
    parser.add_argument("--sample", type=positive, default=0, metavar="N", help="only N of the files")
    parser.add_argument("--jobs", type=positive, default=threads.total_tokens, metavar="N", help="files at once")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args()

    # What the parser has to say of their code is theirs. Once and for all: catch_warnings() is not safe among threads.
    warnings.simplefilter("ignore")
    threads.total_tokens = args.jobs
    pretty = HAS_RICH and not args.json and sys.stdout.isatty()
    try:
        result = trio.run(partial(take, Census(args.directory, args.sample), watched=pretty and sys.stderr.isatty()))
    except NotADirectoryError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    report = result.data.report or Report()
    if args.json:
        print(json.dumps(asdict(report), indent=2))
    elif pretty:
        Console(markup=False, emoji=False, highlight=False).print(table(report, result.elapsed))
    else:
        for label, text in rows(report, result.elapsed):
            print(f"{label:<14} {text}")


if __name__ == "__main__":
    main()
