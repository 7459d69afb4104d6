"""The libraries side by side: each does the same things, in turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from .chart import draw
from .environments import Environments
from .figure import Figure
from .peer_list import PEERS, WORKS, Peer, Work
from .table import show

PROGRAMS = Path(__file__).with_name("programs")
RUNS_AT_ONCE = 100
PATIENCE = 300
"""Seconds that a sample may take."""


def main(arguments: Sequence[str]) -> None:
    """Install, or measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench peers", description=__doc__)
    parser.add_argument("--setup", action="store_true", help="install what is missing, and measure nothing")
    parser.add_argument("--environments", type=Path, default=Path(".venv-peers"), metavar="DIR")
    parser.add_argument("--repeats", type=int, default=7, help="samples of each case (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="PEER", choices=[peer.name for peer in PEERS])
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to a file too")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw them, as SVG")
    chosen = parser.parse_args(arguments)
    environments = Environments(chosen.environments.resolve())
    if chosen.setup:
        environments.set_up()
        return
    there = [peer for peer in PEERS if environments.python(peer) is not None]
    wanted = [peer for peer in there if chosen.only is None or peer.name in chosen.only]
    repeats, part = (1, 20) if chosen.quick else (chosen.repeats, 1)
    figures = measured(wanted, environments, repeats, part)
    versions = {peer.name: environments.version(peer) for peer in wanted}
    missing = [peer.name for peer in PEERS if peer not in there]
    title = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, {repeats} samples"
    show(figures, versions, missing, title)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([one.as_json(versions[one.peer.name]) for one in figures], indent=2) + "\n")
    if chosen.chart is not None:
        chosen.chart.write_text(draw(figures, title))


def measured(peers: Sequence[Peer], environments: Environments, repeats: int, part: int) -> list[Figure]:
    """What each library takes for each thing that it can do."""
    samples: dict[tuple[Peer, Work], list[float]] = {}
    failed: dict[tuple[Peer, Work], str] = {}
    for _ in range(repeats):
        for work in WORKS:
            for peer in peers:
                if (peer, work) in failed:
                    continue
                try:
                    samples.setdefault((peer, work), []).extend(sample(peer, work, environments, part))
                except ValueError as error:
                    failed[peer, work] = str(error)
    found = [
        Figure(peer, work, tuple(seconds), failed.get((peer, work), "")) for (peer, work), seconds in samples.items()
    ]
    return [one for one in found if one.seconds or one.why]


def sample(peer: Peer, work: Work, environments: Environments, part: int) -> list[float]:
    """Seconds for each time; nothing if the library has no such thing.

    Raises:
        ValueError: it fails.
    """
    times = max(RUNS_AT_ONCE, work.times // peer.part // part)
    with TemporaryDirectory() as folder:
        program = PROGRAMS / f"of_{peer.program}.py"
        command = [str(environments.python(peer)), str(program), work.case, str(times), "1", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ValueError(f"not done within {PATIENCE} seconds") from None
    if done.returncode != 0:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return [] if answer is None else [float(seconds) for seconds in answer]
