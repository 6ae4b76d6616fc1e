"""The fused kernel compiled ahead of time, and what its machine code holds. Needs no GPU: Triton carries the tools."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import triton.backends.nvidia
from rope_prof.kernels.launch import options
from rope_prof.kernels.mrope.fused import KERNEL, blocks, constants
from rope_prof.kernels.mrope.lengths import Length
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import Pages
from rope_prof.kernels.mrope_kv.cut import cut
from rope_prof.kernels.mrope_kv.kernel import mrope_kv_kernel
from rope_prof.kernels.mrope_kv.program import constants as kv_constants
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_POINTERS = {"q_ptr": "*{}", "k_ptr": "*{}", "positions_ptr": "*i64", "table_ptr": "*fp32"}


@dataclass(frozen=True, slots=True)
class MachineCode:
    """Instruction counts by full name (`LDG.E.128`), registers a thread, bytes of stack and of shared memory.

    `ahead`: those in front of the wait for the kernel ahead; none where there is no wait.
    """

    instructions: Counter[str]
    ahead: Counter[str]
    registers: int
    stack_bytes: int
    shared_bytes: int

    def count(self, *names: str) -> int:
        """Instructions that are one of `names` or begin with one and a dot."""
        return sum(n for op, n in self.instructions.items() if any(op == x or op.startswith(f"{x}.") for x in names))


@cache
def machine_code(
    shape: MropeShape,
    dtype: str = "bf16",
    capability: int = 90,
    *,
    aligned: bool = True,
    length: Length = "long",
    early: int | None = None,
) -> MachineCode:
    """The kernel as `launch` compiles it for `shape` and `dtype` on `capability`, for calls of `length`.

    `early`: positions at another time than the cut has it.
    """
    itemsize = 4 if dtype == "fp32" else 2
    overlap = capability >= 90
    how = blocks(shape, itemsize, length)
    how = how if early is None else replace(how, early=early)
    fixed = constants(shape, how, itemsize, aligned=aligned, overlap=overlap)
    by_16 = ("q_ptr", "k_ptr", "table_ptr") if aligned else ()
    pointers = {name: kind.format(dtype) for name, kind in _POINTERS.items()}
    return _compiled(KERNEL, pointers, fixed, by_16, how.warps, capability)


def cache_write_code(shape: MropeShape, cached: str, length: Length) -> MachineCode:
    """The kernel with the cache write, of bf16 rows, for calls of `length` on Hopper; fp8 with a scale a tensor."""
    size = 16 * shape.kv_heads * shape.head_dim
    pages = Pages(9, 16, shape.kv_heads, shape.head_dim, size, size // 16, shape.head_dim)
    how = cut(shape, 2, length)
    fixed = kv_constants(shape, pages, 2, how, scales=int(cached != "bf16"), aligned=True, overlap=True)
    caches = dict.fromkeys(("k_cache_ptr", "v_cache_ptr"), f"*{cached}")
    rows = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*bf16")
    others = {"slots_ptr": "*i64", **dict.fromkeys(("k_scale_ptr", "v_scale_ptr"), "*fp32")}
    pointers = _POINTERS | rows | caches | others
    return _compiled(mrope_kv_kernel, pointers, fixed, (*rows, *caches, "table_ptr"), how.warps, 90)


def _compiled(
    kernel: Any, pointers: Mapping[str, str], fixed: Mapping[str, int | bool], by_16: Sequence[str], warps: int, on: int
) -> MachineCode:
    """`kernel` for capability `on`; pointers `by_16` are multiples of 16, all else that is not `fixed` is int32."""
    signature = dict.fromkeys(kernel.arg_names, "i32") | pointers | dict.fromkeys(fixed, "constexpr")
    attrs = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in by_16}
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed, attrs=attrs)
    compiled = triton.compile(source, target=GPUTarget("cuda", on, 32), options=options(warps, overlap=on >= 90))
    return _read(compiled.asm["cubin"])


def _read(cubin: bytes) -> MachineCode:
    tool = Path(triton.backends.nvidia.__file__).parent / "bin/cuobjdump"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        done = subprocess.run([tool, "-sass", "-res-usage", file], capture_output=True, text=True, check=True)
    usage = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", done.stdout + done.stderr)
    lines = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][\w.]+)", done.stdout, re.MULTILINE)
    if usage is None or not lines:
        raise ValueError(f"cuobjdump told neither registers nor instructions: {done.stdout[:300]!r}")
    registers, stack, shared = map(int, usage.groups())
    wait = next((at for at, name in enumerate(lines) if name.startswith("ACQBULK")), 0)
    return MachineCode(Counter(lines), Counter(lines[:wait]), registers, stack, shared)
