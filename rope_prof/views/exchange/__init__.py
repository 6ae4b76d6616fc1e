"""A run in the formats of other benchmarks' tools: one file a format, each a pure function to the text of one file.

What they share is `timed`: the keys that were measured, with their samples. Which of our figures stands in which of
their fields is said by each; what a format has no place for is left out there, never bent into another field.
"""
