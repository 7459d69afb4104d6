"""What survives: how values are written down. Knows no workflow."""
