"""The fused kernel compiled ahead of time, and what its machine code holds. Needs no GPU: Triton carries the tools."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import triton.backends.nvidia
from rope_prof.kernels.launch import options
from rope_prof.kernels.mrope.fused import KERNEL, blocks, constants
from rope_prof.kernels.mrope.lengths import Length
from rope_prof.kernels.mrope.shape import MropeShape
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

_POINTERS = {"q_ptr": "*{}", "k_ptr": "*{}", "positions_ptr": "*i64", "table_ptr": "*fp32"}


@dataclass(frozen=True, slots=True)
class MachineCode:
    """Instruction counts by full name (`LDG.E.128`), registers a thread, bytes of stack and of shared memory."""

    instructions: Counter[str]
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
    cut = blocks(shape, itemsize, length)
    cut = cut if early is None else replace(cut, early=early)
    fixed = constants(shape, cut, itemsize, aligned=aligned, overlap=overlap)
    signature = (
        dict.fromkeys(KERNEL.arg_names, "i32")
        | {name: kind.format(dtype) for name, kind in _POINTERS.items()}
        | dict.fromkeys(fixed, "constexpr")
    )
    by_16 = [KERNEL.arg_names.index(name) for name in ("q_ptr", "k_ptr", "table_ptr")] if aligned else []
    source = ASTSource(
        fn=KERNEL,
        signature=signature,
        constexprs=fixed,
        attrs={(index,): [["tt.divisibility", 16]] for index in by_16},
    )
    how = options(cut.warps, overlap=overlap)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=how)
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
    return MachineCode(Counter(lines), registers, stack, shared)
