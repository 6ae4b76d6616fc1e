"""A bench for the laws of storage: it measures nothing, and leaves samples and traces as a real one does."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from rope_prof.io.atomic import write_atomic
from rope_prof.model.run import Key
from rope_prof.record.loop.timing import Subject
from rope_prof.record.worker.messages import Setup
from tests.record.standins import Bench


class StorageBench(Bench):
    """In the place of `TorchBench`."""

    def __init__(self, *_: object, seed: int, calls: int, **_more: object) -> None:
        super().__init__(Setup(bench="", device="cpu", seed=seed, calls=calls))

    def start_checks(self, _keys: tuple[Key, ...]) -> None: ...

    def check_ahead(self, _keys: Sequence[Key]) -> None: ...

    def finish_checks(self) -> dict[str, object]:
        return {}

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        assert subject.name == key.name
        name = f"{key.name}.trace.json.gz"
        op = {"ph": "X", "cat": "cpu_op", "name": "aten::mul", "pid": 1, "tid": 1, "ts": 2, "dur": 3}
        span = {"ph": "X", "cat": "user_annotation", "name": f"{key.name}#0", "pid": 1, "tid": 1, "ts": 1, "dur": 9}
        text = json.dumps({"rope_prof": {"schema_version": 1, "device": "cpu"}, "traceEvents": [span, op]})
        data = gzip.compress(text.encode(), mtime=0)
        write_atomic(folder / name, lambda part: part.write_bytes(data))
        return name, 1
