"""Which of a library's sources a model needs, in a tree of a few files."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.engines.tflm.source_selection import KERNELS, Sources

CMSIS_NN = Path("third_party/cmsis_nn/Source")
FILES = {
    KERNELS
    / "lstm.cc": '#include "tensorflow/lite/micro/kernels/gate.h"\nint Register_LSTM() {\n  return 1;\n}\n',
    KERNELS / "gate.h": "int gate();\n",
    KERNELS / "gate_common.cc": "int gate() {\n  return arm_activation(2);\n}\n",
    KERNELS / "add.cc": "int Register_ADD() {\n  return arm_add(1);\n}\n",
    CMSIS_NN / "a" / "activation.c": "int arm_activation(int x) {\n  return sigmoid_table[x];\n}\n",
    CMSIS_NN / "b" / "tables.c": "const uint16_t sigmoid_table[2] = {\n  1, 2};\n",
    CMSIS_NN / "b" / "others.c": "const uint16_t exp_table[2] = {1, 2};\n",
    CMSIS_NN / "c" / "add.c": "int arm_add(int x) {\n  return x;\n}\n",
}


def test_what_a_kernel_includes_calls_and_looks_up(tmp_path: Path) -> None:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    sources = Sources(tmp_path)
    assert sources.needed(["Register_ADD"]) == (str(KERNELS / "add.cc"), str(CMSIS_NN / "c" / "add.c"))
    lstm = (KERNELS / "gate_common.cc", KERNELS / "lstm.cc", CMSIS_NN / "a" / "activation.c")
    assert sources.needed(["Register_LSTM"]) == (*map(str, lstm), str(CMSIS_NN / "b" / "tables.c"))
    assert sources.needed(["Register_MUL"]) is None
