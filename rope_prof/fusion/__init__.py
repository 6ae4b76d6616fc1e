"""Any fusion: what a script, a notebook or a test asks, answered by the very recorder that `record` runs."""
