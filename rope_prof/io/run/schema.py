"""`run.json` <-> the fields of a `Run`: the cases as one object each, and runs of schema version 1 as today's.

In the file a case is `{"tokens": 973, ...}`; its axes stand once, in `operation`. Version 1 knew one operation, whose
axes are stated here, and wrote why rounds ended as a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import to_builtins

from rope_prof.model.frozen import decodable
from rope_prof.model.run import SCHEMA_VERSION, AxisFacts, Case, OperationFacts, Run, Why

#: What every run of version 1 measured.
MROPE = OperationFacts(
    name="mrope",
    baseline="unfused",
    swept="tokens",
    axes=(
        AxisFacts(name="model"),
        AxisFacts(name="tp", form="TP {}"),
        AxisFacts(name="tokens", form="n{}", noun="token"),
        AxisFacts(name="dtype"),
        AxisFacts(name="prompt", noun="prompt"),
    ),
    outputs=("q", "k"),
    formula="for a path in place 2 x tokens x heads x rotated lanes x item size",
    source="mrope",
)
_ENDED: tuple[tuple[Why, re.Pattern[str]], ...] = (
    ("precision", re.compile(r"precision of (?P<asked>[\d.]+)% reached after (?P<rounds>\d+) rounds")),
    ("budget", re.compile(r"budget of (?P<asked>[\d.e+-]+) s for its case spent after (?P<rounds>\d+) rounds")),
    ("rounds", re.compile(r"all (?P<rounds>\d+) rounds done")),
)
#: How the value of an axis may stand in names: a form that looks into the value, or pads it, is no recording's.
_FORM = re.compile(r"[^{}]*\{\}[^{}]*")
_WIDTH = re.compile(r"the interval of its (?P<of>ratio|median)(?: to the baseline)? is (?P<width>[\d.]+)% wide")


def decoded(data: bytes) -> Run:
    """The run that `data`, the text of a `run.json` of any version up to today's, holds.

    Errors: msgspec's for text that is no run; ValueError in words for a case that is none of its operation.
    """
    raw = msgspec.json.decode(data)
    if isinstance(raw, dict) and raw.get("schema_version") == 1:
        raw = _of_version_1(raw)
    operation = msgspec.convert(raw.get("operation") if isinstance(raw, dict) else None, decodable(OperationFacts))
    names = [axis.name for axis in operation.axes]
    if operation.swept not in names:
        raise ValueError(f"its operation sweeps {operation.swept!r}, which is none of its axes")
    form = next((axis.form for axis in operation.axes if not _FORM.fullmatch(axis.form)), None)
    if form is not None:
        raise ValueError(f"an axis of its operation has the form {form!r}, expected text with one {{}}")
    shared: dict[tuple[Any, ...], Case] = {}
    for holder in _holders(raw):
        case = _case(holder["case"], operation, names)
        holder["case"] = shared.setdefault(case.values, case)
    return msgspec.convert(raw | {"operation": operation}, decodable(Run))


def _case(fields: Any, operation: OperationFacts, names: list[str]) -> Case:
    good = isinstance(fields, dict) and list(fields) == names
    if not good or not all(type(value) in (str, int) for value in fields.values()):
        raise ValueError(f"it has the case {fields!r}; expected a word or a whole number each for {', '.join(names)}")
    return operation.case(fields)


def _holders(raw: Any) -> Iterator[dict[str, Any]]:
    """Each object of a raw run that has a case: its keys, its ceilings; what is of another make is passed over."""
    listed = raw.get("keys"), raw.get("ceilings")
    for one in (one for each in listed if isinstance(each, list | tuple) for one in each):
        holder = one.get("key", one) if isinstance(one, dict) else None
        if isinstance(holder, dict) and "case" in holder:
            yield holder


def _of_version_1(raw: dict[str, Any]) -> dict[str, Any]:
    """The fields of a run of version 1 as those of today; what is of another make is left for the reader to name."""
    for one in raw.get("keys") or () if isinstance(raw.get("keys"), list) else ():
        if isinstance(one, dict) and isinstance(one.get("stopped"), str):
            one["stopped"] = stopped(one["stopped"])
        key = one.get("key") if isinstance(one, dict) else None
        if isinstance(key, dict) and key.get("path") in ("per-token", "fused"):
            one["triton"] = True
    for holder in _holders(raw):
        case = holder["case"]
        if isinstance(case, dict) and {axis.name for axis in MROPE.axes} == set(case):
            holder["case"] = {axis.name: case[axis.name] for axis in MROPE.axes}
    return raw | {"schema_version": SCHEMA_VERSION, "operation": to_builtins(MROPE)}


def stopped(sentence: str) -> dict[str, Any] | None:
    """Why rounds ended, by the sentence that version 1 wrote of it; None for other words, which it never wrote."""
    for why, words in _ENDED:
        found = words.match(sentence)
        if found is not None:
            said = found.groupdict()
            asked = float(said["asked"]) / (100 if why == "precision" else 1) if "asked" in said else None
            width = _WIDTH.search(sentence)
            of = {"of": width["of"], "width": float(width["width"]) / 100} if width else {}
            return {"why": why, "rounds": int(said["rounds"]), "asked": asked} | of
    return None


def encoded(run: Run) -> bytes:
    """The text of `run.json`."""
    raw = msgspec.to_builtins(run)
    for holder in _holders(raw):
        holder["case"] = dict(holder["case"]["values"])
    return msgspec.json.format(msgspec.json.encode(raw), indent=1) + b"\n"
