"""The fields of Perfetto's packets that are read for their words, as protocol buffers of their own.

Perfetto's whole definition takes longer to load than a large trace takes to read. What is not here is an unknown field.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

_PACKAGE: Final = "rope_prof.perfetto"
#: Message -> its fields: number, name, type (of a scalar, or a message; `*`: repeated).
MESSAGES: Final = {
    "TracePacket": (
        *((2, "process_tree", "ProcessTree"), (5, "chrome_events", "ChromeEventBundle")),
        *((6, "clock_snapshot", "ClockSnapshot"), (10, "trusted_packet_sequence_id", "uint32")),
        *((12, "interned_data", "InternedData"), (59, "trace_packet_defaults", "TracePacketDefaults")),
        (60, "track_descriptor", "TrackDescriptor"),
    ),
    "ProcessTree": ((1, "processes", "*Process"),),
    "Process": ((1, "pid", "int32"), (3, "cmdline", "*string")),
    "ChromeEventBundle": ((2, "metadata", "*ChromeMetadata"),),
    "ChromeMetadata": ((1, "name", "string"), (2, "string_value", "string")),
    "ClockSnapshot": ((1, "clocks", "*Clock"),),
    "Clock": (
        *((1, "clock_id", "uint32"), (2, "timestamp", "uint64")),
        *((3, "is_incremental", "bool"), (4, "unit_multiplier_ns", "uint64")),
    ),
    "TracePacketDefaults": ((11, "track_event_defaults", "TrackEventDefaults"), (58, "timestamp_clock_id", "uint32")),
    "TrackEventDefaults": ((11, "track_uuid", "uint64"),),
    "TrackDescriptor": (
        *((1, "uuid", "uint64"), (2, "name", "string"), (3, "process", "ProcessDescriptor")),
        *((4, "thread", "ThreadDescriptor"), (5, "parent_uuid", "uint64"), (10, "static_name", "string")),
    ),
    "ProcessDescriptor": ((1, "pid", "int32"), (6, "process_name", "string")),
    "ThreadDescriptor": ((1, "pid", "int32"), (2, "tid", "int64"), (5, "thread_name", "string")),
    "InternedData": (
        *((1, "event_categories", "*EventCategory"), (2, "event_names", "*EventName")),
        *((3, "debug_annotation_names", "*DebugAnnotationName"), (23, "graphics_contexts", "*InternedGraphicsContext")),
        (24, "gpu_specifications", "*InternedGpuRenderStageSpecification"),
        (29, "debug_annotation_string_values", "*InternedString"),
    ),
    **dict.fromkeys(
        ("EventCategory", "EventName", "DebugAnnotationName", "InternedGpuRenderStageSpecification"),
        ((1, "iid", "uint64"), (2, "name", "string")),
    ),
    "InternedGraphicsContext": ((1, "iid", "uint64"), (2, "pid", "int32")),
    "DebugAnnotation": (
        *((2, "bool_value", "bool"), (3, "uint_value", "uint64"), (4, "int_value", "int64")),
        *((5, "double_value", "double"), (6, "string_value", "string"), (7, "pointer_value", "uint64")),
        *((9, "legacy_json_value", "string"), (10, "name", "string"), (17, "string_value_iid", "uint64")),
        *((11, "dict_entries", "*DebugAnnotation"), (12, "array_values", "*DebugAnnotation")),
    ),
    "InternedString": ((1, "iid", "uint64"), (2, "str", "bytes")),
    "InternedComputeKernel": ((1, "iid", "uint64"), (2, "name", "string"), (3, "demangled_name", "string")),
}
#: Fields of which a message has one at most.
ALTERNATIVES: Final = {
    "TrackDescriptor": ("name", "static_name"),
    "DebugAnnotation": tuple(name for number, name, _ in MESSAGES["DebugAnnotation"] if number not in (10, 11, 12)),
}


@cache
def message(name: str) -> Any:
    """The class of a message."""
    from google.protobuf import message_factory  # type: ignore[import-untyped]

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        either = ALTERNATIVES.get(name, ())
        if either:
            made.oneof_decl.add(name="either")
        for number, field, said in fields:
            kind = said.lstrip("*")
            one = made.field.add(number=number, name=field)
            one.label = kinds.LABEL_OPTIONAL if kind == said else kinds.LABEL_REPEATED
            one.type = kinds.TYPE_MESSAGE if kind in MESSAGES else kinds.Type.Value(f"TYPE_{kind.upper()}")
            if kind in MESSAGES:
                one.type_name = f".{_PACKAGE}.{kind}"
            if field in either:
                one.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
