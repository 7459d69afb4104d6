"""Map and reduce over real text: which words are a library's own?

The books are packages of the standard library, their text the docstrings. A task finds out how many files there are, and
fans out over them (`Split.over`): one branch per file counts its words, in a thread, eight at once. The state in which they
join adds the counts up by book, and tells for each book the words that it uses far more often than all the others do.

    python examples/docstring_words.py
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Literal

import trio

from cano_trio import BranchResults, Resources, Split, Workflow

BOOKS = ("asyncio", "email", "http", "json", "logging", "unittest", "xml")
WORD = re.compile(r"[a-z]{4,}")


class Step(Enum):
    """The states."""

    MAP = auto()
    REDUCE = auto()
    DONE = auto()


@dataclass
class Report:
    """What was found out."""

    files: int = 0
    words: int = 0
    own: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The words of each book that are more its own than the others'."""


@dataclass(frozen=True)
class Shelf:
    """Where the books stand."""

    path: Path

    def pages(self) -> dict[str, Path]:
        """All files by the names of their modules."""
        files = [
            file for book in BOOKS for file in sorted((self.path / book).rglob("*.py")) if "test" not in file.parts
        ]
        return {".".join(file.relative_to(self.path).with_suffix("").parts): file for file in files}

    def text(self, page: Path) -> str:
        """All docstrings of a file."""
        source = page.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes, which are not our concern
            nodes = list(ast.walk(ast.parse(source)))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        return "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented))


workflow = Workflow(Step, initial=Step.MAP, exits=[Step.DONE], data=Report, name="docstring words")


@workflow.branch
async def count(page: Path, shelf: Shelf) -> Counter[str]:
    """Count the words of one file."""
    text = await trio.to_thread.run_sync(shelf.text, page)
    return Counter(WORD.findall(text.lower()))


@workflow.split(Step.MAP)
async def find(report: Report, shelf: Shelf) -> Split[Literal[Step.REDUCE]]:
    """One branch for each file, under its module's name."""
    pages = shelf.pages()
    report.files = len(pages)
    return Split.over(count, pages, Step.REDUCE, bulkhead=8)


@workflow.task(Step.REDUCE)
async def reduce(report: Report, counts: BranchResults[Counter[str]]) -> Literal[Step.DONE]:
    """Add up by book, and compare the books with each other."""
    books = {book: Counter[str]() for book in BOOKS}
    for page, words in counts.successes.items():
        books[page.partition(".")[0]] += words
    together = sum(books.values(), Counter[str]())
    report.words = together.total()
    for book, words in books.items():
        report.own[book] = sorted(words, key=lambda word: (-distinct(words, together, word), word))[:4]
    return Step.DONE


def distinct(words: Counter[str], together: Counter[str], word: str) -> float:
    """How much a word is one book's own: how often it stands there, times the part of all its places that are there."""
    return words[word] * (words[word] / together[word]) ** 2


def main() -> None:
    """Read, and tell."""
    shelf = Shelf(Path(json.__file__).parents[1])
    result = trio.run(lambda: workflow.run(Report(), resources=Resources(shelf=shelf)))
    report = result.data
    print(f"{report.words:,} words in the docstrings of {report.files} files, counted in {result.elapsed:.2f} s")
    for book, own in report.own.items():
        print(f"{book:9} {', '.join(own)}")


if __name__ == "__main__":
    main()
