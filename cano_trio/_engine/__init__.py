"""How one run advances."""
