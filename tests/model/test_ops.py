"""The catalogue of ops: complete, consistent with the schema, and the one home of what it says."""

import ast
from pathlib import Path

import tflite

import tinydeploy
from tinydeploy.engines.aot.lowering.dispatch import LOWERINGS
from tinydeploy.model.canonicalize.constant_folding import FOLDERS
from tinydeploy.model.canonicalize.shape_inference import RULES
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.catalogue import CATALOGUE
from tinydeploy.model.ops.op_kind import ANY, JOINED, Family, GoesBy
from tinydeploy.report.families import FAMILIES, family

BUILTIN = {name for name in dir(tflite.BuiltinOperator) if name.isupper()} - {"CUSTOM", "DELEGATE"}


def test_every_row_is_of_an_op_that_exists() -> None:
    assert {kind for kind in CATALOGUE if not kind.startswith("CUSTOM:")} <= BUILTIN
    adders = [row.resolver for row in CATALOGUE.values() if row.resolver]
    assert len(set(adders)) == len(adders) > 100
    assert all(row.resolver for row in CATALOGUE.values() if row.fast_kernels)


def test_every_op_has_a_lowering_or_a_reason_why_not() -> None:
    assert set(LOWERINGS) <= set(CATALOGUE)
    for kind, row in CATALOGUE.items():
        assert (kind in LOWERINGS) != bool(row.without_aot), kind


def test_every_op_that_the_package_speaks_of_has_a_row() -> None:
    named: dict[str, Path] = {}
    for path in Path(tinydeploy.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named |= dict.fromkeys({node.value} & BUILTIN, path)
    others = {"CALL", "LSTM"}  # words that mean other things, too
    assert not {kind: path for kind, path in named.items() if kind not in CATALOGUE}.keys() - others
    assert {*RULES, *FOLDERS} <= set(CATALOGUE)


def test_tables_of_options_are_the_schemas() -> None:
    for kind, row in CATALOGUE.items():
        assert not row.options or hasattr(tflite, row.options), kind
        assert row.options or not (row.options_needed or row.fuses), kind


def test_the_report_draws_every_family() -> None:
    assert {each.value for each in Family} <= set(FAMILIES)
    assert family("an op that nobody knows") in FAMILIES


def test_families_are_what_the_ops_do() -> None:
    for kind, row in CATALOGUE.items():
        if row.macs is not None:
            assert row.family in (Family.CONV, Family.DEPTHWISE, Family.DENSE), kind
        if row.moves is not None or row.moved_types or row.reshapes or row.picks:
            assert row.family is Family.MOVEMENT, kind
    sample = {
        "TRANSPOSE_CONV": "conv",
        "BATCH_MATMUL": "dense",
        "SVDF": "dense",
        "GATHER": "movement",
        "SLICE": "movement",
        "SPACE_TO_BATCH_ND": "movement",
        "CAST": "movement",
        "SOFTMAX": "elementwise",
        "RESIZE_BILINEAR": "elementwise",
    }
    assert {kind: family(kind) for kind in sample} == sample


def test_facts_that_go_together() -> None:
    for kind, row in CATALOGUE.items():
        if row.goes_by is GoesBy.ROW:
            assert row.is_convolution or "Pool" in row.options + row.resolver, kind
        assert row.moves is None or row.moves == JOINED or row.inputs[row.moves] in (ANY, 4), kind
        assert not row.clamps or row.is_function, kind
        assert not row.int4_weights or row.macs is not None, kind
        assert (row.moves is None) or row.moved_types, kind
    assert catalogue.kinds(lambda op: op.recodes) == ("CAST", "DEQUANTIZE", "QUANTIZE")
    assert catalogue.JOINS == ("CONCATENATION", "PACK")


def test_of_an_op_without_a_row_nothing_is_known() -> None:
    unknown = catalogue.of("CUSTOM:of a user")
    assert not (unknown.inputs or unknown.options or unknown.resolver or unknown.macs)
    assert unknown.goes_by is GoesBy.WHOLE
