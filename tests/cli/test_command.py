"""The command itself: its help, its exit codes, and what it costs to start."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import Result

import cano_trio
import cano_trio.cli

from .conftest import Command, Start


def test_version_names_the_package(command: Command) -> None:
    """`--version` is one line with the package's own version."""
    assert command("--version").stdout == f"cano-trio {cano_trio.__version__}\n"
