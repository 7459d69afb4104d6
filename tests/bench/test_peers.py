"""The comparison with other libraries, as far as it goes where none of them is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.peers.chart import draw
from bench.peers.figure import Figure
from bench.peers.peer_list import PEERS, WORKS

ROOT = Path(__file__).parents[2]


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """Without any other library ours is measured beside a loop by hand, and the others are named."""
    file, chart = tmp_path / "peers.json", tmp_path / "peers.svg"
    command = [sys.executable, "-m", "bench", "peers", "--quick", "--environments", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "--json", str(file), "--chart", str(chart)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "Not installed: pocketflow, burr, transitions" in done.stdout
    figures = json.loads(file.read_text())
    assert {(one["peer"], one["failed"]) for one in figures} == {("by hand, trio", None), ("cano_trio", None)}
    assert {one["work"] for one in figures if one["peer"] == "cano_trio"} == {work.title for work in WORKS}
    assert all(one["microseconds"] > 0 for one in figures)
    assert "cano_trio" in chart.read_text()


def test_the_fastest_is_drawn_first_and_shortest() -> None:
    """A chart is a picture in which each bar is as long as the logarithm of its figure, and ours stands out."""
    slow, fast = (
        Figure(PEERS[1], WORKS[0], (0.002, 0.001, 0.003)),
        Figure(PEERS[2], WORKS[0], (0.0001,)),
    )
    bars = [
        bar
        for bar in ET.fromstring(draw([slow, fast], "a <title>")).iter("{http://www.w3.org/2000/svg}rect")
        if bar.get("class")
    ]
    assert [bar.get("class") for bar in bars] == ["bar", "bar ours"]
    assert float(bars[0].get("width", "")) < float(bars[1].get("width", ""))
    assert slow.microseconds == 2_000


@pytest.mark.parametrize("peer", [peer.program for peer in PEERS])
def test_every_program_can_be_read(peer: str) -> None:
    """A library that is in the list has a program."""
    file = ROOT / "bench" / "peers" / "programs" / f"of_{peer}.py"
    compile(file.read_text(), file, "exec")
