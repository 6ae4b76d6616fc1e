"""The server, driven by the official client over the very process that an agent starts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import StdioServerParameters, stdio_client
from mcp.client.client import Client

from rope_prof.agents.permitted import permitted
from rope_prof.errors import UsageError
from tests.commands.gated import twice
from tests.own_thread import in_own_thread

ROOT = Path(__file__).parents[2]
RUN = "h200-silu-mul"
TRACE = f"{RUN}/{next((ROOT / 'traces' / RUN).glob('unfused.eager*.r0.trace.json.gz')).name}"
Talk = Callable[[Client], Awaitable[Any]]


def talk(what: Talk, *folders: Path) -> Any:
    """Start the server on `folders`, talk to it, end it."""

    async def whole() -> Any:
        words = [word for folder in folders for word in ("--folder", str(folder))]
        start = StdioServerParameters(
            command=sys.executable, args=["-m", "rope_prof", "mcp", *words], env={"PYTHONPATH": str(ROOT)}
        )
        async with Client(stdio_client(start)) as client:
            return await what(client)

    return in_own_thread(lambda: anyio.run(whole))


def answered(result: Any) -> dict[str, Any]:
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    return found


def refused(result: Any) -> dict[str, Any]:
    assert result.is_error
    text = result.content[0].text
    error: dict[str, Any] = json.loads(text[text.index("{") :])["error"]
    return error


def test_its_tools_are_those_of_the_document() -> None:
    async def ask(client: Client) -> set[str]:
        return {tool.name for tool in (await client.list_tools()).tools}

    assert talk(ask, ROOT / "traces") == {"record", "show", "compare", "analyze", "diff", "explain_gap"}


def test_it_shows_compares_analyzes_and_explains() -> None:
    async def ask(client: Client) -> list[Any]:
        calls = [
            ("show", {"run": RUN}),
            ("compare", {"base": f"{RUN}:unfused/graph", "cand": f"{RUN}:fused/graph", "fail_on": ["wall>3%"]}),
            ("analyze", {"trace": TRACE, "chains": True}),
            ("explain_gap", {"trace": TRACE, "longest": 2}),
            ("diff", {"before": TRACE, "after": TRACE}),
        ]
        return [await client.call_tool(name, arguments) for name, arguments in calls]

    shown, compared, analyzed, gaps, diff = map(answered, talk(ask, ROOT / "traces"))
    assert shown["keys"]
    assert compared["exit_code"] == 0
    assert {one["word"] for one in compared["verdicts"]} >= {"FASTER"}
    assert analyzed["integrity"]["verdict"] == "sound"
    assert analyzed["chains"] == []
    assert len(gaps["gaps"]) == 2
    for gap in gaps["gaps"]:
        assert sum(piece["dur_ns"] for piece in gap["causes"]) == gap["gap_dur_ns"]
    assert diff["schema_version"] == 1


def test_errors_are_json_with_a_code(tmp_path: Path) -> None:
    async def ask(client: Client) -> list[Any]:
        calls = [
            ("show", {"run": "no-such-run"}),
            ("show", {"run": "/etc"}),
            ("analyze", {"trace": "../README.md"}),
            ("record", {"operation": "os:path"}),
            ("explain_gap", {"trace": "empty.json"}),
            ("analyze", {"trace": "--help"}),
            ("analyze", {"trace": "a\0b"}),
            ("record", {"paths": ["os:system"], "device": "cpu"}),
            ("record", {"operation": "none", "device": "cpu"}),
            ("explain_gap", {"trace": Path(TRACE).name, "at_ms": 1e300}),
        ]
        return [await client.call_tool(name, arguments) for name, arguments in calls]

    (tmp_path / "empty.json").write_text("{}")
    shutil.copy(ROOT / "traces" / TRACE, tmp_path)
    codes = [refused(one) for one in talk(ask, tmp_path)]
    assert [one["code"] for one in codes] == ["run", "usage", "usage", "usage", "trace", *["usage"] * 5]
    assert "no run in" in codes[0]["message"]
    assert all(one["exit_code"] for one in codes)


def test_links_out_of_the_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/link").symlink_to(ROOT / "traces")
    allowed = permitted((tmp_path / "inside",))
    assert allowed.path("new-run") == tmp_path.resolve() / "inside/new-run"
    for text in ("link", f"link/{RUN}", "../other", "https://example.com/trace.json", "s3://bucket/trace.json"):
        with pytest.raises(UsageError):
            allowed.path(text)


def test_nothing_that_a_candidate_prints_is_taken_for_a_figure(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(twice(LOUD, "loud"))

    async def ask(client: Client) -> Any:
        told: list[float] = []

        async def progress(done: float, _total: float | None, _message: str | None) -> None:
            told.append(done)

        arguments = {"operation": "loud.py:operation", "device": "cpu", "modes": ["eager"], "out": "run"}
        return await client.call_tool("record", arguments, progress_callback=progress), told

    result, told = talk(ask, tmp_path)
    found = answered(result)
    assert told
    assert found["exit_code"] == 0
    assert found["run"] == str(tmp_path / "run")
    assert "314159271828" not in json.dumps(found)
    assert {row["path"] for row in found["show"]["keys"]} == {"plain", "loud"}


def test_a_cancelled_recording_leaves_no_process(tmp_path: Path) -> None:
    async def ask(client: Client) -> None:
        with anyio.move_on_after(3):
            await client.call_tool("record", {"device": "cpu", "quick": True, "out": "run"})
        for _ in range(100):
            left = [
                one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())
            ]
            if not [one for one in left if "record" in (one.info["cmdline"] or ())]:
                return
            await anyio.sleep(0.2)
        raise AssertionError(left)

    talk(ask, tmp_path)


#: An operation whose file and candidate print what looks like answers of ours, to both streams, and last of all.
LOUD = """
import atexit
print("error: 314159271828", file=sys.stderr, flush=True)
atexit.register(print, "error: 314159271828", file=sys.stderr, flush=True)


def loud(x):
    answer = json.dumps({"keys": [{"path": "loud", "wall_ns": 314159271828}], "speedup": 314159271828})
    for stream in (sys.stdout, sys.stderr):
        print(answer, file=stream, flush=True)
    print("error: 314159271828", file=sys.stderr, flush=True)
    return x * 2
"""
