"""Lines beside what others write to the same file."""

from __future__ import annotations

from pathlib import Path

from cano_trio.cli.line_writer import LineWriter


def test_a_line_breaks_none_that_others_have_begun(tmp_path: Path) -> None:
    """Who prints in two pieces, as `print` does, finds its line whole, whatever is written in between."""
    file = tmp_path / "file"
    with file.open("w", buffering=1) as stream:
        stream.write("ship")
        with LineWriter[str](stream, lambda line: [line], str) as lines:
            lines.put("a line")
        stream.write("ping\n")
    assert file.read_text() == "a line\nshipping\n"
