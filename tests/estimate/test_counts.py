"""Which class an instruction belongs to, by what the disassembler writes."""

from __future__ import annotations

import pytest

from tinydeploy.estimate.counts import _classes, _classified
from tinydeploy.firmware.code import Instruction


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("ldr.w r3, [r1]", {"load": 1, "load_extra_words": 0}),
        ("ldrsbne r3, [r1, #1]", {"load": 1, "load_extra_words": 0}),
        ("ldrd r0, r1, [r2], #8", {"load": 1, "load_extra_words": 1}),
        ("ldmia.w sp!, {r4, r5, r6, r7, r8, pc}", {"load": 1, "load_extra_words": 5}),
        ("ldmia r0!, {r1-r4, r6}", {"load": 1, "load_extra_words": 4}),
        ("pop {r4, pc}", {"load": 1, "load_extra_words": 1}),
        ("vldr s15, [r3]", {"load": 1, "load_extra_words": 0}),
        ("vldr d7, [pc, #8]", {"load": 1, "load_extra_words": 1}),
        ("vldmia r3!, {s14-s17}", {"load": 1, "load_extra_words": 3}),
        ("vpush {d8-d9}", {"stores": 1, "store_extra_words": 3}),
        ("strd r0, r1, [r2]", {"stores": 1, "store_extra_words": 1}),
        ("strb r0, [r2]", {"stores": 1, "store_extra_words": 0}),
        ("smlad r0, r1, r2, r0", {"dual_multiplies": 1}),
        ("smlabt r0, r1, r2, r0", {"dual_multiplies": 1}),
        ("smlal r0, r1, r2, r3", {"long_multiplies": 1}),
        ("smmulr r0, r1, r2", {"long_multiplies": 1}),
        ("mla r0, r1, r2, r3", {"multiplies": 1}),
        ("muls r0, r1", {"multiplies": 1}),
        ("sdiv r0, r1, r2", {"divisions": 1}),
        ("udivne r0, r1, r2", {"divisions": 1}),
        ("vdiv.f32 s0, s1, s2", {"float_operations": 1, "float_divisions": 1}),
        ("vmla.f32 s0, s1, s2", {"float_operations": 1}),
        ("vmladava.s8 r2, q0, q1", {"vector_instructions": 1, "vector_beats": 4}),
        ("vldrb.s16 q3, [r0]", {"vector_instructions": 1, "vector_beats": 4, "load": 1}),
        ("lbu a5,0(a0)", {"load": 1}),
        ("sw a5,0(a0)", {"stores": 1}),
        ("mulh a5,a0,a1", {"long_multiplies": 1}),
        ("remu a5,a0,a1", {"divisions": 1}),
        ("adds r0, #1", {}),
        ("b.n 10", {}),
    ],
)
def test_the_class_of_an_instruction(text: str, classes: dict[str, int]) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert _classes(Instruction(0, 2, mnemonic, operands, "f")) == classes


def test_loads_that_follow_each_other_are_one_chain() -> None:
    code = [
        Instruction(8, 2, "ldr", "r0, [r1]", "f"),
        Instruction(10, 4, "ldrd", "r0, r1, [r2]", "f"),
        Instruction(14, 2, "adds", "r0, #1", "f"),
        Instruction(16, 4, "ldr.w", "r0, [r1]", "f"),
        Instruction(32, 4, "ldr.w", "r0, [r1]", "g"),
    ]
    first, second, third, fourth, fifth = _classified(code)
    assert "first_loads" in first and "chained_loads" in second
    assert "first_loads" in fourth and "first_loads" in fifth, "of another function, behind a gap"
    assert [("code_lines" in one) for one in (first, second, third, fourth, fifth)] == [
        True, False, False, True, True,
    ]  # fmt: skip
