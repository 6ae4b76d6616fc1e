"""What to change first: the losses of a trace as a few things to fix, ranked by what each could save."""
