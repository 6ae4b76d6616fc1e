"""A server with the profiler's routes and replies of SGLang 0.5.23 or vLLM 0.33.0, which writes small real traces.

Replies are those of the engines' own handlers, down to the text; a rank's file has the name that the engine gives it.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.builders import kernel, kineto_json, op, range_, trace

#: Names of an engine's steps: a prefill of 4 requests, decodes of 31.
STEPS = {
    "sglang": ("step[EXTEND bs=4 toks=512]", "step[DECODE bs=31]"),
    "vllm": ("execute_context_4(512)_generation_0(0)", "execute_context_0(0)_generation_31(31)"),
}


def served(engine: str, stage: str = "", rank: int = 0) -> bytes:
    """What one rank records: a prefill and three decodes, or those of one stage."""
    prefill, decode = STEPS[engine]
    steps = [*([prefill] if stage != "DECODE" else []), *([decode] * 3 if stage != "EXTEND" else [])]
    drawn = []
    for number, name in enumerate(steps):
        at = 1_000_000 * number
        drawn += [range_(name, at, at + 900_000), kernel(at + 20_000, at + 500_000, launched=(at + 100, at + 900))]
    return gzip.compress(kineto_json(trace(drawn), distributedInfo={"rank": rank, "world_size": 2}))


@dataclass
class StandIn:
    """One server. `asked`: every request that reached it. Faults are fields."""

    engine: str
    ranks: int = 1
    folder: Path | None = None  # where vLLM was told to write; None: its profiler is off
    elsewhere: Path | None = None  # a folder of another machine, in the place of the one that was asked for
    running: bool = False
    key: str | None = None
    stop_fails: bool = False
    idle: bool = False  # no request came: nothing ran on the GPU
    dev_mode: bool = False
    halves: list[tuple[Path, bytes]] = field(default_factory=list)
    slow: bool = False  # files are there before they are whole
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    wish: dict[str, Any] = field(default_factory=dict)

    def answer(self, method: str, path: str, body: Any, key: str | None) -> tuple[int, str]:
        self.asked.append((method, path, body))
        if self.key is not None and key != f"Bearer {self.key}":
            return 401, json.dumps({"error": "Unauthorized"})
        if path.startswith("/server_info") and self.engine == "vllm" and self.dev_mode:
            return 200, json.dumps({"vllm_config": {"profiler_config": {"torch_profiler_dir": str(self.folder)}}})
        known = path in ("/start_profile", "/stop_profile")
        if not known or (self.engine == "vllm" and self.folder is None):
            return 404, self._error(404, "Not Found")
        if self.engine == "vllm" and method != "POST":
            return 405, self._error(405, "Method Not Allowed")
        return self._start(body or {}) if path == "/start_profile" else self._stop()

    def _error(self, status: int, message: str) -> str:
        if self.engine == "sglang":
            return json.dumps({"detail": message})
        return json.dumps({"error": {"message": message, "type": message, "param": None, "code": status}})

    def _start(self, body: dict[str, Any]) -> tuple[int, str]:
        if self.running and self.engine == "vllm":
            said = "A profiling session is already active. Call /stop_profile before starting another session."
            return 409, self._error(409, said)
        if self.running and body.get("profile_by_stage"):  # any other start takes the place of the one that runs
            return 500, "Internal Server Error"
        self.running, self.wish = True, body
        if self.engine == "sglang" and body.get("num_steps"):
            self.running = False  # it ends by itself
            stages = ("EXTEND", "DECODE") if body["profile_by_stage"] else ("",)
            for stage in stages:
                self._write(stage)
        elif self.engine == "vllm" and body.get("max_iterations"):
            self._write("")
        return 200, "Start profiling.\n" if self.engine == "sglang" else ""

    def _stop(self) -> tuple[int, str]:
        if self.stop_fails or (self.engine == "sglang" and not self.running):
            return 500, "Internal Server Error"
        if self.running and not self.wish.get("max_iterations"):
            self._write("")
        if self.running and self.engine == "vllm" and self.folder is not None:
            front = trace(op("AsyncLLM.step", 0, 900))
            name = f"{self.wish['profile_prefix']}_gpubox_77.async_llm.1.pt.trace.json.gz"
            (self.folder / name).write_bytes(gzip.compress(kineto_json(front)))
        self.running = False
        return 200, "Stop profiling. This will take some time.\n" if self.engine == "sglang" else ""

    def _write(self, stage: str) -> None:
        place = self.elsewhere or self.folder or Path(self.wish["output_dir"])
        place.mkdir(parents=True, exist_ok=True)
        for rank in range(self.ranks):
            data = (
                gzip.compress(kineto_json(trace(op("idle", 0, 9)))) if self.idle else served(self.engine, stage, rank)
            )
            path = place / self._name(stage, rank)
            if self.slow:
                path.write_bytes(data[: len(data) // 2])
                self.halves.append((path, data))
            else:
                path.write_bytes(data)

    def _name(self, stage: str, rank: int) -> str:
        if self.engine == "sglang":
            suffix = f"-{stage}" if stage else ""
            return f"{self.wish['profile_prefix']}-1790857026.5-TP-{rank}{suffix}.trace.json.gz"
        prefix = self.wish.get("profile_prefix")
        return f"{prefix}_dp0_pp0_tp{rank}_dcp0_ep0_rank{rank}.179085702{rank}000000000.pt.trace.json.gz"

    def finish(self) -> None:
        """Write the rest of what was begun."""
        for path, data in self.halves:
            path.write_bytes(data)
        self.halves.clear()


@contextmanager
def serving(held: StandIn) -> Iterator[str]:
    """The address of that server while it answers."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, text = held.answer(self.command, self.path, body, self.headers.get("Authorization"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _reply  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
