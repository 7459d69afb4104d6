"""What users hold in their hands: workflows that run."""
