"""The real NVTX calls, without a GPU: an injected library receives each call's range with domain, name and number."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rope_prof.io.run.folder import read_run

CALLS = 4

#: The tool's side of NVTX 3 as its specification fixes it, written out since the headers may not be installed: export
#: table 1 gives the callbacks, module 5 (CORE2) holds the functions of a domain at the slots below.
INJECTION = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { uint16_t version, size; uint32_t category; int32_t color_type; uint32_t color;
    int32_t payload_type, reserved; int64_t payload; int32_t message_type; const char* message; } Event;
typedef void (*Function)(void);
typedef struct { size_t size; int (*module)(int32_t, Function***, unsigned int*); } Callbacks;
enum { CALLBACKS = 1, CORE2 = 5, PUSH = 4, POP = 5, STRING = 10, DOMAIN = 12 };

static FILE* out;
static void* copy(const char* text) { return strdup(text); }
static void* string_of(void* domain, const char* text) { (void)domain; return strdup(text); }
static int push(void* domain, const Event* e) {
    fprintf(out, "push\t%s\t%s\t%d\t%lld\n", (char*)domain, e->message, e->payload_type, (long long)e->payload);
    return 0;
}
static int pop(void* domain) { fprintf(out, "pop\t%s\n", (char*)domain); return 0; }

int InitializeInjectionNvtx2(const void* (*table)(uint32_t)) {
    const Callbacks* callbacks = table(CALLBACKS);
    Function** slots; unsigned int size;
    if (!callbacks || !callbacks->module(CORE2, &slots, &size) || size <= DOMAIN) return 0;
    char path[4096];
    snprintf(path, sizeof path, "%s.%d", getenv("NVTX_LOG"), (int)getpid());
    out = fopen(path, "w");
    if (!out) return 0;
    setvbuf(out, NULL, _IOLBF, 0); /* a path's process is killed once it is done */
    *slots[PUSH] = (Function)push; *slots[POP] = (Function)pop;
    *slots[STRING] = (Function)string_of; *slots[DOMAIN] = (Function)copy;
    return 1;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The injected library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on PATH to build the NVTX listener with")
    folder = tmp_path_factory.mktemp("nvtx")
    (folder / "listen.c").write_text(INJECTION)
    built = folder / "listen.so"
    subprocess.run([compiler, "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, folder / "listen.c"], check=True)
    return built


@pytest.fixture(scope="module")
def recorded(library: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """A run of the real command, and what the library heard meanwhile in the one process that ran the path."""
    folder = tmp_path_factory.mktemp("recorded")
    words = ["--path", "unfused", "--mode", "eager", "--tokens", "1,3", "--rounds", "1", "--calls", str(CALLS)]
    environment = os.environ | {
        "NVTX_INJECTION64_PATH": str(library),
        "NVTX_LOG": str(folder / "log"),
        "PYTHONPATH": str(repository),
    }
    environment.pop("NVTX_DISABLE", None)
    subprocess.run(
        [sys.executable, "-m", "rope_prof", "record", "--device", "cpu", "-o", folder / "run", *words],
        check=True,
        env=environment,
        cwd=folder,
        capture_output=True,
    )
    logs = [lines for log in folder.glob("log.*") if (lines := log.read_text().splitlines())]
    assert len(logs) == 1, "the path has a process of its own, and no other calls it in ranges"
    return folder / "run", [line.split("\t") for line in logs[0]]


def test_every_calls_range_arrives_with_domain_name_and_number(recorded: tuple[Path, list[list[str]]]) -> None:
    folder, heard = recorded
    pushes = [line for line in heard if line[0] == "push"]
    assert {line[1] for line in heard} == {"rope_prof"}
    keys = [facts.key.name for facts in read_run(folder).run.keys]
    assert len(keys) == 2
    for name in keys:
        mine = [line for line in pushes if line[2].startswith(f"{name}#")]
        assert [line[2] for line in mine] == [f"{name}#{call}" for call in range(CALLS)]
        assert [int(line[4]) for line in mine] == list(range(CALLS))
        assert {line[3] for line in mine} <= {"1", "2"}, "the payload is a 64-bit integer"


def test_ranges_do_not_nest_and_all_end(recorded: tuple[Path, list[list[str]]]) -> None:
    _, heard = recorded
    assert [line[0] for line in heard] == ["push", "pop"] * (len(heard) // 2)


def test_timed_passes_hold_no_range(recorded: tuple[Path, list[list[str]]]) -> None:
    """Ranges: the recorded calls and the few warm-up calls of each capture, no more."""
    _, heard = recorded
    assert len(heard) == 2 * 2 * (CALLS + 3)


def test_the_trace_holds_the_same_names_and_no_host_name(recorded: tuple[Path, list[list[str]]]) -> None:
    folder, _ = recorded
    for facts in read_run(folder).run.keys:
        assert facts.trace is not None
        data = json.loads(gzip.decompress((folder / facts.trace).read_bytes()))
        named = [e["name"] for e in data["traceEvents"] if e.get("cat") == "user_annotation"]
        assert named == [f"{facts.key.name}#{call}" for call in range(CALLS)]
        assert next(iter(data)) == "rope_prof"
        assert data["rope_prof"]["key"]["name"] == facts.key.name
        assert data["rope_prof"]["figures"]["calls"] == CALLS
        assert data["rope_prof"]["figures"]["kernels_per_call"] > 20
        assert data["traceName"] == facts.trace
        assert not {"host_name", "hostname"} & data.keys()
