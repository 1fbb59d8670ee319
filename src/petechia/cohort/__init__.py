"""Statistics over people."""
