"""``python -m cano_trio`` is the command `cano-trio`."""

from .cli import main

main()
