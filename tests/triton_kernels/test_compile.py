"""Every kernel compiles for GPUs that this machine need not have; the interpreter takes what the compiler does not."""

import pytest

from tests.triton_kernels.running import INTERPRETED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing"),
]


def compiled(kernel, capability=80, **constants):
    """Compile a kernel to PTX; pointers are float32 and aligned, whole numbers int32."""
    from triton import compile as compile_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    pointers = ("preds", "out", "table", "parts", "maps", "tile_sums", "class_sums")
    types = dict.fromkeys(pointers, "*fp32") | {"labels": "*i64", "pred_map": "*i32", "tolerance": "fp32"}
    types |= constants.pop("types", {})
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in kernel.arg_names}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    return compile_kernel(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": 4, "enable_fp_fusion": True}
    ).asm["ptx"]


@pytest.fixture(scope="module", autouse=True)
def compiler():
    pytest.importorskip("triton", reason="needs Triton (the extra dev, on Linux x86-64)")


LOSSES = {"LOSS_CODES": 0x3210, "NUM_LOSSES": 4}


@pytest.mark.parametrize(("kind", "sigmoid"), [(0, False), (1, True), (2, False), (2, True)])
def test_narrow_rows_and_positions(kind, sigmoid):
    from evaltool.triton_kernels import maps, rows

    assert "ret;" in compiled(rows.score_narrow_rows, KIND=kind, SIGMOID=sigmoid, BLOCK=128, **LOSSES)
    assert "ret;" in compiled(maps.score_positions, KIND=kind, SIGMOID=sigmoid, REGIONS=True, BLOCK=512, **LOSSES)


@pytest.mark.parametrize(("kind", "preds"), list(enumerate(["*fp16", "*bf16", "*fp32"])))
def test_wide_rows(kind, preds):
    from evaltool.triton_kernels import rows

    tiles = {"ROWS": 1, "COLUMNS": 1024, "ALIGNED": 8}
    ptx = compiled(rows.reduce_wide_rows, 90, KIND=kind, types={"preds": preds}, **tiles)
    # of a coarse exponential, and of small numbers that become 0, nothing would be seen without a GPU
    assert "ex2.approx" not in ptx
    assert "mul.ftz" not in ptx
    assert "ret;" in compiled(rows.finish_wide_rows, KIND=kind, BLOCK=128, types={"preds": preds}, **LOSSES)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_sums_and_samples(sigmoid):
    from evaltool.triton_kernels import maps

    doubles = {"sums": "*fp64"}
    assert "ret;" in compiled(maps.add_tiles, types=doubles, TILES=16, WIDTH=64)
    doubles["class_sums"] = "*fp64"
    assert "ret;" in compiled(maps.finish_samples, types=doubles, EVERYWHERE=8, SIGMOID=sigmoid, CLASSES=32, **LOSSES)
