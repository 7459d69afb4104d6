"""The benchmarks work; how fast anything is, no test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAMILIES = [
    "linear",
    "runs",
    "batch",
    "split",
    "child",
    "poll",
    "stepped",
    "stream",
    "saga",
    "retry",
    "breaker",
    "limiter",
    "data",
    "durable",
    "resume",
    "store-size",
    "spawn",
    "parked",
    "mailbox",
    "recover",
    "simulate",
    "import",
]


def bench(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "250"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_tells_its_figures(tmp_path: Path, family: str) -> None:
    """Each case has a median, a spread around it, and a ratio if it has a baseline, which is a case too."""
    file = tmp_path / "bench.json"
    table = bench("--only", family, "--json", str(file))
    cases = {case["name"]: case for case in json.loads(file.read_text())["cases"]}
    assert cases
    for name, case in cases.items():
        assert name in table
        if case["note"] == "not installed":
            continue
        least, most = case["spread"]
        assert 0 < least <= case["median"] <= most
        assert (case["ratio"] is None) == (case["baseline"] is None)
        assert case["baseline"] is None or case["baseline"] in cases


@pytest.mark.parametrize("names", [["data"], ["runs", "data"]])
def test_only_what_is_named_is_measured(tmp_path: Path, names: list[str]) -> None:
    """`--only` may be repeated, and the order is the user's."""
    file = tmp_path / "bench.json"
    bench("--json", str(file), *(part for name in names for part in ("--only", name)))
    first = [case["name"].split()[0].strip(":") for case in json.loads(file.read_text())["cases"]]
    assert list(dict.fromkeys(first)) == [name.removesuffix("s") for name in names]
