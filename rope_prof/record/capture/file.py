"""The file of a capture: what torch wrote, with an object `rope_prof` of our own first, and nothing private.

Kernels that overlap on a stream get lanes of their own (`io.kineto.lanes`); all other values keep their bytes: no digit
of a time is touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rope_prof.io.kineto.lanes import laned

#: Top-level fields of a Kineto file that name the machine's owner or place.
PRIVATE = ("host_name", "hostname")


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """The top level of a Kineto file, its values undecoded."""

    fields: Mapping[str, msgspec.Raw]

    def written(self, own: Mapping[str, Any], name: str) -> bytes:
        """The JSON with `own` as its first field `rope_prof` and `name` as its trace name. Parses nothing."""
        mine = {"rope_prof": msgspec.Raw(json.dumps(own).encode()), "traceName": msgspec.Raw(json.dumps(name).encode())}
        rest = {field: value for field, value in self.fields.items() if field not in mine}
        return msgspec.json.encode({"rope_prof": mine["rope_prof"]} | rest | {"traceName": mine["traceName"]})


def capture_file(data: bytes) -> CaptureFile:
    """What torch wrote, made ready. Errors: MsgspecError for a file that is cut, KeyError for one without events."""
    top = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    for field in PRIVATE:
        top.pop(field, None)
    top["traceEvents"] = msgspec.Raw(laned(bytes(top["traceEvents"])))
    return CaptureFile(top)
