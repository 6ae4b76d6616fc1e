"""A JSON file without what is private in it: strings cleaned one by one, so that no digit of a number is touched.

Of a format that is known (a Kineto trace, the files of a run folder) the top level keeps the fields that are known;
whatever else stands there goes, since nobody can say what it tells. In all objects the fields that name a machine, its
owner, an environment or a secret lose their values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec

from rope_prof.io.damaged import DAMAGED
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.run.secrets import BLANK, SECRET_FIELD
from rope_prof.model.run import Run

#: Top level of a Kineto file, 2021 to now, NVIDIA and AMD, and our own object.
KINETO_FIELDS: Final = frozenset(
    (
        *("schemaVersion", "deviceProperties", "traceEvents", "traceName", "displayTimeUnit", "baseTimeNanoseconds"),
        *("trace_id", "distributedInfo", "cuda_runtime_version", "cuda_driver_version", "cupti_version"),
        *("roctracer_version", "hip_runtime_version", "hip_driver_version", "xpu_runtime_version"),
        *("xpu_driver_version", "record_shapes", "profile_memory", "with_flops", "with_stack", "with_modules"),
        *("is_cuda_graph_captured", "host_name", "rope_prof"),  # `host_name` without its value
    )
)
#: Fields whose value names a machine or a person, wherever they stand.
_PRIVATE: Final = (
    r"host|host_?names?|node|node_?names?|user|users|user_?names?|login|owner|e?mail|author|env|environ|environment"
    r"|environment_?variables|cmd_?line|command_?line|argv|sys_argv|master_addr(?:ess)?|ip|ip_?addr(?:ess)?|mac_?addr(?:ess)?"
    r"|machine_?id|domain_?name|uuid|serial|serial_?number|cwd|pwd|working_?dir(?:ectory)?|home|home_?dir|job_?id|labels"
    r"|(?:host|user|process|os|net|k8s|container|cloud)\.[\w.]+"
)
#: A name whose value is private, in any format.
PRIVATE_NAME: Final = re.compile(rf"{_PRIVATE}|{SECRET_FIELD.pattern}", re.IGNORECASE)
#: `command` is a field of ours as a text; as a list it is the words that somebody typed.
_FIELD: Final = re.compile(rf'"(?:{PRIVATE_NAME.pattern}|command(?="\s*:\s*\[))"\s*:\s*', re.IGNORECASE)
#: A string, or what a cut has left of the last one.
_LITERAL: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
#: A letter outside of strings that no word or number of JSON has.
_NOT_JSON: Final = re.compile(r"(?!\b(?:true|false|null|NaN|Infinity)\b)\b[^\W\d]|[\\/@~]")
_BRACKET: Final = re.compile(rf"[{{}}\[\]]|{_LITERAL.pattern}", re.DOTALL)
#: What torch itself writes there.
_PLAIN: Final = re.compile(r"CPU|(?:GPU|XPU|MTIA) ?\d*|")
_scan = json.JSONDecoder(strict=False).raw_decode


@dataclass(frozen=True, slots=True)
class CleanJson:
    """`data`: the cleaned bytes. `dropped`: top-level fields that went. `whole`: it is strict JSON, else as text."""

    data: bytes
    dropped: int
    whole: bool


def clean_json(data: bytes, words: PrivateWords) -> CleanJson:
    """`data` without what is private; all else keeps its bytes, those that are no UTF-8 among them."""
    text = _inside(data.decode("utf-8", errors="surrogateescape"), words.blank)
    cleaned = text.encode("utf-8", errors="surrogateescape")
    try:
        bytes(msgspec.json.decode(cleaned, type=msgspec.Raw))
        members = msgspec.json.decode(cleaned, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:  # a list: whole, and of no format with fields
        return CleanJson(cleaned, 0, True)
    except DAMAGED:
        return CleanJson(_outside_too(text, words).encode("utf-8", errors="surrogateescape"), 0, False)
    known = _known(members)
    left = {name: value for name, value in members.items() if known is None or name in known}
    if len(left) == len(members):
        return CleanJson(cleaned, 0, True)
    body = b",\n".join(json.dumps(name).encode() + b": " + bytes(value) for name, value in left.items())
    return CleanJson(b"{" + body + b"}", len(members) - len(left), True)


def _outside_too(text: str, words: PrivateWords) -> str:
    """`text`, whose strings are clean; like any other text where more than JSON's own words stands between them."""
    return words.blank(text) if _NOT_JSON.search(_LITERAL.sub("", text)) else text


def clean_word(text: str, blank: Callable[[str], str]) -> str:
    """`text` without what is private, also where it is JSON itself, whose quotes and slashes may be escaped."""
    if text[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            if '"' not in text:  # numbers alone, as shapes are
                msgspec.json.decode(text)
                return text
            json.loads(text, strict=False)
            return _inside(text, blank)
    return blank(text)


def _inside(text: str, blank: Callable[[str], str]) -> str:
    return _literals(_without_values(text), blank)


def _known(members: dict[str, Any]) -> frozenset[str] | None:
    """The top-level fields of the format that `members` are of; None for a format without a list."""
    if "traceEvents" in members:
        return KINETO_FIELDS
    if {"schema_version", "machine", "keys", "seed"} <= members.keys():
        return frozenset(field.name for field in fields(Run))
    return None


def _without_values(text: str) -> str:
    """`text` with the values of private fields emptied, each in its own kind."""
    pieces, at = [], 0
    for found in _FIELD.finditer(text):
        if found.start() < at:
            continue
        value, end = _value(text, found.end())
        emptied = _emptied(value)
        if emptied is not None:
            pieces += [text[at : found.end()], emptied]
            at = end
    return "".join([*pieces, text[at:]]) if pieces else text


def _value(text: str, at: int) -> tuple[Any, int]:
    """(the value that begins at `at`, where it ends): of a damaged one its text, of a cut one all that is left."""
    try:
        return _scan(text, at)
    except (ValueError, RecursionError):
        literal = _LITERAL.match(text, at)
        if literal is not None:
            return literal.group(), literal.end()
        if text[at : at + 1] not in ("{", "["):
            return None, at
        depth = 0
        for found in _BRACKET.finditer(text, at):
            depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found.group(), 0)
            if not depth and not found.group().startswith('"'):
                return [text[at : found.end()]], found.end()
        return [text[at:]], len(text)


def _emptied(value: Any) -> str | None:
    """What stands in the place of a private value; None where it tells nothing (a number, torch's own words)."""
    if isinstance(value, str):
        return None if _PLAIN.fullmatch(value) else f'"{BLANK}"'
    if isinstance(value, dict | list) and _tells(value):
        return "{}" if isinstance(value, dict) else "[]"
    return None


def _tells(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(key, str) and _tells(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_tells, value))
    return isinstance(value, str) and not _PLAIN.fullmatch(value)


def _literals(text: str, blank: Callable[[str], str]) -> str:
    seen: dict[str, str] = {}

    def clean(found: re.Match[str]) -> str:
        literal = found.group()
        after = seen.get(literal)
        if after is None:
            after = seen[literal] = _literal(literal, blank)
        return after

    return _LITERAL.sub(clean, text)


def _literal(literal: str, blank: Callable[[str], str]) -> str:
    """The JSON string cleaned of what it means, not of how it is spelled; letter for letter where nothing goes."""
    if len(literal) < 2 or not literal.endswith('"'):
        return '"' + blank(literal[1:])
    value = literal[1:-1]
    if "\\" in value:
        with suppress(ValueError):
            value = json.loads(literal, strict=False)
    after = clean_word(value, blank)
    if after == value:
        return literal
    return json.dumps(after, ensure_ascii=any("\ud800" <= c < "\udc80" or "\udd00" <= c <= "\udfff" for c in after))
