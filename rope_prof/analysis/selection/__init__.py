"""Parts of a trace as a viewer picks them: grouped, folded."""
