"""What SGLang and vLLM want to be told, and what their answers mean. Requests and replies alone; nothing is sent here.

SGLang 0.5.23 (`sglang/srt/entrypoints/http_server.py`, `managers/scheduler_components/profiler_manager.py`):
`/start_profile` and `/stop_profile`, GET or POST, 200 with a line of text. Options are JSON: `output_dir`, `num_steps`,
`activities`, `with_stack`, `record_shapes`, `profile_by_stage`, `profile_prefix`. A stop answers once every rank's
`PREFIX-<time>-TP-<n>[-DP-<n>][-PP-<n>][-EP-<n>][-EXTEND|-DECODE].trace.json.gz` is written. What its scheduler refuses
is 500 without a reason: a stop while none runs; a start by stage while one runs. Any other start while one runs is not
refused and takes the first one's trace away. `profile_by_stage` without `num_steps`, and a folder that the server
cannot write to, end its scheduler. With SGLANG_PROFILE_V2=1 it takes starts by stage alone.

vLLM 0.33.0 (`vllm/entrypoints/serve/profile/api_router.py`, `v1/engine/async_llm.py`, `v1/worker/gpu_worker.py`): POST
`/start_profile` and `/stop_profile`, 200 without a text; 404 where the server was started without a profiler
(`--profiler-config.profiler torch --profiler-config.torch_profiler_dir DIR`; until 0.12 VLLM_TORCH_PROFILER_DIR); 409
where one runs (older versions answer 200 and go on). Options are JSON that older versions do not read:
`profile_prefix`, `max_iterations`, `profiler_kwargs`. After `max_iterations` workers end by themselves, the session
still needs its stop, which answers once every worker's `PREFIX_dp0_pp0_tp0_dcp0_ep0_rank0.<ns>.pt.trace.json.gz` is
written; `*.async_llm.*` is the front end's, without a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from rope_prof.engines.http import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be recorded. `folder`: where the server is to write (SGLang) or is known to write (vLLM)."""

    seconds: float
    folder: str
    prefix: str
    steps: int | None = None
    by_stage: bool = False
    stacks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingEngine:
    """How one engine is spoken to.

    `refusals`: status of a refused start -> why, and what to do. `idle_stop`: the status of a stop while none runs,
    None where that is no error. `front_end`: part of the names of files that hold no GPU work. `stages`: parts of names
    of which a recording by stage makes one file each.
    """

    title: str
    body: Callable[[Wish], dict[str, Any]]
    refusals: Mapping[int, str]
    idle_stop: int | None = None
    front_end: str = "\0"
    stages: tuple[str, ...] = ()


def _sglang(wish: Wish) -> dict[str, Any]:
    body: dict[str, Any] = {
        "output_dir": wish.folder,
        "activities": ["CPU", "GPU"],
        "with_stack": wish.stacks,
        "record_shapes": True,
        "profile_prefix": wish.prefix,
        "profile_by_stage": wish.by_stage,
    }
    return body if wish.steps is None else body | {"num_steps": wish.steps}


def _vllm(wish: Wish) -> dict[str, Any]:
    body = {
        "profile_prefix": wish.prefix,
        "profiler_kwargs": {"with_stack": wish.stacks, "record_shapes": True},
    }
    return body if wish.steps is None else body | {"max_iterations": wish.steps}


_KEY: Final = "it wants a key: put it in an environment variable and name that by --key-env"
_KEYS: Final = {401: _KEY, 403: _KEY}

ENGINES: Final = {
    "sglang": ServingEngine(
        title="SGLang",
        body=_sglang,
        refusals={
            **_KEYS,
            404: "it has no /start_profile; is it SGLang, and its own address, not a router's?",
            500: "its log says why: a recording runs there already (end it by a POST to /stop_profile), or the "
            "profiler failed",
        },
        idle_stop=500,
        stages=("-EXTEND", "-DECODE"),
    ),
    "vllm": ServingEngine(
        title="vLLM",
        body=_vllm,
        refusals={
            **_KEYS,
            404: "its profiler is off: start it with --profiler-config.profiler torch "
            "--profiler-config.torch_profiler_dir DIR (before 0.13: VLLM_TORCH_PROFILER_DIR=DIR)",
            409: "a recording runs there already; end it by a POST to /stop_profile, or wait for it",
        },
        front_end=".async_llm.",
    ),
}


def refusal(engine: ServingEngine, reply: Reply) -> str:
    """Why a start was refused: `answered 409 (A profiling session is already active...): what to do`."""
    said = _said(reply.text)
    what = engine.refusals.get(reply.status, "its log says why")
    return f"answered {reply.status}{f' ({said})' if said else ''}: {what}"


def vllm_folder(reply: Reply) -> str | None:
    """The folder that vLLM writes to, of its `/server_info?config_format=json`; VLLM_SERVER_DEV_MODE=1 alone has it."""
    with suppress(ValueError, KeyError, TypeError):
        folder = json.loads(reply.text)["vllm_config"]["profiler_config"]["torch_profiler_dir"]
        return folder if isinstance(folder, str) and folder else None
    return None


def _said(text: str) -> str:
    """The reason in a reply: the message of vLLM's JSON, `detail` of FastAPI's, else its first line."""
    told: Any = text
    with suppress(ValueError):
        told = json.loads(text)
        for name in ("error", "message"):
            told = told.get(name, told) if isinstance(told, dict) else told
        told = told.get("detail", told) if isinstance(told, dict) else told
    return " ".join(str(told).split())[:200].rstrip(".")
