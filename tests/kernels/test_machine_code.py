"""What the compiler made of the fused kernel for Ampere, Hopper and Blackwell: accesses, spills, registers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rope_prof.kernels.mrope.fused import blocks, constants
from rope_prof.kernels.mrope.lengths import Length
from rope_prof.kernels.mrope.shape import ERNIE_28B, ERNIE_424B, QWEN2_VL_7B, MropeShape, Order, Pairing
from rope_prof.kernels.mrope.turning import BEFORE_ROWS, GUESSED, guesses

from tests.kernels.machine_code import MachineCode, cache_write_code, machine_code
from tests.kernels.shapes import small

SHARED_MEMORY = ("LDS", "STS", "LDSM", "STSM", "BAR", "SHFL")
SPILLS = ("LDL", "STL")
OVERLAP = ("ACQBULK", "PREEXIT")

#: The 65,536 registers of a multiprocessor then hold 25 warps of one row block each.
REGISTER_LIMIT = 80

ERNIE = [
    pytest.param(ERNIE_28B, "bf16", 80, id="28b bf16 sm_80"),
    pytest.param(ERNIE_28B, "bf16", 90, id="28b bf16 sm_90"),
    pytest.param(ERNIE_28B, "bf16", 100, id="28b bf16 sm_100"),
    pytest.param(ERNIE_28B, "fp16", 90, id="28b fp16"),
    pytest.param(ERNIE_28B, "fp32", 90, id="28b fp32"),
    pytest.param(ERNIE_28B.tp(2), "bf16", 90, id="10/2"),
    pytest.param(ERNIE_28B.tp(4), "bf16", 90, id="5/1"),
    pytest.param(ERNIE_424B, "bf16", 90, id="64/8"),
    pytest.param(ERNIE_424B.tp(8), "bf16", 90, id="8/1"),
]


def assert_no_spills(code: MachineCode) -> None:
    assert code.count(*SPILLS) == 0
    assert code.stack_bytes == 0
    assert code.registers <= REGISTER_LIMIT


@pytest.mark.parametrize(("shape", "dtype", "capability"), ERNIE)
def test_q_and_k_move_as_128_bits_once_each_way(
    shape: MropeShape, dtype: str, capability: int, record_property: pytest.RecordProperty
) -> None:
    code = machine_code(shape, dtype, capability)
    record_property("registers", code.registers)
    heads = blocks(shape, 4 if dtype == "fp32" else 2).heads
    assert code.count("LDG.E.128") == code.count("STG.E.128") == code.count("STG") == heads
    assert code.count("LDG.E.64") == 3  # the three positions
    assert code.count("LDG.E.U16", "LDG.E.U8") == 0
    assert_no_spills(code)


@pytest.mark.parametrize(("shape", "dtype", "capability"), ERNIE)
def test_nothing_goes_through_shared_memory_or_waits_at_a_barrier(
    shape: MropeShape, dtype: str, capability: int
) -> None:
    code = machine_code(shape, dtype, capability)
    assert code.count(*SHARED_MEMORY) == 0
    assert code.shared_bytes == 0


@pytest.mark.parametrize(("capability", "waits"), [(80, 0), (90, 1), (100, 1)])
def test_launches_overlap_where_the_hardware_can(capability: int, waits: int) -> None:
    code = machine_code(ERNIE_28B, "bf16", capability)
    assert [code.count(name) for name in OVERLAP] == [waits, waits]


def test_an_unaligned_view_takes_narrow_accesses() -> None:
    code = machine_code(ERNIE_28B, "bf16", 90, aligned=False)
    assert code.count("LDG.E.128") == code.count("STG.E.128") == 0
    assert_no_spills(code)


@pytest.mark.parametrize(
    ("order", "pairing", "wide_loads"),
    [
        ("ernie", "neox", 12),
        ("chunked", "interleaved", 6 + 2),
        ("chunked", "neox", 12 + 4),
        ("interleaved", "interleaved", 6 + 6),
        ("interleaved", "neox", 12 + 12),
    ],
)
def test_other_orders_and_pairings_stay_wide_and_in_registers(order: Order, pairing: Pairing, wide_loads: int) -> None:
    """The rows' own loads and, but for the Ernie order, cos and sin in 128 bits too."""
    code = machine_code(small(20, 4, order, pairing), "bf16", 90)
    assert code.count("LDG.E.128") == wide_loads
    assert code.count("STG.E.128") == code.count("STG") == (12 if pairing == "neox" else 6)
    assert code.count(*SHARED_MEMORY) == 0
    assert_no_spills(code)


@pytest.mark.parametrize("early", [BEFORE_ROWS, GUESSED])
@pytest.mark.parametrize(("order", "pairing"), [("ernie", "interleaved"), ("interleaved", "neox"), ("chunked", "neox")])
def test_short_calls_stay_in_registers_and_load_each_guess_once(order: Order, pairing: Pairing, early: int) -> None:
    """A guess that is loaded again for the table may be another one than what is held against the positions."""
    shape = small(20, 4, order, pairing)
    code, cut = machine_code(shape, "bf16", 90, length="decode", early=early), blocks(shape, 2, "decode")
    again = 2 if early == GUESSED else 1  # a wrong guess is stored over
    assert code.count("STG.E.128") == code.count("STG") == again * cut.heads * (2 if pairing == "neox" else 1)
    assert code.count("LDG.E.64.STRONG.GPU") == (3 if early == GUESSED else 0)
    assert code.count("LDS", "STS", "BAR", "SHFL") == code.shared_bytes == 0
    assert code.stack_bytes == code.count(*SPILLS) == 0
    assert code.registers <= (REGISTER_LIMIT if early == blocks(shape, 2, "decode").early else 120)


def assert_only_guesses_are_ahead_of_the_wait(code: MachineCode) -> None:
    """Rows, slots, scales and table may still be written there. `STRONG.SYS` are the loads that never happen."""
    memory = {name: n for name, n in code.ahead.items() if name.startswith(("LDG", "LD.", "ST", "ATOM", "RED", "CCTL"))}
    loads = {name for name in memory if name.startswith("LDG.E") and name.endswith("STRONG.SYS")}
    assert {name for name in memory if name not in loads} <= {"LDG.E.64.STRONG.GPU", "CCTL.E.PF2"}
    assert memory["LDG.E.64.STRONG.GPU"] == 3


@pytest.mark.parametrize("length", ["step", "decode"])
@pytest.mark.parametrize(("shape", "cached"), [(ERNIE_28B, "bf16"), (ERNIE_28B, "fp8e4nv"), (QWEN2_VL_7B, "bf16")])
def test_the_cache_write_loads_each_guess_once_and_stays_in_registers(
    shape: MropeShape, cached: str, length: Length
) -> None:
    code = cache_write_code(shape, cached, length)
    assert_only_guesses_are_ahead_of_the_wait(code)
    assert code.count("LDG.E.64.STRONG.GPU") == 3
    assert code.count("LDS", "STS", "BAR", "SHFL", *SPILLS) == code.shared_bytes == code.stack_bytes == 0
    assert code.registers <= REGISTER_LIMIT


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize(
    "shape",
    [ERNIE_28B, QWEN2_VL_7B, small(3, 1, "ernie", "interleaved", 56), small(3, 1, "chunked", "interleaved")],
)
def test_whatever_guesses_loads_each_guess_once(shape: MropeShape, dtype: str) -> None:
    assert guesses(shape, "step")
    code = machine_code(shape, dtype, length="step")
    assert code.count("LDG.E.64.STRONG.GPU") == 3
    assert_only_guesses_are_ahead_of_the_wait(code)


@pytest.mark.parametrize(
    "shape",
    [
        replace(QWEN2_VL_7B, head_dim=64, rotary_dim=64, sections=(10, 11, 11)),
        small(3, 1, "chunked", "interleaved", 56),
        replace(small(20, 4, "chunked"), sections=(21, 21, 22)),
        replace(small(20, 4), sections=(22, 21, 21)),
    ],
)
def test_what_would_load_a_guess_more_than_once_does_not_guess(shape: MropeShape) -> None:
    """Narrow heads, and sections that end within four pairs: another guess than was taken might be held against."""
    assert not guesses(shape, "step") and not guesses(shape, "decode")
    code = machine_code(shape, length="step")
    assert code.count("LDG.E.64.STRONG.GPU") == 0


@pytest.mark.parametrize("pairing", ["interleaved", "neox"])
def test_partial_rotary_dims_do_not_spill(pairing: Pairing) -> None:
    code = machine_code(small(3, 1, "ernie", pairing, 56), "bf16", 90)
    assert_no_spills(code)
    assert code.shared_bytes == 0


@pytest.mark.parametrize(
    "heads", [(20, 4), (10, 2), (5, 1), (64, 8), (32, 4), (16, 2), (8, 1), (13, 1), (1, 1), (7, 4)]
)
@pytest.mark.parametrize("itemsize", [2, 4])
def test_blocks_cover_the_heads_with_one_warp_of_whole_16_byte_lanes(heads: tuple[int, int], itemsize: int) -> None:
    shape = small(*heads)
    cut = blocks(shape, itemsize)
    assert cut.warps * 32 * 16 == cut.tokens * shape.head_dim * itemsize
    programs = -(-shape.heads // cut.heads)
    assert 1 <= cut.heads <= 8 and programs * cut.heads - shape.heads < programs, "no program lacks two heads"
    if heads in {(20, 4), (10, 2), (5, 1), (64, 8), (32, 4), (16, 2)}:
        assert cut.heads == 6


def test_the_constants_depend_on_no_prompt_length_or_stride() -> None:
    cut = blocks(ERNIE_28B, 2)
    fixed = constants(ERNIE_28B, cut, 2, aligned=True, overlap=True)
    assert fixed["ALIGN"] == 8 and constants(ERNIE_28B, cut, 4, aligned=True, overlap=True)["ALIGN"] == 4
    assert constants(ERNIE_28B, cut, 2, aligned=False, overlap=True)["ALIGN"] == 1
    assert not {name for name in fixed if "TOKENS" in name or "STRIDE" in name} - {"BLOCK_TOKENS"}
