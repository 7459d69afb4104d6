"""`python -m bench`: measure everything, or what is named, and print a table; `python -m bench peers`: beside others."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from . import (
    batch,
    breaker,
    child,
    data,
    durable,
    imports,
    limiter,
    linear,
    mailbox,
    parked,
    poll,
    recover,
    resume,
    retry,
    runs,
    saga,
    simulate,
    spawn,
    split,
    stepped,
    store_size,
    stream,
)
from .measure import Case, Result, measure
from .peers import compare
from .table import show

FAMILIES: dict[str, Callable[[], Sequence[Case]]] = {
    "linear": linear.cases,
    "runs": runs.cases,
    "batch": batch.cases,
    "split": split.cases,
    "child": child.cases,
    "poll": poll.cases,
    "stepped": stepped.cases,
    "stream": stream.cases,
    "saga": saga.cases,
    "retry": retry.cases,
    "breaker": breaker.cases,
    "limiter": limiter.cases,
    "data": data.cases,
    "durable": durable.cases,
    "resume": resume.cases,
    "store-size": store_size.cases,
    "spawn": spawn.cases,
    "parked": parked.cases,
    "mailbox": mailbox.cases,
    "recover": recover.cases,
    "simulate": simulate.cases,
    "import": imports.cases,
}

REPEATS = 15
QUICK_PART = 100
"""With --quick a sample is a hundredth, and there are two: enough to see that everything works."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["peers"]:
        compare.main(words[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog="`python -m bench peers` does the same work in other libraries.",
    )
    parser.add_argument("--only", action="append", choices=FAMILIES, metavar="NAME", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="samples of each case (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--big", action="store_true", help="measure what takes minutes, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file too")
    chosen = parser.parse_args(words)
    repeats, part = (2, QUICK_PART) if chosen.quick else (max(1, chosen.repeats), 1)
    results: list[Result] = []
    for name in chosen.only or FAMILIES:
        cases = [case for case in FAMILIES[name]() if chosen.big or not case.big]
        results += measure(cases, repeats=repeats, part=part)
    machine = f"Python {platform.python_version()}, trio {trio.__version__}, {platform.machine()}, {repeats} repeats"
    show(results, machine)
    if chosen.json is not None:
        report = {"machine": machine, "cases": [result.as_json() for result in results]}
        chosen.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
