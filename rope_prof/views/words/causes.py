"""What each cause of idle time means."""

from __future__ import annotations

#: What each cause of a bubble means, in words.
CAUSE_WORDS = {
    "host_late": "the host had not yet called the launch of the next event",
    "launch": "the launch call was running, or its work was on the way to the GPU",
    "queued": "the launch was made before the gap began; the GPU itself waited",
    "in_graph": "between two nodes of one graph launch",
    "host_node": "a graph's host function had to return first",
    "event_node": "a graph's event had to be recorded first",
    "sync": "the host was waiting in a synchronising call",
    "profiler": "the profiler itself was writing",
    "unknown": "the launch of the next event is not in the file",
}


def cause_name(cause: str) -> str:
    """`host late`: what a person reads for the name of a cause."""
    return cause.replace("_", " ")


#: The idle time of a cause in a sentence: "5.1 ms less idle waiting for the host".
IDLE_WORDS = {
    "host_late": "idle waiting for the host's launch",
    "launch": "idle while launches were on their way",
    "queued": "idle behind queued launches",
    "in_graph": "idle between nodes of a graph",
    "host_node": "idle behind host nodes of a graph",
    "event_node": "idle behind event nodes of a graph",
    "sync": "idle after synchronising calls",
    "profiler": "idle while the profiler wrote",
    "unknown": "idle of unknown cause",
    "other_stream": "idle while other work of the device ran",
    "copy": "idle while copies ran",
}
