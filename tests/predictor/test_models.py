"""Models of three formats: what their files say of inputs and outputs, and which files are none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from evaltool.errors import EvaltoolError
from evaltool.numerics.scripting import saved, scripted
from evaltool.predictor.models import ModelInput, open_model
from tests.predictor import nets

CPU = torch.device("cpu")


def opened(path, trust=True):
    return open_model(path, trust=trust, device=CPU)


def test_torchscript_inputs_are_forwards_arguments(tmp_path):
    path = nets.script(nets.Pair(), tmp_path / "pair.pt")
    model = opened(path)
    assert model.inputs == [ModelInput("features"), ModelInput("bias")]
    assert (model.format, model.provider, model.most) == ("torchscript", "TorchScript", None)


def test_onnx_inputs_have_dtypes_and_shapes(tmp_path):
    model = opened(nets.onnx_linear(tmp_path / "m.onnx", "float16", batch=8))
    assert model.inputs == [ModelInput("features", "float16", (8, 4))]
    assert (model.format, model.provider) == ("onnx", "CPUExecutionProvider")
    assert (model.fewest, model.most) == (8, 8)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nets.Pair, ["logits", "hidden"]),
        (nets.PairNamed, ["logits", "hidden"]),
        (nets.PairTuple, ["output0", "output1"]),
    ],
    ids=["dict", "named tuple", "tuple"],
)
def test_outputs_have_the_models_names_or_numbers(tmp_path, module, names):
    model = opened(nets.script(module(), tmp_path / "m.pt"))
    features, bias = torch.randn(2, 4), torch.randn(2, 3)
    outputs = model({"features": features, "bias": bias})
    assert list(outputs) == names
    torch.testing.assert_close(outputs[names[1]], features.relu())


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        ([{"name": "logits"}, {"name": "relu"}], ["logits", "relu"]),
        ([{"name": "logits"}], ["output0", "output1"]),
        ([{"name": "same"}, {"name": "same"}], ["output0", "output1"]),
        ([{"name": 1}, {"name": 2}], ["output0", "output1"]),
        ("ab", ["output0", "output1"]),
    ],
    ids=["as many", "fewer", "twice", "numbers", "text"],
)
def test_a_files_metadata_name_the_outputs_that_have_no_names(tmp_path, outputs, names):
    module = scripted(nets.PairTuple())
    saved(module, tmp_path / "m.pt", {"metadata.json": json.dumps({"outputs": outputs})})
    assert list(opened(tmp_path / "m.pt")({"features": torch.randn(2, 4), "bias": torch.randn(2, 3)})) == names


@pytest.mark.parametrize("how", ["scripted", "traced", "frozen"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_floats_of_torchscript_are_those_of_its_numbers(tmp_path, how, dtype):
    module, path = nets.Linear().to(dtype), tmp_path / "m.pt"
    if how == "traced":
        nets.trace(module, path, torch.ones(2, 4, dtype=dtype))
    else:
        (nets.script if how == "scripted" else nets.freeze)(module, path)
    assert f"torch.{opened(path).floats}" == str(dtype)


def test_code_is_not_run_untrusted(tmp_path):
    path = nets.script(nets.Linear(), tmp_path / "m.pt")
    with pytest.raises(EvaltoolError, match="is code and is not run unasked"):
        opened(path, trust=False)


def test_onnx_needs_no_trust(tmp_path):
    assert opened(nets.onnx_linear(tmp_path / "m.onnx"), trust=False).format == "onnx"


def test_content_decides_between_archives(tmp_path):
    path = shutil.copy(nets.script(nets.Linear(), tmp_path / "m.pt"), tmp_path / "m.pt2")
    assert opened(Path(path)).format == "torchscript"


def test_module_that_takes_more_than_tensors(tmp_path):
    class Options(torch.nn.Module):
        def forward(self, features: torch.Tensor, scale: float, shift: float = 0.0) -> torch.Tensor:
            return features * scale + shift

    path = nets.script(Options(), tmp_path / "m.pt")
    with pytest.raises(EvaltoolError) as caught:
        opened(path)
    assert str(caught.value) == (
        f"the model takes more than tensors\n  {path}: scale is float, expected Tensor\n"
        "  Give it a default, or wrap the module in one that takes tensors alone."
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such.onnx", "no such file\n  {}\n  Give a model's file: TorchScript (.pt), ONNX (.onnx) or .pt2."),
        ("folder", "this is a directory\n  {}\n  Give a model's file: TorchScript (.pt), ONNX (.onnx) or .pt2."),
        (
            "net.tflite",
            "not a model that can be run\n  {}: got .tflite, expected TorchScript (.pt), ONNX (.onnx) or .pt2\n"
            "  Export the model to one of them.",
        ),
    ],
)
def test_what_is_no_model(tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    (tmp_path / "net.tflite").write_bytes(b"TFL3")
    with pytest.raises(EvaltoolError) as caught:
        opened(tmp_path / name)
    assert str(caught.value) == said.format(tmp_path / name)


@pytest.mark.slow
def test_pt2_names_and_outputs(tmp_path):
    example = torch.randn(5, 4), torch.randn(5, 3)
    model = opened(nets.pt2(nets.Pair(), tmp_path / "pair.pt2", *example))
    assert model.inputs == [ModelInput("input0"), ModelInput("input1")]
    outputs = model({"input0": example[0], "input1": example[1]})
    expected = nets.Pair()(*example)
    assert list(outputs) == list(expected)
    np.testing.assert_allclose(outputs["logits"], expected["logits"].detach(), rtol=1e-6)
