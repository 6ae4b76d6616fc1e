"""Serving engines: their own profilers, started and stopped over HTTP, and the files that these write."""
