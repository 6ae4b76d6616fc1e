"""Files to records and back: the only place that knows a file format."""
