"""A run, opened once: what its files say and what is computed of them, for every command, report and page alike."""
