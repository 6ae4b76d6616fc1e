"""Records without I/O: what a trace is (`trace`) and what a run is (`run`)."""
