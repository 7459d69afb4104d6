"""What survives: how values are written down, and where runs are. Knows no workflow."""
