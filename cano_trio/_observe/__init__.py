"""What a run tells of itself: frozen events, and those who listen."""
