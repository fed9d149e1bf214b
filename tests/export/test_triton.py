"""config.pbtxt is what NVIDIA Triton reads: parsed by its own protobuf, and equal to the model's real signature."""

import importlib.util
from importlib.metadata import files
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from google.protobuf import text_format

from evaltool.numerics.scripting import loaded
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "models").rglob("config.pbtxt"))
NUMPY = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}
TORCH = {torch.float32: "TYPE_FP32", torch.int64: "TYPE_INT64"}


def of(kind):
    return [path for path in CONFIGS if path.parts[-3] == kind]


@pytest.fixture(scope="module")
def pb2():
    """Triton's ModelConfig; the module alone, for its package imports a gRPC client."""
    path = next(path for path in files("tritonclient") if str(path) == "tritonclient/grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path.locate())
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(pb2, path):
    return text_format.Parse(path.read_text(), pb2.ModelConfig())


def type_name(pb2, value):
    return pb2.DataType.Name(value.data_type)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_configuration_names_the_folder_and_the_file(pb2, path):
    config = read(pb2, path)
    assert config.name == path.parent.name
    assert (path.parent / "1" / config.default_model_filename).is_file()
    assert config.max_batch_size == 0  # the first axis is one of dims


@pytest.mark.parametrize("path", of("onnx"), ids=lambda path: path.parent.name)
def test_onnx_configuration_is_the_sessions(pb2, path):
    config = read(pb2, path)
    assert config.platform == "onnxruntime_onnx"
    session = onnxruntime.InferenceSession(str(path.parent / "1/model.onnx"), providers=["CPUExecutionProvider"])
    for told, real in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [value.name for value in told] == [value.name for value in real]
        assert [type_name(pb2, value) for value in told] == [NUMPY[value.type] for value in real]
        assert [list(value.dims) for value in told] == [[-1] * len(value.shape) for value in real]


@pytest.mark.parametrize(
    "path", [p for p in CONFIGS if p.parts[-3] == "torchscript"], ids=lambda path: path.parent.name
)
def test_torchscript_configuration_is_the_modules(pb2, path):
    """libtorch takes inputs by the names of forward's arguments and gives a tensor or a tuple of them."""
    config = read(pb2, path)
    assert config.platform == "pytorch_libtorch"
    with (path.parent / "1/model.pt").open("rb") as file:
        module = loaded(file)
    assert [value.name for value in config.input] == [value.name for value in module.forward.schema.arguments[1:]]
    sizes = [[3 + axis for axis in range(len(value.dims))] for value in config.input]
    inputs = [torch.zeros(size, dtype=t) for size, t in zip(sizes, (torch.float32, torch.int64), strict=True)]
    if config.input[1].data_type == config.input[0].data_type:  # of real numbers
        inputs[1] = inputs[1].float()
    if len(sizes[0]) == len(sizes[1]) + 1:
        inputs[1] = torch.zeros([sizes[0][0], *sizes[0][2:]], dtype=torch.int64)
    found = module(*inputs)
    outputs = [found] if isinstance(found, torch.Tensor) else list(found)
    assert [value.name.rpartition("__")[2] for value in config.output] == [str(i) for i in range(len(outputs))]
    assert [type_name(pb2, value) for value in config.output] == [TORCH[output.dtype] for output in outputs]
    assert all(list(np.shape(output)) == [3] for output in outputs)


def test_the_models_are_two_repositories():
    """Nothing but models in either: a server loads a repository as it stands."""
    for kind in ("onnx", "torchscript"):
        folders = list((ROOT / "models" / kind).iterdir())
        assert all((Path(folder) / "config.pbtxt").is_file() for folder in folders)
        assert folders
