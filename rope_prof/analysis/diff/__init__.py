"""Two stretches of traces held against each other: what a call costs on both sides, and where the difference lies."""
